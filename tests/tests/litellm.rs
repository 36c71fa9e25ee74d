//! The ready bot in front of an endpoint that nobody here wrote: LiteLLM's proxy with a model that it plays itself.
//! `REPARTEE_LITELLM` names its program, which `tests/run` installs; without it the test is skipped and says so.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests, which clippy does not see in a program with a main of its own"
)]

use std::{env, fs, net::SocketAddr, path::PathBuf, pin::Pin, process::Stdio};

use e2e::{Service, Watch, World, question, within_deadline};
use libtest_mimic::{Arguments, Completion, Trial};
use repartee_proto::v1::{ChangeKind, WatchMessagesRequest, watch_messages_response::Event as Seen};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use tokio_util::task::AbortOnDropHandle;

const KEY: &str = "sk-only-for-this-test-0123456789abcdef";
/// Long enough to take a while, three letters at a time.
const SENTENCE: &str = "Nobody wrote this but LiteLLM. ";
const SENTENCES: usize = 200;

type Test = fn() -> Pin<Box<dyn Future<Output = ()>>>;

fn main() {
    let tests: [(&str, Test); 1] =
        [("a_proxy_that_nobody_here_wrote_streams_answers_goes_away_and_comes_back", || {
            Box::pin(a_proxy_that_nobody_here_wrote_streams_answers_goes_away_and_comes_back())
        })];
    let trial = |(name, test): (&str, Test)| Trial::ignorable_test(name, move || Ok(run(test)));
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().map(trial).collect()).exit();
}

fn run(test: Test) -> Completion {
    if program().is_none() {
        return Completion::ignored_with("LiteLLM is not installed: REPARTEE_LITELLM names its program");
    }
    tokio::runtime::Runtime::new().expect("the system gives threads").block_on(test());
    Completion::Completed
}

fn program() -> Option<PathBuf> {
    env::var_os("REPARTEE_LITELLM").map(PathBuf::from)
}

/// The proxy; it ends with this.
struct LiteLlm {
    child: Child,
    addr: SocketAddr,
    /// Takes what it prints on.
    _printed: AbortOnDropHandle<()>,
}

impl LiteLlm {
    /// Starts it at `addr`, and waits until it says where it listens: with all that it loads this takes a while.
    async fn start(folder: &TempDir, addr: SocketAddr) -> Self {
        let config = folder.path().join("litellm.yaml");
        let text = SENTENCE.repeat(SENTENCES);
        let model = format!("{{model: openai/small, api_key: none, mock_response: \"{text}\"}}");
        fs::write(
            &config,
            format!("general_settings: {{master_key: {KEY}}}\nmodel_list:\n  - model_name: small\n    litellm_params: {model}\n"),
        )
        .unwrap();
        let mut child = Command::new(program().unwrap())
            .arg("--config")
            .arg(config)
            .args(["--host", &addr.ip().to_string(), "--port", &addr.port().to_string()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut printed = BufReader::new(child.stderr.take().unwrap()).lines();
        let listens = async {
            let mut log = String::new();
            while let Some(line) = printed.next_line().await.unwrap() {
                if let Some((_, rest)) = line.split_once("Uvicorn running on http://") {
                    return rest.split(' ').next().unwrap().parse().unwrap();
                }
                log += &(line + "\n");
            }
            panic!("LiteLLM's proxy ended before it listened:\n{log}")
        };
        let addr = within_deadline("LiteLLM's proxy", listens).await;
        let printed = tokio::spawn(async move { while let Ok(Some(_)) = printed.next_line().await {} });
        Self { child, addr, _printed: AbortOnDropHandle::new(printed) }
    }

    /// Ends it, and waits until it is gone.
    async fn kill(mut self) -> SocketAddr {
        self.child.kill().await.unwrap();
        self.addr
    }
}

/// What is seen of one answer.
#[derive(Default)]
struct Answered {
    drafts: Vec<String>,
    reply: Option<String>,
}

/// Follows a message to its end, or to the first change of this kind.
async fn follow(watch: &mut Watch, id: &str, until: ChangeKind) -> Answered {
    let mut answered = Answered::default();
    loop {
        match watch.event().await.unwrap().expect("the watch goes on") {
            Seen::Draft(draft) if draft.message_id == id && !draft.text.is_empty() => {
                answered.drafts.push(draft.text);
            }
            Seen::Change(change) => {
                let message = change.message.as_ref().unwrap();
                assert_ne!(change.kind(), ChangeKind::Failed, "{message:?}");
                if message.reply_to.as_deref() == Some(id) {
                    answered.reply = Some(message.text.clone());
                }
                if change.kind() == until && message.id == id {
                    return answered;
                }
            }
            _ => {}
        }
    }
}

async fn a_proxy_that_nobody_here_wrote_streams_answers_goes_away_and_comes_back() {
    let folder = TempDir::new().unwrap();
    let litellm = LiteLlm::start(&folder, "127.0.0.1:0".parse().unwrap()).await;
    let world = World::start().await;
    let client = world.grpc().await;
    let settings = ["--openai-api-key", KEY, "--tokens-per-day", "1000000"];
    let base_url = format!("http://{}/v1", litellm.addr);
    let _bot = Service::bot(&world.queue.grpc_url(), "helper", &base_url, &settings).await;
    let all = WatchMessagesRequest { drafts: true, ..WatchMessagesRequest::default() };
    let mut watch = client.watch(all).await.unwrap();

    let whole = SENTENCE.repeat(SENTENCES);
    let id = client.post(question("helper", "Who wrote this?")).await.unwrap().id;
    let Answered { drafts, reply } = follow(&mut watch, &id, ChangeKind::Completed).await;
    assert_eq!(reply.as_deref(), Some(whole.trim()));
    assert!(drafts.len() > 1 && drafts.iter().all(|draft| whole.starts_with(draft)), "{drafts:?}");

    let addr = litellm.kill().await;
    let id = client.post(question("helper", "And now?")).await.unwrap().id;
    follow(&mut watch, &id, ChangeKind::Released).await;
    let stats = world.browser().get("/api/stats").await.ok(200);
    assert!(stats["sessions"][0]["holdsBack"].is_string(), "{stats}");
    let _again = LiteLlm::start(&folder, addr).await;
    let answered = follow(&mut watch, &id, ChangeKind::Completed).await;
    assert_eq!(answered.reply.as_deref(), Some(whole.trim()));
}
