//! What a file of bots says, and what is wrong with it.

use std::fs;

use clap::Parser as _;

use crate::{
    Settings,
    bots::{Answers, Bot, of},
    openai::{Header, MaxTokensField, OpenAiSettings},
};

const FLAGS: [&str; 7] =
    ["bot-worker", "--openai-base-url", "http://127.0.0.1:1/v1", "--model", "small", "--max-in-flight", "2"];

fn bots(file: &str, more: &[&str]) -> Result<Vec<Bot>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bots.toml");
    fs::write(&path, file).unwrap();
    let settings = Settings::parse_from(FLAGS.iter().chain(&["--bots", path.to_str().unwrap()]).chain(more));
    of(&settings).map_err(|problem| problem.replace(path.to_str().unwrap(), "FILE"))
}

fn endpoint(bot: &Bot) -> &OpenAiSettings {
    let Answers::Endpoint(openai) = &bot.answers else { panic!("{bot:?}") };
    openai
}

#[test]
fn an_entry_overrides_the_flags_and_takes_the_rest_from_them() {
    let file = "[[bot]]\nentity = \"one\"\nmodel = \"large\"\ntimeout = \"5s\"\nstop = [\"END\"]\n\
        [[bot]]\nentity = \"two\"\nmax-in-flight = 9\ntokens-per-day = 1000\n";
    let bots = bots(file, &["--temperature", "0.5"]).unwrap();
    let [one, two] = &bots[..] else { panic!("{bots:?}") };
    assert_eq!((&one.entities[..], one.max_in_flight), (&["one".to_owned()][..], 2));
    assert_eq!(
        (endpoint(one).model.as_deref(), endpoint(one).timeout.to_string().as_str()),
        (Some("large"), "5s")
    );
    assert_eq!((two.max_in_flight, endpoint(two).model.as_deref()), (9, Some("small")));
    assert_eq!((endpoint(two).temperature, endpoint(two).tokens_per_day), (Some(0.5), Some(1_000)));
}

#[test]
fn the_key_of_one_endpoint_is_not_sent_to_another() {
    let file = "[[bot]]\nentity = \"here\"\n[[bot]]\nentity = \"there\"\nopenai-base-url = \"http://127.0.0.2:1/v1\"\n";
    let bots = bots(file, &["--openai-api-key", "sk-here", "--header", "x-secret: 1"]).unwrap();
    let seen: Vec<_> = bots
        .iter()
        .map(endpoint)
        .map(|openai| (openai.openai_api_key.is_some(), openai.headers.len()))
        .collect();
    assert_eq!(seen, [(true, 1), (false, 0)]);
}

#[test]
fn an_endpoint_of_its_own_may_have_headers_and_fields_of_its_own() {
    let file = "[[bot]]\nentity = \"there\"\nopenai-base-url = \"http://127.0.0.2:1/v1\"\nheaders = [\"X-Title: Talk\"]\n\
        max-tokens-field = \"max_completion_tokens\"\n";
    let bots = bots(file, &["--header", "x-secret: 1"]).unwrap();
    let there = endpoint(&bots[0]);
    assert_eq!(there.headers, ["X-Title: Talk".parse::<Header>().unwrap()]);
    assert_eq!(there.max_tokens_field, MaxTokensField::MaxCompletionTokens);
}

#[test]
fn what_is_no_header_is_told_by_its_number_and_not_shown() {
    let refused = bots("[[bot]]\nentity = \"a\"\nheaders = [\"X-A: b\", \"sk-secret\"]\n", &[]).unwrap_err();
    let expected = "--bots FILE: the bot \"a\": --header, number 2: must be written as NAME: VALUE";
    assert_eq!(refused, expected);
}

#[test]
fn two_spellings_of_one_name_are_one_bot() {
    let refused = bots("[[bot]]\nentity = \"météo\"\n[[bot]]\nentity = \"me\u{301}te\u{301}o\"\n", &[]);
    assert!(refused.unwrap_err().ends_with("has two entries"));
}

#[test]
fn what_is_wrong_is_named_with_its_entry() {
    let wrong = |file: &str| bots(file, &[]).unwrap_err();
    assert_eq!(
        wrong("[[bot]]\nentity = \"a\"\ntop-p = 7.0\n"),
        "--bots FILE: the bot \"a\": --top-p must be above 0 and at most 1, not 7"
    );
    assert_eq!(
        wrong("[[bot]]\nentity = \"a\"\n[[bot]]\nentity = \"a\"\n"),
        "--bots FILE: the entity \"a\" has two entries"
    );
    assert_eq!(wrong("[[bot]]\nmodel = \"m\"\n"), "--bots FILE: each [[bot]] needs an entity");
    assert!(wrong("[[bot]]\nentity = \"a\"\nmodle = \"m\"\n").contains("modle"));
    assert!(wrong("bot = []\n").contains("1 to 100 entries"));
    for number in [0, 1_001] {
        assert_eq!(
            wrong(&format!("[[bot]]\nentity = \"a\"\nmax-in-flight = {number}\n")),
            format!("--bots FILE: the bot \"a\": max-in-flight must be 1 to 1000, not {number}")
        );
    }
    let long = "e".repeat(65);
    assert!(wrong(&format!("[[bot]]\nentity = \"{long}\"\n")).ends_with("1 to 64 characters, has 65"));
    assert!(bots(&format!("[[bot]]\nentity = \"{}\"\n", &long[1..]), &[]).is_ok());
}

