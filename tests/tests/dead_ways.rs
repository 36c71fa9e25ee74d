//! The way between gateway and queue-service dies without a word: it is noticed, told, and what is safe is repeated.

use e2e::{
    Answer, DOMAIN, Events, Metrics, OPERATOR, Process, Service, WORKER, Way, question, within_deadline,
};
use reqwest::Method;
use serde_json::{Value, json};

fn comment(text: &str) -> Value {
    json!({"domain": DOMAIN, "username": "Human", "text": text})
}

/// A gateway behind a way of its own, and the queue-service; its stream of changes has come.
async fn behind_a_way(settings: &[&str]) -> (Service, Way, Service) {
    let queue = Service::queue_service(&[]).await;
    let way = Way::to(queue.grpc_addr()).await;
    let gateway = Service::gateway(&way.url(), settings).await;
    gateway.browser().get("/api/comments").await.ok(200);
    (queue, way, gateway)
}

async fn is_live(gateway: &Service) -> bool {
    Metrics::of(&gateway.browser()).await.value("repartee_tail_live") == 1.0
}

/// Only the connection is open that the gateway has for itself. With a deadline of a request that is far away, the answer comes
/// before the gateway can know that the stream is dead.
#[tokio::test]
async fn a_stored_post_is_answered_though_the_stream_of_changes_is_dead() {
    let (_queue, way, gateway) = behind_a_way(&["--request-timeout", "50s"]).await;
    way.lose_open();
    let posted = gateway.browser().post("/api/comments", &comment("Hello.")).await;
    assert!(is_live(&gateway).await, "the answer does not wait until the stream is found to be dead");
    posted.ok(201);
    // It is in the next list all the same, with the cookie of the write and without.
    let cookie = posted.header("set-cookie").split(';').next().unwrap().to_owned();
    let browser = gateway.browser();
    let own = browser.request(Method::GET, "/api/comments").header("cookie", cookie);
    for list in [Answer::to(own).await, browser.get("/api/comments").await] {
        assert_eq!(list.ok(200)[0]["text"], "Hello.");
    }
}

#[tokio::test]
async fn streams_and_polls_are_told_that_the_changes_do_not_come_and_when_they_do_again() {
    let (queue, way, gateway) = behind_a_way(&[]).await;
    let browser = gateway.browser();
    let mut stream = Events::open(&browser, "/api/comments/stream", "").await.unwrap();
    stream.named("hello").await;
    way.lose_all();
    assert_eq!(stream.named("upstream").await.data, json!({"live": false}));
    let list = browser.get("/api/comments").await;
    assert!(list.status == 503 || list.header("x-live") == "false", "{} {:?}", list.status, list.headers);
    let ready = async { while browser.get("/readyz").await.status == 200 {} };
    within_deadline("the gateway not to be ready", ready).await;

    way.mend();
    queue.grpc().await.post(e2e::platform_post("Ann", "Back.")).await.unwrap();
    // In either order: what has changed meanwhile comes as soon as it can be read.
    let (mut told, mut seen) = (false, false);
    while !(told && seen) {
        let event = stream.next().await.expect("the stream goes on");
        told |= event.name == "upstream" && event.data == json!({"live": true});
        seen |= event.name == "message" && event.data["text"] == "Back.";
    }
    let list = browser.get("/api/comments").await;
    assert_eq!((list.status, list.header("x-live")), (200, ""));
}

/// The deadline of a request is 10 s: who notices later has no time left.
#[tokio::test]
async fn calls_that_are_safe_or_have_a_key_are_repeated_over_a_fresh_connection() {
    let (queue, way, gateway) = behind_a_way(&["--queue-connections", "1"]).await;
    let browser = gateway.browser();
    let first = browser.comment(&comment("The first.")).await;
    let path = format!("/api/comments/{}", first["id"].as_str().unwrap());
    way.lose_open();
    let post = browser.request(Method::POST, "/api/comments").header("idempotency-key", "a key");
    let (read, posted) = tokio::join!(browser.get(&path), Answer::to(post.json(&comment("Under a key."))));
    assert_eq!(read.ok(200)["text"], "The first.");
    posted.ok(201);
    assert_eq!(queue.grpc().await.all().await.unwrap().len(), 2, "stored once");
}

/// Ten restarts, for a start may take longer than posts wait, on a slow machine.
#[tokio::test]
async fn posts_wait_for_a_queue_service_that_restarts() {
    let mut queue = Service::queue_service(&[]).await;
    let gateway = Service::gateway(&queue.grpc_url(), &[]).await;
    let browser = gateway.browser();
    browser.comment(&comment("Before.")).await;
    for number in 0..10 {
        queue.kill().await;
        let text = comment(&format!("Meanwhile {number}."));
        let (posted, ()) = tokio::join!(browser.post("/api/comments", &text), queue.start_again_in_place());
        if posted.status == 201 {
            return;
        }
        let back = async { while browser.get("/readyz").await.status != 200 {} };
        within_deadline("the gateway to be ready again", back).await;
    }
    panic!("no post was taken");
}

#[tokio::test]
async fn a_gateway_whose_token_is_unknown_or_of_another_role_says_so_by_readyz_and_takes_nothing() {
    let queue = Service::queue_service(&[]).await;
    let unknown = "rpt_00000000000f_2222222222222222222222222222222222222222222222222222222222222222";
    let url = queue.grpc_url();
    let arguments = ["--http-addr", "127.0.0.1:0", "--queue-url", &url];
    for wrong in [unknown, WORKER, OPERATOR] {
        let settings = [("REPARTEE_TOKEN", wrong), ("RUST_LOG", "info,rest_gateway=debug")];
        let mut gateway = Process::spawn_with("rest-gateway", &arguments, &settings);
        let addr = gateway.ready().await.http.unwrap();
        let browser = e2e::Browser::with(&format!("http://{addr}"), None);
        let named = async {
            loop {
                let answer = browser.get("/readyz").await;
                assert_ne!(answer.status, 200);
                if answer.text().contains("does not accept this gateway's token") {
                    break;
                }
            }
        };
        within_deadline("/readyz to name the token", named).await;
        gateway.logs("of the role gateway").await;
        // It tries again and again, and says so once.
        gateway.logs("the stream of changes is still away").await;
        assert_eq!(gateway.log().matches("the stream of changes is away").count(), 1, "{}", gateway.log());
        // Clients have sent no token, so however many come, none of them is told of too many wrong ones.
        for _ in 0..30 {
            browser.post("/api/comments", &comment("Hello?")).await.problem(503);
        }
        let again = browser.get("/readyz").await;
        assert!(again.text().contains("does not accept this gateway's token"), "{}", again.text());
        assert!(!gateway.log().contains(wrong), "{}", gateway.log());
    }
    let client = queue.grpc().await;
    assert!(client.list(None, 0).await.unwrap().messages.is_empty(), "nobody spoke with another's rights");
    client.post(question("echo", "Still there?")).await.unwrap();
}
