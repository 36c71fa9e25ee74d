//! A stream of Server-Sent Events, read as an `EventSource` reads it (HTML Standard, section 9.2).

use std::{collections::VecDeque, time::Duration};

use reqwest::{Method, Response};
use serde_json::Value;

use crate::{Answer, Browser, within_deadline};

/// Longer than any test reads one stream.
const LIFETIME: Duration = Duration::from_secs(600);

/// One event that has a name.
#[derive(Debug, Clone, PartialEq)]
pub struct SentEvent {
    /// Its name.
    pub name: String,
    /// Its data, as JSON.
    pub data: Value,
    /// The id that it came with.
    pub id: Option<String>,
}

/// An open stream.
#[derive(Debug)]
pub struct Events {
    response: Response,
    text: String,
    waiting: VecDeque<SentEvent>,
    /// What an `EventSource` would send as `Last-Event-ID` when it connects again.
    pub last_id: String,
}

impl Events {
    /// Opens the stream at `path`; behind `last_id`, where that is not empty.
    ///
    /// # Errors
    /// The answer, where it is no stream; none where there is no answer.
    pub async fn open(browser: &Browser, path: &str, last_id: &str) -> Result<Self, Option<Answer>> {
        let request = browser.request(Method::GET, path).timeout(LIFETIME);
        let request = if last_id.is_empty() { request } else { request.header("last-event-id", last_id) };
        let response = request.send().await.map_err(|_| None)?;
        if response.status() != 200 {
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = response.bytes().await.map_err(|_| None)?.to_vec();
            return Err(Some(Answer { status, headers, body }));
        }
        let (text, waiting, last_id) = (String::new(), VecDeque::new(), last_id.to_owned());
        Ok(Self { response, text, waiting, last_id })
    }

    /// The next event; none where the stream has ended, or broken off.
    pub async fn next(&mut self) -> Option<SentEvent> {
        loop {
            let event = self.block().await?;
            if !event.name.is_empty() {
                return Some(event);
            }
        }
    }

    /// The next event, or what is none for those who listen: it has no name, and no id where it is a comment.
    pub async fn block(&mut self) -> Option<SentEvent> {
        within_deadline("an event of a stream", async {
            loop {
                if let Some(event) = self.waiting.pop_front() {
                    if let Some(id) = &event.id {
                        self.last_id.clone_from(id);
                    }
                    return Some(event);
                }
                let chunk = self.response.chunk().await.ok()??;
                // Parts of a letter may come apart, but every line of ours is ASCII up to its data, which ends a chunk.
                self.text.push_str(&String::from_utf8_lossy(&chunk));
                while let Some((block, rest)) = self.text.split_once("\n\n") {
                    self.waiting.push_back(read(block));
                    self.text = rest.to_owned();
                }
            }
        })
        .await
    }

    /// The next event, which has this name.
    ///
    /// # Panics
    /// Where it has another, or there is none.
    pub async fn named(&mut self, name: &str) -> SentEvent {
        let event = self.next().await;
        event.clone().filter(|event| event.name == name).unwrap_or_else(|| panic!("{name}: {event:?}"))
    }

    /// Reads on to the next event with this name.
    ///
    /// # Panics
    /// Where the stream ends before.
    pub async fn until(&mut self, name: &str) -> SentEvent {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
            if event.name == name {
                return event;
            }
        }
    }
}

/// One block of lines; one without a name is none for those who listen.
fn read(block: &str) -> SentEvent {
    let mut event = SentEvent { name: String::new(), data: Value::Null, id: None };
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => event.id = Some(id.to_owned()),
            Some(("event", name)) => event.name = name.to_owned(),
            Some(("data", data)) => event.data = serde_json::from_str(data).expect("data is JSON"),
            _ => {}
        }
    }
    event
}
