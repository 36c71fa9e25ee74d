//! Which fields of a body go together, as JSON Schema says it. The shapes of Rust cannot; the queue-service refuses what does
//! not fit.

use serde_json::{Value, json};

/// Adds the rules to the document's schemas, each as one more schema that a body has to meet. Beside the properties a rule
/// that is a choice would be taken for the whole of the body by generators of clients, which then know no fields.
pub(super) fn relate_fields(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    let rules = [
        ("NewComment", "anyOf", who_speaks()),
        ("EditComment", "anyOf", something_to_change()),
        ("EditComment", "not", given_twice()),
        ("CancelPending", "oneOf", exactly_one(&["entity", "author", "address", "authorOf", "addressOf"])),
        ("NewBlock", "oneOf", exactly_one(&["author", "address", "authorOf", "addressOf"])),
        ("BlockRef", "oneOf", exactly_one(&["author", "address"])),
        ("Renew", "anyOf", names_a_claim()),
        ("Release", "anyOf", names_a_claim()),
        ("Complete", "anyOf", names_a_claim()),
        ("Fail", "anyOf", names_a_claim()),
    ];
    for (schema, keyword, rule) in rules {
        let schema = schemas[schema].as_object_mut().expect("the document has every schema");
        let all = schema.entry("allOf").or_insert_with(|| json!([]));
        all.as_array_mut().expect("a list of schemas").push(json!({keyword: rule}));
    }
}

/// These fields are there, and not null.
fn with(fields: &[&str]) -> Value {
    let present: Value =
        fields.iter().map(|field| ((*field).to_owned(), json!({"not": {"type": "null"}}))).collect();
    json!({"required": fields, "properties": present})
}

/// These fields are absent or null.
fn without(fields: &[&str]) -> Value {
    let absent: Value = fields.iter().map(|field| ((*field).to_owned(), json!({"type": "null"}))).collect();
    json!({"properties": absent})
}

/// A human asks bots; an AI asks nobody, and may say to whom it speaks, by name and color.
fn who_speaks() -> Value {
    let of =
        |speaker: &str, fields: Value| json!([{"properties": {"message-type": {"const": speaker}}}, fields]);
    let ai = |human: Value| json!({"required": ["message-type"], "allOf": of("AI", json!({"allOf": [without(&["botParams"]), human]}))});
    json!([
        {"allOf": of("human", without(&["humanUsername", "humanColor", "sessionId"]))},
        ai(without(&["humanUsername", "humanColor"])),
        ai(with(&["humanUsername", "humanColor"])),
    ])
}

fn something_to_change() -> Value {
    let inner = ["status", "priority"].map(|field| with(&[field]));
    let outer = ["text", "eqScore", "status", "priority"].map(|field| with(&[field]));
    let nested = json!({"required": ["botParams"], "properties": {"botParams": {"anyOf": inner}}});
    Value::from_iter(outer.into_iter().chain([nested]))
}

/// Status or priority in both of their places: refused unless they are the same.
fn given_twice() -> Value {
    let twice = |field: &str| {
        let inner = json!({"required": ["botParams"], "properties": {"botParams": with(&[field])}});
        json!({"allOf": [with(&[field]), inner]})
    };
    json!({"anyOf": [twice("status"), twice("priority")]})
}

/// One of these fields, and none of the others.
fn exactly_one(fields: &[&str]) -> Value {
    let one = |field: &&str| {
        let others = Vec::from_iter(fields.iter().copied().filter(|other| other != field));
        json!({"allOf": [with(&[field]), without(&others)]})
    };
    fields.iter().map(one).collect()
}

/// A step on a claim names it by its token or by its worker.
fn names_a_claim() -> Value {
    json!([with(&["leaseToken"]), with(&["workerId"])])
}
