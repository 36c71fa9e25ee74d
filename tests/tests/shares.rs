//! One client that takes all that it may, and another one that is served at once: for each kind of share.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use e2e::{
    Answer, Browser, Frames, Metrics, OPERATOR, Service, WORKER, World, platform_post, question_json,
    within_deadline,
};
use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use repartee_proto::v1::DeleteMessageRequest;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};
use tonic::Code;
use tonic_types::StatusExt as _;

/// Two addresses of this machine, and one where a proxy could be.
const GREEDY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

/// Somebody at an address of their own.
#[derive(Clone)]
struct Visitor {
    client: Client,
    base: String,
}

impl Visitor {
    fn at(address: Ipv4Addr, gateway: &Service) -> Self {
        let client = Client::builder().no_proxy().local_address(Some(address.into())).build().unwrap();
        Self { client, base: format!("http://{}", gateway.http_addr()) }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    async fn post(&self, comment: &Value) -> Answer {
        Answer::to(self.request(Method::POST, "/api/comments").json(comment)).await
    }

    /// A request that goes on until it is dropped.
    fn hanging(&self, path: &str) -> JoinHandle<()> {
        let request = self.request(Method::GET, path);
        tokio::spawn(async move {
            if let Ok(answer) = request.send().await {
                drop(answer.bytes().await);
            }
        })
    }
}

/// A gateway with limits by client before a queue-service, and both visitors.
async fn world(limits: &[&str]) -> (World, Visitor, Visitor) {
    let world = World::with(&[], &[&["--client-limits", "on"], limits].concat()).await;
    let visitors = [GREEDY, OTHER].map(|address| Visitor::at(address, &world.gateway));
    let [greedy, other] = visitors;
    (world, greedy, other)
}

/// The same before a queue-service that takes connections and never answers.
async fn stuck(limits: &[&str]) -> (Service, Visitor, Visitor, TcpListener) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let settings = [&["--client-limits", "on", "--request-timeout", "60s"], limits].concat();
    let gateway = Service::gateway(&url, &settings).await;
    let (greedy, other) = (Visitor::at(GREEDY, &gateway), Visitor::at(OTHER, &gateway));
    (gateway, greedy, other, silent)
}

fn post(text: &str) -> Value {
    json!({"domain": e2e::DOMAIN, "text": text, "username": "Human"})
}

/// Checks that a client is told which limit of its own was hit, and when to come back.
fn over(answer: &Answer, limit: &str) {
    assert_eq!(answer.problem(429)["reason"], "CLIENT_LIMIT");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(
        answer.header("ratelimit-policy").starts_with(&format!("\"{limit}\";q=")),
        "{:?}",
        answer.headers
    );
    assert!(answer.header("ratelimit").starts_with(&format!("\"{limit}\";r=0")), "{:?}", answer.headers);
}

/// Waits until a client holds so much of a share.
async fn until_held(gateway: &Service, share: &str, count: f64) {
    let operator = gateway.browser();
    let held = async { while Metrics::of(&operator).await.bound(share).0 != count {} };
    within_deadline(share, held).await;
}

#[tokio::test]
async fn who_floods_with_posts_is_stopped_and_another_one_posts_at_once() {
    let (world, greedy, other) = world(&["--client-posts", "1/1h", "--client-post-burst", "5"]).await;
    for left in (0..5).rev() {
        let answer = greedy.post(&post("More!")).await;
        answer.ok(201);
        assert_eq!(answer.header("ratelimit-policy"), "\"posts\";q=5;w=18000");
        assert!(
            answer.header("ratelimit").starts_with(&format!("\"posts\";r={left};t=")),
            "{:?}",
            answer.headers
        );
    }
    over(&greedy.post(&post("More!")).await, "posts");
    greedy.get("/api/comments").await.ok(200);
    other.post(&post("Hello")).await.ok(201);
    assert_eq!(Metrics::of(&world.browser()).await.refused("client_posts"), 1.0);
}

