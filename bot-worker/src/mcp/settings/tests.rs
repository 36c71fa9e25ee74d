//! What a file of tool servers says, and what is wrong with it.

use std::fs;

use super::{ToolServers, ToolSettings, Way};

fn read(file: &str) -> Result<ToolServers, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), "sk-secret\nnot this\n").unwrap();
    fs::write(folder.path().join("bad"), "two\u{7}bells").unwrap();
    let path = folder.path().join("mcp.toml");
    let here = folder.path().to_str().unwrap();
    fs::write(&path, file.replace("HERE", here)).unwrap();
    let settings = ToolSettings {
        mcp: Some(path.clone()),
        tool_calls: 1,
        tool_rounds: 1,
        tool_timeout: "1s".parse().unwrap(),
        tool_result_bytes: 256,
        servers: ToolServers::default(),
    };
    let read = settings.with_files().map(|settings| settings.servers);
    read.map_err(|problem| problem.replace(path.to_str().unwrap(), "FILE").replace(here, "HERE"))
}

#[test]
fn a_server_is_a_program_or_an_address_and_its_secrets_come_from_elsewhere() {
    let servers = read(
        "[time]\ncommand = \"uvx\"\nargs = [\"mcp-server-time\"]\ntools = [\"get_current_time\"]\n\
         [time.env]\nZONE = \"Rome\"\nKEY = { file = \"HERE/key\" }\nHOME_TOO = { variable = \"HOME\" }\n\
         [weather]\nurl = \"https://weather.example/mcp\"\nkey-file = \"HERE/key\"\ntools = [\"*\"]\n\
         headers = { X-Plan = \"free\" }\n",
    )
    .unwrap();
    let all: Vec<_> = servers.iter().collect();
    let [(_, time), (_, weather)] = all[..] else { panic!("{servers:?}") };
    let Way::Process { command, args, env } = time.way() else { panic!("{time:?}") };
    assert_eq!((command, args), ("uvx", &["mcp-server-time".to_owned()][..]));
    let home = std::env::var("HOME").unwrap();
    assert_eq!(env, [("HOME_TOO", home.as_str()), ("KEY", "sk-secret"), ("ZONE", "Rome")]);
    assert!(time.allows("get_current_time") && !time.allows("convert_time"));
    let Way::Http { url, key, headers } = weather.way() else { panic!("{weather:?}") };
    assert_eq!((url, key), ("https://weather.example/mcp", Some("sk-secret")));
    assert_eq!((headers[0].0.as_str(), headers[0].1.to_str().unwrap()), ("x-plan", "free"));
    assert!(weather.allows("anything"));
    assert!(!format!("{servers:?}").contains("sk-secret"));
}

#[test]
fn what_is_wrong_is_named_with_its_server_and_without_its_secrets() {
    let wrong = |table: &str| {
        let problem = read(&format!("[time]\n{table}\n")).unwrap_err();
        problem.strip_prefix("--mcp FILE: ").unwrap_or_else(|| panic!("{problem}")).to_owned()
    };
    let in_time = |table: &str| {
        let problem = wrong(table);
        problem.strip_prefix("the tool server \"time\": ").unwrap_or_else(|| panic!("{problem}")).to_owned()
    };
    let all = "tools = [\"*\"]";
    assert_eq!(in_time("command = \"a\""), "tools must name those that the model may call, or be [\"*\"]");
    assert_eq!(in_time("command = \"a\"\ntools = []"), "tools must have 1 to 64 names, has 0");
    assert_eq!(in_time(all), "either command or url is needed: how is it reached?");
    assert_eq!(
        in_time(&format!("command = \"a\"\nurl = \"http://a\"\n{all}")),
        "command and url exclude each other"
    );
    assert!(in_time(&format!("url = \"ftp://a\"\n{all}")).starts_with("url must be an http or https URL"));
    assert!(in_time(&format!("url = \"http://a:secret@b\"\n{all}")).ends_with("without a password"));
    assert_eq!(
        in_time(&format!("url = \"http://a\"\nargs = [\"b\"]\n{all}")),
        "args and env go with command"
    );
    assert!(
        in_time(&format!("command = \"a\"\nkey-file = \"b\"\n{all}"))
            .contains("key-file and headers go with url")
    );
    assert!(in_time(&format!("command = \"a\"\n{all}\nenv = {{ \"A=B\" = \"c\" }}")).contains("\"A=B\""));
    let missing = in_time(&format!("command = \"a\"\n{all}\nenv = {{ A = {{ file = \"HERE/none\" }} }}"));
    assert!(missing.starts_with("env.A: HERE/none: "), "{missing}");
    let unset =
        in_time(&format!("command = \"a\"\n{all}\nenv = {{ A = {{ variable = \"REPARTEE_UNSET\" }} }}"));
    assert_eq!(unset, "env.A: the variable REPARTEE_UNSET is not set");
    let bells = in_time(&format!("url = \"http://a\"\n{all}\nkey-file = \"HERE/bad\""));
    assert!(bells.starts_with("key-file: HERE/bad: ") && !bells.contains("bells"), "{bells}");
    assert!(wrong(&format!("command = \"a\"\n{all}\ntols = 1")).contains("unknown field `tols`"));
    let unreadable = wrong("command = \"sk-secret");
    assert!(unreadable.starts_with("line 2: ") && !unreadable.contains("sk-secret"), "{unreadable}");
    assert!(
        read("[\"a b\"]\ncommand = \"a\"\ntools = [\"*\"]").unwrap_err().contains("its name must be 1 to 32")
    );
    let many: String = (0..17).map(|at| format!("[s{at}]\ncommand = \"a\"\ntools = [\"*\"]\n")).collect();
    assert_eq!(read(&many).unwrap_err(), "--mcp FILE: must have at most 16 tool servers, has 17");
}
