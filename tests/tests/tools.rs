//! A bot with a tool, from a visitor's question to the answer: real services, a real tool server, and an endpoint that asks
//! for the tool before it answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{env, fs, net::SocketAddr};

use e2e::{Browser, Metrics, Process, World, question, within_deadline};
use repartee_proto::v1::{ChangeKind, WatchMessagesRequest, watch_messages_response::Event as Seen};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::stdio,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Duration, sleep},
};
use tokio_util::task::AbortOnDropHandle;

const SECRET: &str = "sk-of-the-tool-0123456789";

/// The tool server: one tool, which takes long enough to be seen.
struct Clock;

impl ServerHandler for Clock {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = ["clock", "bomb"].map(|name| Tool::new(name, "Takes nothing.", JsonObject::new()));
        Ok(ListToolsResult::with_all_items(tools.into()))
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        // Longer than a lease that is never renewed, so that the answer proves that this one was.
        sleep(Duration::from_secs(12)).await;
        Ok(CallToolResult::success(vec![ContentBlock::text("It is noon.")]).into())
    }
}

/// Asks for the tool `clock`, and then says what it was told.
async fn endpoint() -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream));
        }
    };
    (addr, AbortOnDropHandle::new(tokio::spawn(serving)))
}

async fn answer(mut stream: TcpStream) {
    let mut request = Vec::new();
    // Bodies end with the document.
    while !request.ends_with(b"}") && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
    let request = String::from_utf8_lossy(&request);
    assert!(request.contains("\"clock\"") && !request.contains("bomb"), "{request}");
    let delta = match request.contains("It is noon.") {
        true => r#"{"delta":{"content":"High noon."},"finish_reason":"stop"}"#,
        false => {
            r#"{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"clock","arguments":""}}]},"finish_reason":"tool_calls"}"#
        }
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let body = format!("data: {{\"choices\":[{delta}]}}\n\ndata: [DONE]\n\n");
    // A probe hangs up once it knows enough.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

#[tokio::test]
async fn a_bot_calls_a_tool_while_people_see_it_and_answers_with_what_it_learned() {
    // The bot starts this very test once more, with the key, as its tool server.
    if env::var("KEY").is_ok_and(|key| key == SECRET) {
        Clock.serve(stdio()).await.unwrap().waiting().await.unwrap();
        return;
    }
    let folder = TempDir::new().unwrap();
    let (file, key) = (folder.path().join("mcp.toml"), folder.path().join("key"));
    fs::write(&key, SECRET).unwrap();
    let program = env::current_exe().unwrap();
    let name = "a_bot_calls_a_tool_while_people_see_it_and_answers_with_what_it_learned";
    let args = ["--exact", name, "--nocapture"];
    let table = format!(
        "command = {program:?}\nargs = {args:?}\ntools = [\"clock\"]\nenv.KEY = {{ file = {key:?} }}\n"
    );
    fs::write(&file, format!("[tower]\n{table}")).unwrap();

    let world = World::start().await;
    let client = world.grpc().await;
    let (addr, _endpoint) = endpoint().await;
    let (queue_url, base_url) = (world.queue.grpc_url(), format!("http://{addr}/v1"));
    let own =
        ["--queue-url", &queue_url, "--entity", "helper", "--openai-base-url", &base_url, "--model", "small"];
    let settings = [&own[..], &["--mcp", file.to_str().unwrap()]].concat();
    let mut bot = Process::spawn_with("bot-worker", &settings, &[("RUST_LOG", "trace")]);
    let ready = bot.ready().await;

    let all = WatchMessagesRequest { drafts: true, ..WatchMessagesRequest::default() };
    let mut watch = client.watch(all).await.unwrap();
    let id = client.post(question("helper", "What time is it?")).await.unwrap().id;
    let (mut drafts, mut reply) = (Vec::new(), None);
    let answered = async {
        loop {
            match watch.event().await.unwrap().expect("the watch goes on") {
                Seen::Draft(draft) if draft.message_id == id => drafts.push(draft.text),
                Seen::Change(change) => {
                    let message = change.message.as_ref().unwrap();
                    if message.reply_to.as_ref() == Some(&id) {
                        reply = Some(message.text.clone());
                    }
                    if change.kind() == ChangeKind::Completed && message.id == id {
                        return message.bot_params.as_ref().unwrap().attempts;
                    }
                }
                _ => {}
            }
        }
    };
    assert_eq!(within_deadline("an answer", answered).await, 1, "the first attempt is the only one");
    assert_eq!(reply.as_deref(), Some("High noon."));
    assert!(drafts.iter().any(|draft| draft == "using clock…"), "{drafts:?}");

    let metrics = Metrics::of(&Browser::with(&format!("http://{}", ready.metrics.unwrap()), None)).await;
    let calls =
        "repartee_bot_tool_calls_total{bot=\"helper\",server=\"tower\",tool=\"clock\",outcome=\"ok\"}";
    assert_eq!(metrics.value(calls), 1.0);
    let timed = "repartee_bot_tool_call_seconds_count{bot=\"helper\",server=\"tower\",tool=\"clock\"}";
    assert_eq!(metrics.value(timed), 1.0);
    let log = bot.log();
    assert!(log.contains("the tool server is there") && !log.contains(SECRET), "{log}");
    assert!(!log.contains("noon") && !log.contains("What time"), "{log}");
}