#[tokio::test]
async fn who_begins_conversation_after_conversation_is_stopped_and_may_go_on_in_each() {
    let (_world, greedy, other) = world(&["--client-conversations", "3/1h"]).await;
    let first = question_json("nobody", "Well?");
    greedy.post(&first).await.ok(201);
    for _ in 0..2 {
        greedy.post(&question_json("nobody", "Well?")).await.ok(201);
    }
    over(&greedy.post(&question_json("nobody", "Well?")).await, "conversations");
    greedy.post(&first).await.ok(201);
    greedy.post(&post("To nobody in particular")).await.ok(201);
    other.post(&question_json("nobody", "Well?")).await.ok(201);
}

#[tokio::test]
async fn who_fills_the_disk_is_stopped_and_another_one_has_a_day_of_their_own() {
    let (_world, greedy, other) = world(&["--client-bytes-per-day", "64KiB"]).await;
    let long = post(&"x".repeat(16_384));
    for _ in 0..3 {
        greedy.post(&long).await.ok(201);
    }
    over(&greedy.post(&long).await, "bytes");
    other.post(&long).await.ok(201);
}

#[tokio::test]
async fn who_edits_without_end_is_stopped_and_another_one_edits_at_once() {
    let (_world, greedy, other) = world(&["--client-edits", "3/1h"]).await;
    let edit = async |visitor: &Visitor, posted: &Value| {
        let path = format!("/api/comments/{}", posted["id"].as_str().unwrap());
        let request =
            visitor.request(Method::PATCH, &path).bearer_auth(posted["editToken"].as_str().unwrap());
        Answer::to(request.json(&json!({"text": "Again"}))).await
    };
    let (own, others) = (greedy.post(&post("One")).await.ok(201), other.post(&post("Two")).await.ok(201));
    for _ in 0..3 {
        edit(&greedy, &own).await.ok(200);
    }
    over(&edit(&greedy, &own).await, "edits");
    edit(&other, &others).await.ok(200);
}

#[tokio::test]
async fn who_takes_all_streams_of_its_share_leaves_others_theirs() {
    let (world, greedy, other) = world(&["--client-sse-clients", "2"]).await;
    let path = format!("/api/comments/stream?domain={}", e2e::DOMAIN);
    let _held = [greedy.hanging(&path), greedy.hanging(&path)];
    until_held(&world.gateway, "client_sse_clients", 2.0).await;
    over(&greedy.get(&path).await, "sse_clients");
    let stream = other.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(stream.status(), 200);
}

#[tokio::test]
async fn who_takes_all_long_polls_of_its_share_leaves_others_theirs_and_gets_them_back() {
    let (world, greedy, other) = world(&["--client-long-polls", "2"]).await;
    let page = greedy.get(&format!("/api/comments/changes?domain={}", e2e::DOMAIN)).await.ok(200);
    let next = page["next"].as_str().unwrap();
    let path = format!("/api/comments/changes?domain={}&cursor={next}&wait=25", e2e::DOMAIN);
    let held = [greedy.hanging(&path), greedy.hanging(&path)];
    until_held(&world.gateway, "client_long_polls", 2.0).await;
    over(&greedy.get(&path).await, "long_polls");
    let (waiting, posted) = tokio::join!(other.get(&path), async {
        until_held_of_all(&world, "long_polls", 3.0).await;
        world.grpc().await.post(platform_post("Human", "At last")).await.unwrap()
    });
    assert_eq!(waiting.ok(200)["messages"][0]["id"], posted.id);
    for poll in held {
        poll.await.unwrap();
    }
    until_held(&world.gateway, "client_long_polls", 0.0).await;
}

async fn until_held_of_all(world: &World, bound: &str, count: f64) {
    let operator = world.browser();
    let held = async { while Metrics::of(&operator).await.bound(bound).0 != count {} };
    within_deadline(bound, held).await;
}

#[tokio::test]
async fn who_has_all_calls_of_its_share_under_way_leaves_others_theirs() {
    let (gateway, greedy, other, _silent) = stuck(&["--client-upstream-calls", "2"]).await;
    let path = "/api/conversation?humanUsername=a&humanColor=default&aiUsername=c&aiColor=default";
    let _held = [greedy.hanging(path), greedy.hanging(path)];
    until_held(&gateway, "client_upstream_calls", 2.0).await;
    over(&greedy.get(path).await, "upstream_calls");
    let _others = other.hanging(path);
    let operator = gateway.browser();
    let called = async { while Metrics::of(&operator).await.bound("upstream_calls").0 != 3.0 {} };
    within_deadline("the call of another one", called).await;
}

