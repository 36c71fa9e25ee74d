//! Every JSON route by every caller. Each request is in order and has something to act on, so that what is seen is the right
//! alone: who may gets what they ask for, and who may not is refused and changes nothing.

use e2e::{Answer, Browser, GATEWAY, Grpc, OPERATOR, WORKER, World, question, question_json};
use repartee_process::access::{self, Callers};
use repartee_proto::v1::Message;
use reqwest::Method;
use serde_json::{Value, json};

/// The name of the worker whose claims are finished, given back and so on.
const HOLDER: &str = "worker 1";

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sender {
    Visitor,
    Author,
    AuthorOfAnother,
    Worker,
    Gateway,
    Operator,
}

const SENDERS: [Sender; 6] = [
    Sender::Visitor,
    Sender::Author,
    Sender::AuthorOfAnother,
    Sender::Worker,
    Sender::Gateway,
    Sender::Operator,
];

/// A message that waits for an entity of its own, as a visitor posted it.
struct Target {
    message: Message,
    edit_token: String,
}

impl Sender {
    fn token(self, target: &Target, another: &Target) -> Option<String> {
        match self {
            Self::Visitor => None,
            Self::Author => Some(target.edit_token.clone()),
            Self::AuthorOfAnother => Some(another.edit_token.clone()),
            Self::Worker => Some(WORKER.to_owned()),
            Self::Gateway => Some(GATEWAY.to_owned()),
            Self::Operator => Some(OPERATOR.to_owned()),
        }
    }

    /// What the table says.
    fn may(self, callers: Callers) -> bool {
        match self {
            Self::Visitor | Self::AuthorOfAnother => callers.include(Callers::VISITOR),
            Self::Author => callers.meet(Callers::VISITOR | Callers::AUTHOR),
            Self::Worker => callers.include(Callers::WORKER),
            // A gateway's token opens nothing from outside, only what asks for no token.
            Self::Gateway => callers == Callers::ANYONE,
            Self::Operator => callers.include(Callers::OPERATOR),
        }
    }
}

impl Target {
    async fn posted_by(visitor: &Grpc, entity: &str) -> Self {
        let posted = visitor.post_with_key(question(entity, "Well?"), None).await;
        let posted = posted.expect("a visitor may ask");
        Self { message: posted.message.expect("it was stored"), edit_token: posted.edit_token }
    }

    /// Brings the message to where a step of this path leads on from: by `holder`, for a worker id names only the claims of
    /// its own token.
    async fn ready_for(&self, path: &str, holder: &Grpc, operator: &Grpc) {
        let id = &self.message.id;
        match path {
            "/api/queue/renew" | "/api/queue/release" | "/api/queue/complete" | "/api/queue/fail" => {
                holder.claim(id, HOLDER).await.expect("it waits");
            }
            "/api/queue/retry" => {
                operator.cancel(id).await.expect("it waits");
            }
            _ => {}
        }
    }

    /// The path and the body of a request that is in order.
    ///
    /// # Panics
    /// If this test does not know the route.
    fn request(&self, method: &str, path: &str) -> (String, Option<Value>) {
        let Message { id, username, color, bot_params, .. } = &self.message;
        let entity = &bot_params.as_ref().expect("it asks a bot").entity;
        let held = json!({"messageId": id, "workerId": HOLDER});
        let with = |name: &str, value: Value| {
            let mut body = held.clone();
            body[name] = value;
            Some(body)
        };
        let body = match (method, path) {
            ("POST", "/api/comments") => Some(question_json(entity, "And I?")),
            ("PATCH", "/api/comments/{id}") => Some(json!({"text": "Changed."})),
            ("POST", "/api/queue/claim" | "/api/queue/renew" | "/api/queue/release") => Some(held.clone()),
            ("POST", "/api/queue/claim-next") => Some(json!({"workerId": HOLDER, "entities": [entity]})),
            ("POST", "/api/queue/complete") => with("reply", json!({"text": "So."})),
            ("POST", "/api/queue/fail") => with("error", "not today".into()),
            ("POST", "/api/queue/retry" | "/api/queue/cancel" | "/api/admin/hide" | "/api/admin/restore") => {
                Some(json!({"messageId": id}))
            }
            ("POST", "/api/queue/retry-messages" | "/api/queue/cancel-messages") => {
                Some(json!({"messageIds": [id]}))
            }
            ("POST", "/api/queue/pause" | "/api/queue/resume" | "/api/queue/cancel-pending") => {
                Some(json!({"entity": entity}))
            }
            ("POST", "/api/admin/block") => Some(json!({"author": "0".repeat(32), "for": "1s"})),
            ("POST", "/api/admin/unblock") => Some(json!({"author": "0".repeat(32)})),
            ("GET" | "DELETE", _) => None,
            _ => panic!("say here what a request to {method} {path} needs"),
        };
        let path = match path {
            "/api/conversation" => {
                let username = username.replace(' ', "+");
                let human = format!("humanUsername={username}&humanColor={color}");
                format!("{path}?{human}&aiUsername={entity}&aiColor=default")
            }
            path => path.replace("{id}", id).replace("{name}", "depth").replace("{file}", "index.html"),
        };
        (path, body)
    }
}

/// Calls a route; of a stream only the head is read.
async fn call(browser: &Browser, method: &str, path: &str, body: Option<Value>) -> Answer {
    let request = browser.request(method.parse::<Method>().expect("it is one"), path);
    let request = body.iter().fold(request, |request, body| request.json(body));
    if path != "/api/comments/stream" {
        return Answer::to(request).await;
    }
    let response = request.send().await.expect("the gateway answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: Vec::new() }
}

#[tokio::test]
async fn every_route_is_open_to_the_callers_of_the_table_and_to_no_other() {
    let world = World::with(&["--list-rooms"], &["--list-rooms"]).await;
    let (operator, visitor) = (world.grpc().await, world.queue.grpc_with(None).await);
    let worker = world.queue.grpc_with(Some(WORKER)).await;
    let another = Target::posted_by(&visitor, "another").await;
    let url = format!("http://{}", world.gateway.http_addr());
    for (n, (method, path, callers)) in access::ROUTES.iter().enumerate() {
        for sender in SENDERS {
            let target = Target::posted_by(&visitor, &format!("bot {n} {sender:?}")).await;
            let holder = if sender == Sender::Worker { &worker } else { &operator };
            target.ready_for(path, holder, &operator).await;
            let before = operator.get(&target.message.id).await.expect("it is there");
            let browser = Browser::with(&url, sender.token(&target, &another).as_deref());
            let (asked, body) = target.request(method, path);
            let answer = call(&browser, method, &asked, body).await;
            let told = format!("{method} {path} by {sender:?}: {} {}", answer.status, answer.text());
            if sender.may(*callers) {
                assert!((200..400).contains(&answer.status), "{told}");
                continue;
            }
            let expected = if sender == Sender::Visitor { 401 } else { 403 };
            assert_eq!(answer.status, expected, "{told}");
            let problem = answer.problem(expected);
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("token")), "{told}");
            assert_eq!(operator.get(&target.message.id).await.expect("it is there"), before, "{told}");
        }
    }
}
