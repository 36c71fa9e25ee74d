//! A tool server of the tests' own, by the other half of the library: as a child process, and by HTTP.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{Next, from_fn},
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService, stdio,
        streamable_http_server::session::local::LocalSessionManager,
    },
};
use serde_json::json;
use tokio::runtime::{self, Runtime};

/// Says to the child that it is the server; the bot's own environment does not reach it.
const IS_SERVER: &str = "REPARTEE_TEST_TOOL_SERVER";
/// The test that begins with [`has_served_as_child`]: started once more, this program runs nothing else.
const SERVING_TEST: &str = "tools::calls::a_tool_is_offered_called_and_its_result_goes_back";
/// The key that the server by HTTP wants.
pub(super) const KEY: &str = "sk-tool-server-0123456789";

/// The table of a file for the server as a child process.
pub(super) fn as_child(name: &str, tools: &[&str]) -> String {
    let program = env::current_exe().unwrap();
    // What the test harness writes to the standard output is what other programs write there too: it is passed over.
    let args = ["--exact", SERVING_TEST, "--nocapture"];
    format!(
        "[{name}]\ncommand = {program:?}\nargs = {args:?}\ntools = {tools:?}\nenv.{IS_SERVER} = \"yes\"\nenv.ZONE = \"Rome\"\n"
    )
}

/// Serves, in a process that [`as_child`] asks to; false in any other.
pub(super) async fn has_served_as_child() -> bool {
    let asked = env::var_os(IS_SERVER).is_some();
    if asked {
        Shed.serve(stdio()).await.unwrap().waiting().await.unwrap();
    }
    asked
}

/// The server by HTTP, for as long as this is held. Its runtime is its own, so that its connections end with it.
pub(super) struct ByHttp {
    pub(super) addr: SocketAddr,
    runtime: Option<Runtime>,
}

impl Drop for ByHttp {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl ByHttp {
    pub(super) fn start() -> Self {
        let service = StreamableHttpService::new(
            || Ok(Shed),
            Arc::new(LocalSessionManager::default()),
            StreamableHttpServerConfig::default(),
        );
        let router = Router::new().nest_service("/mcp", service).layer(from_fn(only_with_key));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
        Self { addr, runtime: Some(runtime) }
    }
}

async fn only_with_key(request: Request, next: Next) -> Result<axum::response::Response, StatusCode> {
    let key = request.headers().get("authorization").and_then(|key| key.to_str().ok());
    if key == Some(&format!("Bearer {KEY}")) {
        Ok(next.run(request).await)
    } else {
        Err(StatusCode::UNAUTHORIZED)
    }
}

/// The tools.
#[derive(Clone)]
struct Shed;

impl ServerHandler for Shed {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let takes_text = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {"text": {"type": "string"}}, "required": ["text"]});
        let takes_text: JsonObject = serde_json::from_value(takes_text).unwrap();
        let nothing: JsonObject = serde_json::from_value(json!({"type": "object"})).unwrap();
        let with_text = ["echo", "variable"].map(|name| Tool::new(name, "Takes a text.", takes_text.clone()));
        let plain = ["time.now", "fail", "refuse", "hang", "big", "huge", "die"]
            .map(|name| Tool::new(name, "Takes nothing.", nothing.clone()));
        Ok(ListToolsResult::with_all_items(with_text.into_iter().chain(plain).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let text = arguments.get("text").and_then(|text| text.as_str()).unwrap_or_default();
        let said = match &*request.name {
            "echo" => text.to_owned(),
            "variable" => env::var(text).unwrap_or_else(|_| "unset".into()),
            "time.now" => "12:00".into(),
            "big" => "x".repeat(1 << 20),
            "huge" => "x".repeat(5 << 20),
            "fail" => return Ok(CallToolResult::error(vec![ContentBlock::text("out of paper")]).into()),
            "refuse" => return Err(ErrorData::invalid_params("not like this", None)),
            "hang" => std::future::pending().await,
            "die" => std::process::exit(3),
            other => panic!("{other} was called"),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(said)]).into())
    }
}