#[tokio::test]
async fn who_has_all_requests_of_its_share_under_way_leaves_others_theirs() {
    let (gateway, greedy, other, _silent) = stuck(&["--client-requests", "2"]).await;
    let path = "/api/conversation?humanUsername=a&humanColor=default&aiUsername=c&aiColor=default";
    let _held = [greedy.hanging(path), greedy.hanging(path)];
    until_held(&gateway, "client_requests", 2.0).await;
    over(&greedy.get("/api/comments/x").await, "requests");
    assert_eq!(greedy.get("/livez").await.status, 200);
    let _others = other.hanging(path);
    let operator = gateway.browser();
    let called = async { while Metrics::of(&operator).await.bound("requests").0 != 3.0 {} };
    within_deadline("the request of another one", called).await;
}

/// Opens a connection from this address, and says nothing on it.
async fn idle(address: Ipv4Addr, gateway: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    socket.connect(gateway).await.unwrap()
}

#[tokio::test]
async fn who_takes_all_connections_of_its_share_leaves_others_theirs() {
    let limits = ["--client-connections", "5", "--max-connections", "20", "--trusted-proxy", "127.0.0.4"];
    let (world, _, other) = world(&limits).await;
    let gateway = world.gateway.http_addr();
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(idle(GREEDY, gateway).await);
    }
    for connection in &mut held[5..] {
        let mut said = Vec::new();
        // How it ends, by a farewell or a reset, is of no matter.
        let _ = within_deadline("the end of a connection", connection.read_to_end(&mut said)).await;
    }
    other.post(&post("Hello")).await.ok(201);
    // A proxy has more, for many.
    let proxied = join_all((0..8).map(|_| idle(PROXY, gateway))).await;
    until_held_of_all(&world, "http_connections", 5.0 + 8.0 + 1.0).await;
    let metrics = Metrics::of(&world.browser()).await;
    assert_eq!((metrics.bound("client_connections").0, metrics.refused("client_connections")), (5.0, 35.0));
    drop((held, proxied));
    until_held(&world.gateway, "client_connections", 1.0).await;
}

#[tokio::test]
async fn who_takes_none_of_its_answers_fills_its_share_and_another_one_is_sent_large_ones() {
    const FILE: &str = "/docs/swagger-ui-bundle.js";
    let proxy = PROXY.to_string();
    let (world, greedy, other) = world(&["--client-answer-bytes", "8MiB", "--trusted-proxy", &proxy]).await;
    for part in 0..3 {
        world
            .grpc()
            .await
            .post(platform_post("Human", &format!("{part}{}", "x".repeat(10_000))))
            .await
            .unwrap();
    }
    let mut open = Vec::new();
    // Each has one answer of 1.5 MB, which is far from what a connection may have.
    for _ in 0..8 {
        let from = GREEDY.to_string();
        let mut frames = Frames::connect_from(&from, world.gateway.http_addr(), 0).await.unwrap();
        frames.get(1, FILE).await.unwrap();
        within_deadline("the head of an answer", frames.next()).await.unwrap();
        open.push(frames);
    }
    over(&greedy.get(FILE).await, "answer_bytes");
    // More than 16 KiB, so it needs room; it may take a moment until the gateway has heard of all.
    let page = async { while other.get("/api/comments?limit=1000").await.ok(200)[2].is_null() {} };
    within_deadline("a large page", page).await;
    assert_eq!(other.get(FILE).await.status, 200);
    // Of those behind a proxy each has its own.
    let proxied = Visitor::at(PROXY, &world.gateway);
    let behind = async |client: &str| {
        Answer::to(proxied.request(Method::GET, FILE).header("x-forwarded-for", client)).await
    };
    over(&behind(&GREEDY.to_string()).await, "answer_bytes");
    assert_eq!(behind("203.0.113.1").await.status, 200);
    let (held, limit) = Metrics::of(&world.browser()).await.bound("client_answer_bytes");
    assert!(held > limit - 2e6 && held <= limit, "{held} of {limit}");
    drop(open);
    until_held(&world.gateway, "client_answer_bytes", 0.0).await;
    assert_eq!(greedy.get(FILE).await.status, 200);
}

