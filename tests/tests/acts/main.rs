//! What operators do with what strangers post: cancelling all of it at once, hiding it, blocking who posts it, and the log. A kill
//! loses none of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod blocking;
mod cancelling;
mod hiding;
mod log;
mod many;

use e2e::{Answer, Browser, World};
use reqwest::Method;
use serde_json::{Value, json};

const ANN: &str = "ann-0123456789abcdef0123456789abcdef";
const BEA: &str = "bea-0123456789abcdef0123456789abcdef";

/// A gateway that believes its clients about where they come from.
async fn world() -> World {
    World::with(&[], &["--trusted-proxy", "127.0.0.1/32"]).await
}

/// Somebody who posts: a secret, and an address.
#[derive(Clone, Copy)]
struct Visitor(&'static str, &'static str);

impl Visitor {
    async fn send(self, world: &World, method: Method, path: &str, body: &Value) -> Answer {
        let request = world.gateway.visitor().request(method, path).json(body);
        Answer::to(request.header("x-visitor", self.0).header("x-forwarded-for", self.1)).await
    }

    /// Posts a question in a conversation of its own, and hands out what was answered.
    async fn ask(self, world: &World, entity: &str, color: u32) -> Value {
        let body = json!({
            "domain": "lobby", "username": "Somebody", "color": format!("{:03}{:03}000", color / 100, color % 100), "text": "Buy this!",
            "botParams": {"entity": entity},
        });
        self.send(world, Method::POST, "/api/comments", &body).await.ok(201)
    }
}

async fn acts(browser: &Browser) -> Vec<Value> {
    browser.get("/api/admin/acts").await.ok(200)["acts"].as_array().unwrap().clone()
}

async fn waiting(browser: &Browser) -> Vec<Value> {
    browser.get("/api/queue/pending").await.ok(200)["pending"].as_array().unwrap().clone()
}