#[test]
fn a_wrong_line_is_told_by_its_number_and_never_shown() {
    for line in ["openai-api-key = \"sk-secret\"", "model = \"sk-secret", "sk-secret"] {
        let wrong = bots(&format!("[[bot]]\nentity = \"a\"\n{line}\n"), &[]).unwrap_err();
        assert!(wrong.starts_with("--bots FILE: line 3: "), "{wrong}");
        assert!(!wrong.contains("sk-secret"), "{wrong}");
    }
}

#[test]
fn the_tool_servers_of_an_entry_stand_in_the_place_of_those_of_the_flags() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcp.toml");
    fs::write(&path, "[time]\ncommand = \"clock\"\ntools = [\"*\"]\n").unwrap();
    let file = "[[bot]]\nentity = \"one\"\ntool-calls = 2\n\n[bot.mcp.weather]\nurl = \"http://127.0.0.1:1\"\ntools = [\"*\"]\n\
        [[bot]]\nentity = \"two\"\n";
    let bots = bots(file, &["--mcp", path.to_str().unwrap()]).unwrap();
    let seen = bots.iter().map(|bot| {
        let tools = &endpoint(bot).tools;
        (tools.servers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), tools.tool_calls)
    });
    assert_eq!(seen.collect::<Vec<_>>(), [(vec!["weather"], 2), (vec!["time"], 8)]);
    let wrong = self::bots("[[bot]]\nentity = \"a\"\n[bot.mcp.weather]\nurl = \"http://127.0.0.1:1\"\n", &[]);
    let expected = "--bots FILE: the bot \"a\": the tool server \"weather\": tools must name";
    assert!(wrong.unwrap_err().starts_with(expected));
    for (flag, limit) in
        [("tool-calls", "1 to 64"), ("tool-rounds", "1 to 16"), ("tool-result-bytes", "256 to 262144")]
    {
        let wrong = self::bots(&format!("[[bot]]\nentity = \"a\"\n{flag} = 0\n"), &[]).unwrap_err();
        assert_eq!(wrong, format!("--bots FILE: the bot \"a\": --{flag} must be {limit}, not 0"));
    }
}

#[test]
fn a_value_of_the_wrong_type_is_told_by_its_line_its_key_and_what_is_right_and_never_shown() {
    let wrong = |line: &str| {
        let wrong = bots(&format!("[[bot]]\nentity = \"a\"\n{line}\n"), &[]).unwrap_err();
        assert!(!wrong.contains("sk-"), "{wrong}");
        wrong.strip_prefix("--bots FILE: line 3: ").unwrap_or_else(|| panic!("{wrong}")).to_owned()
    };
    for (line, told) in [
        ("history = \"sk-a, expected b\"", "history must be a whole number, 0 to 4294967295"),
        ("history = -5", "history must be a whole number, 0 to 4294967295"),
        ("tokens-per-day = \"sk-secret\"", "tokens-per-day must be a whole number, 0 or more"),
        ("temperature = \"sk-secret\"", "temperature must be a number"),
        ("model = [\"sk-secret\"]", "model must be a string"),
        ("model = { key = \"sk-secret\" }", "model must be a string"),
        ("stop = \"sk-secret\"", "stop must be an array"),
        ("stop = [\"sk-key = \", 5]", "a value must be a string"),
        ("timeout = \"sk-secret\"", "timeout must be a span such as 120s or 2m"),
        ("timeout = 120", "timeout must be a string"),
        ("api-key-header = \"sk secret\"", "api-key-header must be the name of a header, such as api-key"),
        ("failed-questions = \"sk-secret\"", "failed-questions must be `omit` or `placeholder`"),
        ("failed-questions = 5", ""),
        ("system-prompt = 'sk-secret", ""),
        ("max-tokens = sk-secret", ""),
        ("max-tokens = 1 sk-secret", ""),
    ] {
        let wrong = wrong(line);
        assert!(wrong.starts_with(told), "{line}: {wrong}");
    }
    let inline = bots("bot = [{ entity = \"a\", history = \"sk-secret\" }]\n", &[]).unwrap_err();
    assert_eq!(inline, "--bots FILE: line 1: history must be a whole number, 0 to 4294967295");
    let table = bots("bot = \"sk-secret\"\n", &[]).unwrap_err();
    assert_eq!(table, "--bots FILE: line 1: bot must be an array");
}

#[test]
fn prompts_and_keys_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let (prompt, key) = (folder.path().join("prompt"), folder.path().join("key"));
    fs::write(&prompt, "Be brief.\n").unwrap();
    fs::write(&key, "sk-file\n").unwrap();
    let file = format!("[[bot]]\nentity = \"a\"\nsystem-prompt-file = {prompt:?}\napi-key-file = {key:?}\n");
    let bots = bots(&file, &[]).unwrap();
    let openai = endpoint(&bots[0]);
    assert_eq!(openai.system_prompt.as_deref(), Some("Be brief."));
    assert_eq!(openai.openai_api_key.as_ref().unwrap().reveal(), "sk-file");
    fs::write(&key, "two\u{7}lines").unwrap();
    let wrong = of(&Settings::parse_from(FLAGS.iter().chain(&[
        "--entity",
        "a",
        "--api-key-file",
        key.to_str().unwrap(),
    ])));
    assert!(wrong.unwrap_err().starts_with("--api-key-file"));
}
