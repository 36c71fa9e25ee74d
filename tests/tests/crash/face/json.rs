//! Requests over JSON, through the gateway.

use std::collections::HashMap;

use e2e::Browser;
use repartee_proto::v1::Message;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::message::{all_from_json, from_json, to_json};
use crate::{
    history::{Answer, Completed, Granted, Outcome, Posted, Refusal},
    request::{Completion, Edit, From, Lease, Pair, Post, Request},
};

/// Most messages on one page.
const LONGEST: usize = 1_000;

/// A client of the gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    browser: Browser,
    /// The last page of each path, and its tag: it counts as shown again where the gateway says "not modified".
    pages: HashMap<String, (String, Answer)>,
}

/// An answer that was read whole.
struct Told {
    status: u16,
    headers: HashMap<String, String>,
    body: Value,
}

impl Gateway {
    pub(crate) fn new(browser: Browser) -> Self {
        Self { browser, pages: HashMap::new() }
    }

    /// Sends a request once.
    pub(super) async fn ask(&mut self, request: &Request) -> Outcome {
        self.answer(request).await.map_or_else(|outcome| outcome, Outcome::Answered)
    }

    async fn answer(&mut self, request: &Request) -> Result<Answer, Outcome> {
        match request {
            Request::Post(items) => self.post(one(items)).await,
            Request::Edit(edit) => {
                let call = self.authorized(Method::PATCH, &edit.id, edit.token.as_deref());
                shown(&told(call.json(&patch(edit))).await?.body)
            }
            Request::Delete { id, token } => {
                shown(&told(self.authorized(Method::DELETE, id, token.as_deref())).await?.body)
            }
            Request::Retry(id) => shown(&self.step("retry", json!({"messageId": id})).await?["message"]),
            Request::Cancel(id) => shown(&self.step("cancel", json!({"messageId": id})).await?["message"]),
            Request::Claim { id, worker, seconds } => {
                let claim = json!({"messageId": id, "workerId": worker, "leaseSeconds": seconds});
                granted(&self.step("claim", claim).await?)
            }
            Request::ClaimNext { worker, seconds, wait } => {
                let claim = json!({"workerId": worker, "leaseSeconds": seconds, "wait": wait});
                match self.step("claim-next", claim).await? {
                    Value::Null => Ok(Answer::Work(None)),
                    claimed => granted(&claimed),
                }
            }
            Request::Stream { .. } => unreachable!("work is streamed over gRPC only"),
            Request::Renew(lease) => {
                let renewed = self.step("renew", named(lease)).await?;
                renewed["expiresAt"].as_i64().map(Answer::Renewed).ok_or_else(|| strange(&renewed))
            }
            Request::Release(lease) => shown(&self.step("release", named(lease)).await?["message"]),
            Request::Fail { lease, error, retryable } => {
                let mut failure = named(lease);
                failure["error"] = json!(error);
                failure["retryable"] = json!(retryable);
                shown(&self.step("fail", failure).await?["message"])
            }
            Request::Complete(items) => self.complete(one(items)).await,
            Request::Get(id) => shown(&self.get(&format!("/api/comments/{id}")).await?.body),
            Request::ListPending | Request::ListFailed | Request::GetConversation(_) => {
                self.list(request).await
            }
            Request::Page { domain, from, limit } => self.page(domain, from, *limit).await,
        }
    }

    async fn post(&self, post: &Post) -> Result<Answer, Outcome> {
        let mut call = self.browser.request(Method::POST, "/api/comments").json(&to_json(&post.message));
        if let Some(key) = &post.key {
            call = call.header("idempotency-key", key);
        }
        let told = told(call).await?;
        let message = from_json(&told.body["message"]).ok_or_else(|| strange(&told.body))?;
        let edit_token = told.body["editToken"].as_str().ok_or_else(|| strange(&told.body))?.to_owned();
        let replayed = told.headers.contains_key("idempotent-replayed");
        Ok(Answer::Posted(vec![Ok(Posted { message, edit_token, replayed })]))
    }

    async fn complete(&self, item: &Completion) -> Result<Answer, Outcome> {
        let mut completion = named(&item.lease);
        completion["reply"] =
            item.reply.as_ref().map_or(Value::Null, |(mark, text)| json!({"text": text, "eqScore": mark}));
        let body = self.step("complete", completion).await?;
        Ok(Answer::Completed(vec![Ok(Completed {
            message: None,
            reply_id: body["replyId"].as_str().map(str::to_owned),
            late: body["late"] == true,
            already: body["alreadyCompleted"] == true,
        })]))
    }

    /// A list, between two looks at the number of the newest change.
    async fn list(&self, request: &Request) -> Result<Answer, Outcome> {
        let from = self.tail().await?;
        let messages = match request {
            Request::ListFailed => self.all_failed().await?,
            Request::GetConversation(Pair { human, ai }) => {
                let path = format!(
                    "/api/conversation?limit={LONGEST}&humanUsername={}&humanColor={}&aiUsername={}&aiColor={}",
                    human.0, human.1, ai.0, ai.1
                );
                let body = self.get(&path).await?.body;
                all_from_json(&body).ok_or_else(|| strange(&body))?
            }
            _ => {
                let body = self.get(&format!("/api/queue/pending?limit={LONGEST}")).await?.body;
                all_from_json(&body["pending"]).ok_or_else(|| strange(&body))?
            }
        };
        Ok(Answer::Listed { from, to: self.tail().await?, messages })
    }