#[tokio::test]
async fn who_asks_for_large_answers_without_end_is_stopped_and_another_one_is_sent_theirs() {
    let (world, greedy, other) = world(&["--client-answer-bytes-per-minute", "8MiB"]).await;
    let queue = world.grpc().await;
    for part in 0..20 {
        queue.post(platform_post("Human", &format!("{part}{}", "x".repeat(10_000)))).await.unwrap();
    }
    let last =
        async |visitor: &Visitor| visitor.get("/api/comments?limit=1").await.ok(200)[0]["text"].clone();
    let all = async { while !last(&other).await.as_str().is_some_and(|text| text.starts_with("19")) {} };
    within_deadline("all posts", all).await;
    let answers = async {
        loop {
            let answer = greedy.get("/api/comments?limit=1000").await;
            if answer.status != 200 {
                return answer;
            }
        }
    };
    over(&within_deadline("the limit", answers).await, "answers");
    // What is small is made all the same, and so is everything of others.
    greedy.get("/api/comments?limit=1").await.ok(200);
    other.get("/api/comments?limit=1000").await.ok(200);
}

/// Uses up a pace of 5 in an hour: the next connection, and what follows on this one, is read 15 s later.
async fn use_up_pace(visitor: &Visitor) {
    for _ in 0..5 {
        visitor.get("/api/comments").await.ok(200);
    }
}

