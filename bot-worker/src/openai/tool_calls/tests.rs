//! What endpoints send of tool calls, and what is made of it.

use serde_json::{Value, json};

use super::{ToolCalls, pieces};

/// The calls of deltas with these `tool_calls`.
fn calls(deltas: &[Value]) -> Vec<(String, String, Value)> {
    let mut calls = ToolCalls::default();
    for delta in deltas {
        for piece in pieces(&json!({"tool_calls": delta})) {
            assert!(calls.take(piece));
        }
    }
    let call = |call: super::ToolCall| {
        let arguments = call.arguments().map_or_else(Value::String, Value::Object);
        (call.id, call.name, arguments)
    };
    calls.finish().into_iter().map(call).collect()
}

fn two() -> Vec<(String, String, Value)> {
    vec![
        ("a".into(), "time".into(), json!({"in": "Rome"})),
        ("b".into(), "time".into(), json!({"in": "Oslo"})),
    ]
}

fn part(index: u64, id: Value, name: Value, arguments: Value) -> Value {
    json!([{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}])
}

#[test]
fn pieces_are_put_together_by_index() {
    let null = Value::Null;
    let deltas = [
        part(0, json!("a"), json!("time"), json!("")),
        part(0, null.clone(), null.clone(), json!("{\"in\": ")),
        part(1, json!("b"), json!("time"), json!("{\"in\"")),
        part(1, json!(""), json!(""), json!(": \"Oslo\"}")),
        part(0, json!("a"), json!("time"), json!("\"Rome\"}")),
    ];
    assert_eq!(calls(&deltas), two());
}

#[test]
fn whole_calls_are_told_apart_by_what_there_is() {
    let whole = |id: Value, place: &str| {
        let arguments = json!({"in": place}).to_string();
        json!({"id": id, "function": {"name": "time", "arguments": arguments}})
    };
    let with_index = |mut call: Value| {
        call["index"] = 0.into();
        call
    };
    let (rome, oslo) = (whole(json!("a"), "Rome"), whole(json!("b"), "Oslo"));
    assert_eq!(calls(&[json!([rome, oslo])]), two(), "no index");
    assert_eq!(calls(&[json!([rome]), json!([oslo])]), two(), "no index, one after the other");
    let zero = [json!([with_index(rome.clone())]), json!([with_index(oslo.clone())])];
    assert_eq!(calls(&zero), two(), "the index 0 for all");
    assert_eq!(calls(&[json!([rome, oslo]), json!([oslo])]), two(), "one once more");
    assert_eq!(calls(std::slice::from_ref(&rome))[..], two()[..1], "no list");

    for id in [Value::Null, json!("")] {
        let (rome, oslo) = (whole(id.clone(), "Rome"), whole(id, "Oslo"));
        for deltas in
            [vec![json!([rome, oslo])], vec![json!([with_index(rome.clone())]), json!([with_index(oslo)])]]
        {
            let calls = calls(&deltas);
            let said: Vec<_> =
                calls.iter().map(|(_, _, arguments)| arguments["in"].as_str().unwrap()).collect();
            assert_eq!(said, ["Rome", "Oslo"]);
            assert!(calls[0].0 != calls[1].0, "each gets an id");
            assert!(
                calls.iter().all(|(id, ..)| id.len() == 9 && id.chars().all(char::is_alphanumeric)),
                "{calls:?}"
            );
        }
    }
}

#[test]
fn pieces_without_index_or_id_continue_the_last_call() {
    let deltas = [
        json!([{"id": "a", "function": {"name": "time"}}]),
        json!([{"function": {"arguments": "{\"in\":"}}]),
        json!([{"function": {"name": "time", "arguments": " \"Rome\"}"}}]),
        json!([{"function": {"name": "date", "arguments": ""}}]),
        json!([{"function": {"name": "news", "arguments": "{}"}}]),
    ];
    let calls = calls(&deltas);
    let names: Vec<_> = calls.iter().map(|(_, name, arguments)| (name.as_str(), arguments.clone())).collect();
    assert_eq!(names, [("time", json!({"in": "Rome"})), ("date", json!({})), ("news", json!({}))]);
}

#[test]
fn an_empty_object_holds_the_place_of_arguments_that_follow() {
    let rest = [
        vec![json!("{\"in\": \"Rome\"}")],
        vec![json!("{\"in\""), json!(": \"Rome\"}")],
        vec![json!({"in": "Rome"}), json!("")],
    ];
    for (rest, id) in rest.iter().flat_map(|rest| [(rest, json!("a")), (rest, Value::Null)]) {
        let begun = part(0, json!("a"), json!("time"), json!("{}"));
        let rest = rest.iter().map(|arguments| part(0, id.clone(), Value::Null, arguments.clone()));
        let deltas: Vec<_> = std::iter::once(begun).chain(rest).collect();
        assert_eq!(calls(&deltas)[..], two()[..1], "{deltas:?}");
    }
    let nothing = part(0, json!("a"), json!("time"), json!("{}"));
    assert_eq!(calls(&[nothing.clone(), nothing])[0].2, json!({}));
}

#[test]
fn a_name_that_comes_again_without_arguments_ends_its_call_and_begins_none() {
    for id in [json!("a"), json!(""), Value::Null] {
        let whole = part(0, json!("a"), json!("time"), json!("{\"in\": \"Rome\"}"));
        let last = part(0, id, json!("time"), json!(""));
        assert_eq!(calls(&[whole, last])[..], two()[..1]);
    }
}

#[test]
fn arguments_may_be_an_object_a_text_of_one_or_nothing() {
    let of = |arguments: Value| calls(&[part(0, json!("a"), json!("time"), arguments)])[0].2.clone();
    let rome = json!({"in": "Rome"});
    assert_eq!(of(rome.clone()), rome);
    assert_eq!(of(json!(json!(rome.to_string()).to_string())), rome, "written twice");
    for none in [json!(null), json!(""), json!("  "), json!("null"), json!("{}")] {
        assert_eq!(of(none), json!({}));
    }
    for wrong in ["{\"in\": ", "Rome", "[1]", "5"] {
        assert!(of(json!(wrong)).as_str().is_some_and(|why| why.contains("no JSON")), "{wrong}");
    }
}

#[test]
fn what_is_repeated_to_the_endpoint_is_always_json_and_keeps_what_it_wants_back() {
    let signed = json!([{"id": "a", "extra_content": {"google": {"thought_signature": "s"}},
        "function": {"name": "time", "arguments": "{broken"}}]);
    let mut calls = ToolCalls::default();
    pieces(&json!({"tool_calls": signed})).into_iter().for_each(|piece| assert!(calls.take(piece)));
    let function = json!({"name": "time", "arguments": "{}"});
    let extra = json!({"google": {"thought_signature": "s"}});
    let expected = json!({"id": "a", "type": "function", "function": function, "extra_content": extra});
    assert_eq!(calls.finish()[0].repeated(), expected);
}

#[test]
fn what_is_no_call_says_nothing_and_too_many_are_refused() {
    for none in [json!(null), json!([]), json!([null, 5]), json!([{}]), json!("x")] {
        assert_eq!(calls(&[none]), []);
    }
    let mut many = ToolCalls::default();
    let call =
        |number: usize| json!({"tool_calls": [{"id": number.to_string(), "function": {"name": "time"}}]});
    let taken =
        (0..200).filter(|number| pieces(&call(*number)).into_iter().all(|piece| many.take(piece))).count();
    assert_eq!(taken, 128);
}