    async fn all_failed(&self) -> Result<Vec<Message>, Outcome> {
        let (mut all, mut before) = (Vec::<Message>::new(), String::new());
        loop {
            let body = self.get(&format!("/api/queue/failed?limit={LONGEST}{before}")).await?.body;
            let page = body["failed"].as_array().ok_or_else(|| strange(&body))?;
            let messages: Option<Vec<_>> = page.iter().map(|failed| from_json(&failed["message"])).collect();
            all.extend(messages.ok_or_else(|| strange(&body))?);
            match all.last() {
                Some(last) if page.len() == LONGEST => before = format!("&beforeId={}", last.id),
                _ => return Ok(all),
            }
        }
    }

    async fn tail(&self) -> Result<u64, Outcome> {
        let body = self.get("/api/stats").await?.body;
        body["tailSeq"].as_u64().ok_or_else(|| strange(&body))
    }

    async fn page(&mut self, domain: &str, from: &From, limit: u32) -> Result<Answer, Outcome> {
        let after = match from {
            From::Newest => 0,
            From::Stamp(after) => *after,
            From::Cursor(_) => unreachable!("the gateway has no pages by cursor yet"),
        };
        let domain = if domain.is_empty() { String::new() } else { format!("&domain={domain}") };
        let path = format!("/api/comments?limit={limit}&after={after}{domain}");
        let mut call = self.browser.request(Method::GET, &path);
        if let Some((tag, _)) = self.pages.get(&path) {
            call = call.header("if-none-match", tag);
        }
        let told = told(call).await?;
        if told.status == 304 {
            return Ok(self.pages[&path].1.clone());
        }
        let header = |name: &str| told.headers.get(name).cloned().ok_or_else(|| strange(&told.body));
        let messages = all_from_json(&told.body).ok_or_else(|| strange(&told.body))?;
        let page =
            Answer::Page { messages, next: header("x-next-cursor")?, more: header("x-more")? == "true" };
        // Who reads on asks for another page next time; only who waits at the end of the feed asks for the same.
        self.pages.clear();
        self.pages.insert(path, (header("etag")?, page.clone()));
        Ok(page)
    }

    async fn step(&self, step: &str, body: Value) -> Result<Value, Outcome> {
        let call = self.browser.request(Method::POST, &format!("/api/queue/{step}"));
        Ok(told(call.json(&body)).await?.body)
    }

    async fn get(&self, path: &str) -> Result<Told, Outcome> {
        told(self.browser.request(Method::GET, path)).await
    }

    fn authorized(&self, method: Method, id: &str, token: Option<&str>) -> RequestBuilder {
        let call = self.browser.request(method, &format!("/api/comments/{id}"));
        match token {
            Some(token) => call.bearer_auth(token),
            None => call,
        }
    }
}

/// Sends a request and reads the answer. What the gateway says with 5xx leaves open what was done.
async fn told(call: RequestBuilder) -> Result<Told, Outcome> {
    let lost = |error: reqwest::Error| Outcome::Lost(error.to_string());
    let response = call.send().await.map_err(lost)?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let headers = headers.collect();
    let bytes = response.bytes().await.map_err(lost)?;
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).map_err(|error| Outcome::Lost(error.to_string()))?
    };
    match status {
        200..400 => Ok(Told { status, headers, body }),
        400..500 => Err(Outcome::Refused(Refusal {
            code: status.to_string(),
            reason: body["reason"].as_str().unwrap_or_default().to_owned(),
        })),
        _ => Err(Outcome::Lost(format!("{status}: {}", body["detail"].as_str().unwrap_or_default()))),
    }
}

fn patch(edit: &Edit) -> Value {
    let mut patch = json!({"eqScore": edit.mark});
    if let Some(text) = &edit.text {
        patch["text"] = json!(text);
    }
    if let Some(priority) = edit.priority {
        patch["priority"] = json!(priority);
    }
    if let Some(status) = edit.status {
        patch["status"] = json!(status.as_str_name().trim_start_matches("STATUS_").to_lowercase());
    }
    patch
}

fn named(lease: &Lease) -> Value {
    json!({"messageId": lease.id, "leaseToken": lease.token})
}

fn granted(claimed: &Value) -> Result<Answer, Outcome> {
    let granted = || {
        Some(Granted {
            message: from_json(&claimed["message"])?,
            token: claimed["lease"]["token"].as_str()?.to_owned(),
            expires_at: claimed["lease"]["expiresAt"].as_i64()?,
        })
    };
    granted().map(|granted| Answer::Work(Some(Box::new(granted)))).ok_or_else(|| strange(claimed))
}

fn shown(message: &Value) -> Result<Answer, Outcome> {
    from_json(message).map(|message| Answer::Message(Box::new(message))).ok_or_else(|| strange(message))
}

/// The one item of a request; JSON knows no batches.
fn one<T>(items: &[T]) -> &T {
    match items {
        [item] => item,
        _ => unreachable!("batches go over gRPC only"),
    }
}

/// An answer of another shape than agreed: as a refusal it is none that anybody expects.
fn strange(body: &Value) -> Outcome {
    Outcome::Refused(Refusal { code: "an answer that cannot be read".to_owned(), reason: body.to_string() })
}
