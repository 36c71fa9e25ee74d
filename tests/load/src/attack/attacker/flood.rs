//! Requests as fast as they are answered.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Method};
use hyper::body::Bytes;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, time::sleep};

use super::{Hand, NEXT_CONNECTION, NEXT_HOLD};
use crate::{
    attack::LOUD_PAGE,
    seed::{DOMAIN, ENTITY, text},
    wire::{Answer, Json},
};

/// The longest text that is taken.
const LONG: u32 = 16_384;
/// The largest file that the gateway has.
const LARGEST_FILE: &str = "/docs/swagger-ui-bundle.js";
/// Between two connections of one hand that are cut off.
const NEXT_CUT: Duration = Duration::from_millis(20);

/// A message of the attacker's own, and the header that proves whose it is.
pub(super) struct OwnMessage {
    path: String,
    token: Option<HeaderValue>,
}

/// Sends what `request` says, over new connections whenever one ends.
async fn flood(hand: Hand, token: Option<HeaderValue>, mut request: impl FnMut() -> (Method, String, Bytes)) {
    loop {
        let mut connection = hand.connect_json().await.with(token.clone());
        loop {
            let (method, path, body) = request();
            if call(&hand, &mut connection, method, &path, body).await.is_none() {
                break;
            }
        }
        sleep(NEXT_CONNECTION).await;
    }
}

async fn call(hand: &Hand, connection: &mut Json, method: Method, path: &str, body: Bytes) -> Option<Answer> {
    hand.sent();
    match connection.call(method, path, body).await {
        Ok(answer) => {
            hand.tally.lock().answer(answer.status, &answer.headers, &answer.body);
            Some(answer)
        }
        Err(_) => {
            hand.note("closed");
            None
        }
    }
}

fn comment(domain: &str, username: &str, text: &str, entity: Option<&str>) -> Bytes {
    let bot = entity.map(|entity| json!({ "entity": entity }));
    let comment =
        json!({"domain": domain, "text": text, "username": username, "color": "001001001", "botParams": bot});
    comment.to_string().into()
}

fn unique() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

pub(super) async fn posts(hand: Hand) {
    let body = comment(DOMAIN, "Mallory", &text(200), None);
    flood(hand, None, || (Method::POST, "/api/comments".to_owned(), body.clone())).await;
}

pub(super) async fn domains(hand: Hand) {
    let (unique, mut number) = (unique(), 0_u64);
    let request = || {
        number += 1;
        let domain = format!("{unique}-{number}.example");
        match number % 2 {
            0 => (Method::POST, "/api/comments".to_owned(), comment(&domain, "Mallory", "Mine", None)),
            _ => (Method::GET, format!("/api/comments?domain={domain}"), Bytes::new()),
        }
    };
    flood(hand, None, request).await;
}

pub(super) async fn waiting_texts(hand: Hand) {
    let (unique, text, mut number) = (unique(), text(LONG), 0_u64);
    let request = || {
        number += 1;
        let name = format!("{} {number}", &unique[..8]);
        // Every second one asks the bot that visitors ask.
        let entity = if number.is_multiple_of(2) { ENTITY } else { &name };
        (Method::POST, "/api/comments".to_owned(), comment(DOMAIN, &name, &text, Some(entity)))
    };
    flood(hand, None, request).await;
}

/// Asks for the largest page, or the largest file, as browsers do.
pub(super) async fn large_answers(hand: Hand, is_page: bool) {
    let path = if is_page { LOUD_PAGE } else { LARGEST_FILE };
    loop {
        let mut connection = hand.connect_json().await;
        loop {
            hand.sent();
            let Ok(answer) = connection.get_compressed(path).await else {
                hand.note("closed");
                break;
            };
            hand.tally.lock().answer(answer.status, &answer.headers, &answer.body);
        }
        sleep(NEXT_CONNECTION).await;
    }
}

pub(super) async fn wrong_tokens(hand: Hand) {
    let guess = format!("Bearer rpt_000000000000_{}{}", unique(), unique());
    let guess = HeaderValue::from_str(&guess).expect("a token is ASCII");
    flood(hand, Some(guess), || (Method::GET, "/api/stats".to_owned(), Bytes::new())).await;
}

/// Posts a message to edit.
pub(super) async fn own_message(hand: &Hand) -> OwnMessage {
    loop {
        let mut connection = hand.connect_json().await;
        let body = comment(DOMAIN, "Mallory", "Mine", None);
        let posted = call(hand, &mut connection, Method::POST, "/api/comments", body).await;
        let posted = posted.map(|answer| answer.json()).unwrap_or_default();
        if let (Some(id), Some(token)) = (posted["id"].as_str(), posted["editToken"].as_str()) {
            let token = HeaderValue::from_str(&format!("Bearer {token}")).ok();
            return OwnMessage { path: format!("/api/comments/{id}"), token };
        }
        sleep(NEXT_HOLD).await;
    }
}

pub(super) async fn edits(hand: Hand, own: Arc<OwnMessage>) {
    let body = Bytes::from(json!({ "text": text(LONG) }).to_string());
    flood(hand, own.token.clone(), || (Method::PATCH, own.path.clone(), body.clone())).await;
}

/// Posts, and is gone before the answer.
pub(super) async fn cut_posts(hand: Hand) {
    let body = comment(DOMAIN, "Mallory", "Gone", None);
    let head = format!(
        "POST /api/comments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), &body].concat();
    loop {
        let mut connection = hand.connect().await;
        hand.sent();
        // The server may have closed it first; either way it is cut.
        let _ = connection.write_all(&request).await;
        hand.note("cut off");
        drop(connection);
        sleep(NEXT_CUT).await;
    }
}