#[tokio::test]
async fn who_asks_faster_than_the_pace_is_read_later_and_another_one_is_answered_at_once() {
    let (world, greedy, other) = world(&["--client-pace", "5/1h"]).await;
    use_up_pace(&greedy).await;
    let fresh = Visitor::at(GREEDY, &world.gateway);
    let slowed = [(&greedy, "/api/comments"), (&greedy, "/"), (&fresh, "/api/comments/none")]
        .map(|(visitor, path)| visitor.hanging(path));
    for _ in 0..4 {
        other.get("/api/comments").await.ok(200);
    }
    assert!(slowed.iter().all(|request| !request.is_finished()), "cheap or not, right or wrong");
    assert!(Metrics::of(&world.browser()).await.value("repartee_client_slowdowns_total") >= 1.0);
    slowed.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn who_proves_to_be_no_stranger_and_a_trusted_proxy_are_not_slowed_down() {
    let proxy = PROXY.to_string();
    let (world, worker, _) = world(&["--client-pace", "5/1h", "--trusted-proxy", &proxy]).await;
    let proxy = Visitor::at(PROXY, &world.gateway);
    let stats = || Answer::to(worker.request(Method::GET, "/api/stats").bearer_auth(OPERATOR));
    // Each would wait for 15 s otherwise, and so would the first one if its connection had to.
    let answered = async {
        for _ in 0..30 {
            stats().await.ok(200);
            Answer::to(proxy.request(Method::GET, "/api/comments").header("x-forwarded-for", "203.0.113.1"))
                .await
                .ok(200);
        }
    };
    within_deadline("thirty answers", answered).await;
    assert_eq!(Metrics::of(&world.browser()).await.value("repartee_client_slowdowns_total"), 0.0);
}

/// Sends the head of a post and the first byte of its body.
async fn slow_body(address: Ipv4Addr, gateway: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    let mut connection = socket.connect(gateway).await.unwrap();
    let head = "POST /api/comments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 1000\r\n\r\n{";
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

#[tokio::test]
async fn who_sends_all_bodies_of_its_share_slowly_leaves_others_theirs() {
    let (world, greedy, other) = world(&["--client-bodies", "2"]).await;
    let gateway = world.gateway.http_addr();
    let _held = [slow_body(GREEDY, gateway).await, slow_body(GREEDY, gateway).await];
    until_held(&world.gateway, "client_bodies", 2.0).await;
    over(&greedy.post(&post("Me too")).await, "bodies");
    other.post(&post("Hello")).await.ok(201);
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_told_apart_and_nobody_else_chooses_who_they_are() {
    let proxy = PROXY.to_string();
    let limits = ["--trusted-proxy", &proxy, "--client-posts", "1/1h", "--client-post-burst", "1"];
    let (world, greedy, other) = world(&limits).await;
    let proxy = Visitor::at(PROXY, &world.gateway);
    let forwarded = async |visitor: &Visitor, chain: &str| {
        let request = visitor.request(Method::POST, "/api/comments").header("x-forwarded-for", chain);
        Answer::to(request.json(&post("Hello"))).await
    };
    forwarded(&proxy, "203.0.113.1").await.ok(201);
    over(&forwarded(&proxy, "198.51.100.77, 203.0.113.1").await, "posts");
    forwarded(&proxy, "203.0.113.2").await.ok(201);
    // A /64 is one client.
    forwarded(&proxy, "2001:db8::1").await.ok(201);
    over(&forwarded(&proxy, "2001:db8::2").await, "posts");
    // Nobody believes who is no proxy, and it costs nobody else anything.
    forwarded(&greedy, "203.0.113.3").await.ok(201);
    over(&forwarded(&greedy, "203.0.113.4").await, "posts");
    forwarded(&proxy, "203.0.113.3").await.ok(201);
    other.post(&post("Hello")).await.ok(201);
}

#[tokio::test]
async fn limits_by_client_can_be_switched_off_and_the_log_says_so() {
    let settings = ["--client-limits", "off", "--client-posts", "1/1h", "--client-post-burst", "1"];
    let mut world = World::with(&[], &settings).await;
    for _ in 0..20 {
        world.browser().comment(&post("More!")).await;
    }
    assert!(world.gateway.process().log().contains("limits by client are off"));
}

#[tokio::test]
async fn guessed_tokens_are_counted_and_slowed_and_fill_no_log() {
    let settings = ["--client-limits", "on", "--log-addresses", "plain"];
    let mut world = World::with(&[], &settings).await;
    let [guesser, other] = [GREEDY, OTHER].map(|address| Visitor::at(address, &world.gateway));
    let posted = other.post(&post("Mine")).await.ok(201);
    let path = format!("/api/comments/{}", posted["id"].as_str().unwrap());
    let guess =
        |number: u32| guesser.request(Method::DELETE, &path).bearer_auth(format!("guess-{number:032}"));
    let began = Instant::now();
    let mut refused = [0, 0];
    // Those that are one too many are answered a second later.
    for batch in 0..8 {
        let answers = join_all((0..100).map(|number| guess(batch * 100 + number).send())).await;
        for answer in answers {
            match answer.unwrap().status().as_u16() {
                401 | 403 => refused[0] += 1,
                429 => refused[1] += 1,
                other => panic!("a guessed token is answered with {other}"),
            }
        }
    }
    let seconds = u32::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!(refused[0] <= 20 + seconds, "{refused:?} in {seconds} s");
    let counted =
        Metrics::of(&Browser::new(&world.queue.grpc_url())).await.value("repartee_wrong_tokens_total");
    let metrics = Metrics::of(&world.browser()).await;
    let [wrong, edits] = ["client_wrong_tokens", "client_edits"].map(|bound| metrics.refused(bound));
    assert_eq!(wrong + edits, f64::from(refused[1]));
    assert_eq!(counted, f64::from(refused[0]) + wrong, "every one that was judged");
    let log = world.gateway.process().log();
    assert!(log.contains("127.0.0.2"), "the log names who it was: {log}");
    let most = (seconds as usize + 2) * 20 * 2;
    assert!(log.lines().count() < most, "{} lines in {seconds} s", log.lines().count());
    // Another one's right token is looked at all the while.
    let own = other.request(Method::DELETE, &path).bearer_auth(posted["editToken"].as_str().unwrap());
    Answer::to(own).await.ok(200);
}

/// Shaped like a token of a role, and none.
const WRONG: &str = "rpt_000000000000_0000000000000000000000000000000000000000000000000000000000000000";

#[tokio::test]
async fn a_right_token_of_a_role_has_no_limits_of_visitors_and_a_wrong_one_has_them() {
    let limits = ["--client-posts", "1/1h", "--client-post-burst", "3", "--client-sse-clients", "1"];
    let (world, greedy, other) = world(&limits).await;
    let send = async |token: &str, request: RequestBuilder| Answer::to(request.bearer_auth(token)).await;
    let comment = |visitor: &Visitor| visitor.request(Method::POST, "/api/comments").json(&post("More!"));
    // The first is counted: nobody knows the token yet.
    for _ in 0..20 {
        send(OPERATOR, comment(&other)).await.ok(201);
    }
    for _ in 0..2 {
        comment(&other).send().await.unwrap().error_for_status().unwrap();
    }
    over(&Answer::to(comment(&other)).await, "posts");
    // What is answered without the queue-service proves no token, however often.
    for _ in 0..10 {
        send(WRONG, greedy.request(Method::GET, "/api/comments")).await.ok(200);
    }
    let stream = |token: &str| {
        greedy
            .request(Method::GET, &format!("/api/comments/stream?domain={}", e2e::DOMAIN))
            .bearer_auth(token)
    };
    let _held = stream(WRONG).send().await.unwrap();
    until_held(&world.gateway, "client_sse_clients", 1.0).await;
    over(&Answer::to(stream(WRONG)).await, "sse_clients");
    over(&Answer::to(stream(OPERATOR)).await, "sse_clients");
    send(OPERATOR, greedy.request(Method::GET, "/api/stats")).await.ok(200);
    let open = [stream(OPERATOR).send().await.unwrap(), stream(OPERATOR).send().await.unwrap()];
    assert!(open.iter().all(|stream| stream.status() == 200));
}

#[tokio::test]
async fn a_right_token_is_accepted_beside_guesses_from_its_address_and_one_that_does_not_suffice_is_none() {
    let (_world, guesser, other) = world(&["--client-wrong-tokens", "5/1h"]).await;
    let send = async |visitor: &Visitor, token: &str, path: &str| {
        Answer::to(visitor.request(Method::GET, path).bearer_auth(token)).await
    };
    for _ in 0..20 {
        send(&guesser, WORKER, "/metrics").await.problem(403);
    }
    send(&guesser, OPERATOR, "/api/stats").await.ok(200);
    for _ in 0..5 {
        assert_eq!(send(&guesser, WRONG, "/api/stats").await.problem(403)["reason"], "TOKEN_UNKNOWN");
    }
    let began = Instant::now();
    over(&send(&guesser, WRONG, "/api/stats").await, "wrong_tokens");
    assert!(began.elapsed() >= Duration::from_secs(1), "it is answered late");
    over(&send(&guesser, WRONG, "/metrics").await, "wrong_tokens");
    // Known from here before the guesses or not, they do not shut it out.
    send(&guesser, OPERATOR, "/api/stats").await.ok(200);
    send(&guesser, e2e::ECHO_WORKER, "/api/queue/pending?entity=echo").await.ok(200);
    let posted = guesser.post(&post("Mine")).await.ok(201);
    let own = guesser.request(Method::DELETE, &format!("/api/comments/{}", posted["id"].as_str().unwrap()));
    Answer::to(own.bearer_auth(posted["editToken"].as_str().unwrap())).await.ok(200);
    over(&send(&guesser, WRONG, "/api/stats").await, "wrong_tokens");
    guesser.get("/api/comments").await.ok(200);
    send(&other, OPERATOR, "/api/stats").await.ok(200);
}

#[tokio::test]
async fn questions_about_tokens_take_their_clients_share_of_the_calls_upstream() {
    let settings = ["--client-upstream-calls", "2", "--max-upstream-calls", "3"];
    let (gateway, flood, other, _silent) = stuck(&settings).await;
    let third = Visitor::at(PROXY, &gateway);
    let ask = |visitor: &Visitor, path: &str| {
        let request = visitor.request(Method::GET, path).bearer_auth(WRONG);
        tokio::spawn(async move { Answer::to(request).await })
    };
    let mut waiting: FuturesUnordered<_> =
        (0..5).flat_map(|_| [ask(&flood, "/metrics"), ask(&flood, "/api/admin/history")]).collect();
    for _ in 0..8 {
        let refused = within_deadline("a refusal", waiting.next()).await.unwrap().unwrap();
        over(&refused, "upstream_calls");
    }
    until_held(&gateway, "upstream_calls", 2.0).await;
    let _waits = ask(&other, "/metrics");
    until_held(&gateway, "upstream_calls", 3.0).await;
    let refused = within_deadline("a refusal", ask(&third, "/metrics")).await.unwrap();
    assert_eq!(refused.problem(429)["reason"], "TOO_MANY_CALLS", "there are no more for anybody");
}

/// The status of a call of the gRPC port with this token.
async fn called(queue: &Service, token: &str) -> (Code, String) {
    let grpc = queue.grpc_with(Some(token)).await;
    match grpc.stats().await {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => {
            (status.code(), status.get_details_error_info().map(|info| info.reason).unwrap_or_default())
        }
    }
}

#[tokio::test]
async fn guesses_at_the_grpc_port_are_slowed_and_shut_out_nobody_else() {
    let settings = ["--client-limits", "on", "--client-wrong-tokens", "5/1h"];
    let world = World::with(&settings, &[]).await;
    let limited = (Code::ResourceExhausted, "CLIENT_LIMIT".to_owned());
    for _ in 0..20 {
        // Right, but not of an operator.
        assert_eq!(called(&world.queue, WORKER).await, (Code::PermissionDenied, String::new()));
    }
    for _ in 0..5 {
        assert_eq!(called(&world.queue, WRONG).await, (Code::PermissionDenied, "TOKEN_UNKNOWN".to_owned()));
    }
    let more = join_all((0..20).map(|_| called(&world.queue, WRONG))).await;
    assert_eq!(more, vec![limited.clone(); 20]);
    let metrics = Browser::with(&world.queue.grpc_url(), Some(WRONG)).get("/metrics").await;
    assert_eq!(metrics.status, 429);
    assert!(metrics.header("retry-after").parse::<u64>().unwrap() >= 1);
    // None of these has come from this address before.
    assert_eq!(called(&world.queue, e2e::ECHO_WORKER).await, (Code::PermissionDenied, String::new()));
    assert_eq!(called(&world.queue, OPERATOR).await.0, Code::Ok);
    let posted = world.browser().comment(&post("The gateway goes on")).await;
    let [id, own] = ["id", "editToken"].map(|field| posted[field].as_str().unwrap());
    let author = world.queue.grpc_with(Some(own)).await;
    author
        .raw()
        .delete_message(DeleteMessageRequest { message_id: id.to_owned(), ..Default::default() })
        .await
        .unwrap();
    assert_eq!(called(&world.queue, WRONG).await, limited);
    let metrics = Metrics::of(&Browser::new(&world.queue.grpc_url())).await;
    assert_eq!(metrics.value("repartee_wrong_tokens_total"), 27.0);
    assert_eq!(metrics.refused("peer_wrong_tokens"), 22.0);
}

#[tokio::test]
async fn wrong_tokens_that_a_gateway_passes_on_do_not_count_against_the_gateway() {
    let world = World::with(&["--client-limits", "on", "--client-wrong-tokens", "5/1h"], &[]).await;
    for _ in 0..20 {
        let refused = Browser::with(&format!("http://{}", world.gateway.http_addr()), Some(WRONG));
        assert_eq!(refused.get("/api/stats").await.problem(403)["reason"], "TOKEN_UNKNOWN");
    }
    world.browser().comment(&post("Hello")).await;
}

#[tokio::test]
async fn a_log_names_clients_by_a_hash_unless_it_is_told_otherwise() {
    for (setting, named) in
        [(&[][..], false), (&["--log-addresses", "off"], false), (&["--log-addresses", "plain"], true)]
    {
        let mut world = World::with(&[], setting).await;
        let visitor = Visitor::at(GREEDY, &world.gateway);
        visitor.get("/api/comments/none").await;
        let process = world.gateway.process();
        let mut look = tokio::time::interval(Duration::from_millis(10));
        let told = async {
            while !process.log().contains("/api/comments/{id}") {
                look.tick().await;
            }
        };
        within_deadline("a line", told).await;
        assert_eq!(process.log().contains("127.0.0.2"), named, "{}", process.log());
    }
}
