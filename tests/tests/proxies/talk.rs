//! People who post and people who follow: each domain has somebody who posts once a second, and four streams.

use std::{sync::Arc, time::Duration};

use e2e::{Browser, Events, within_deadline};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::proxy::Proxy;

const STREAMS: usize = 4;

/// What somebody does about a post that is not answered 201.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Posts without a key, and never again: every answer has to be 201.
    Once,
    /// Posts again under the same key until it is stored.
    UntilStored,
}

/// Domains in which somebody posts.
pub(crate) struct Talks {
    over: CancellationToken,
    posted: Vec<watch::Receiver<Vec<String>>>,
    posters: JoinSet<()>,
    followers: JoinSet<()>,
}

impl Talks {
    /// So many domains; every stream is open when this returns.
    pub(crate) async fn begin(proxy: &Arc<Proxy>, name: &str, domains: usize, patience: Patience) -> Self {
        let (mut posters, mut followers) = (JoinSet::new(), JoinSet::new());
        let (over, mut posted, mut opening) = (CancellationToken::new(), Vec::new(), JoinSet::new());
        for number in 0..domains {
            let domain = format!("{name}-{number}");
            let (tell, told) = watch::channel(Vec::new());
            for _ in 0..STREAMS {
                let (browser, path) = (proxy.browser(), format!("/api/comments/stream?domain={domain}"));
                opening.spawn(async move { open(&browser, &path, "").await });
            }
            for _ in 0..STREAMS {
                let stream = opening.join_next().await.expect("one was spawned").unwrap();
                let (browser, path) = (proxy.browser(), format!("/api/comments/stream?domain={domain}"));
                followers.spawn(follow(stream, browser, path, told.clone()));
            }
            posters.spawn(post(proxy.browser(), domain, patience, tell, over.clone()));
            posted.push(told);
        }
        Self { over, posted, posters, followers }
    }

    /// Waits until somebody has posted so many more comments in each domain.
    pub(crate) async fn each_has_posted(&mut self, more: usize) {
        let enough: Vec<_> = self.posted.iter().map(|posted| posted.borrow().len() + more).collect();
        for (posted, enough) in self.posted.iter_mut().zip(enough) {
            within_deadline("comments", posted.wait_for(|posted| posted.len() >= enough)).await.unwrap();
        }
    }

    /// Ends the posting; then every stream has shown every comment, once and in order.
    pub(crate) async fn finish(mut self) {
        self.over.cancel();
        while let Some(ended) = within_deadline("the last posts", self.posters.join_next()).await {
            ended.unwrap();
        }
        while let Some(ended) = within_deadline("the streams to show all", self.followers.join_next()).await {
            ended.unwrap();
        }
    }
}

async fn post(
    browser: Browser,
    domain: String,
    patience: Patience,
    posted: watch::Sender<Vec<String>>,
    over: CancellationToken,
) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while over.run_until_cancelled(seconds.tick()).await.is_some() {
        let number = posted.borrow().len();
        let comment = json!({"domain": domain, "username": "Ann", "color": "001001001", "text": format!("Comment {number}.")});
        let id = match patience {
            Patience::Once => post_once(&browser, &comment).await,
            Patience::UntilStored => post_until_stored(&browser, &comment).await,
        };
        posted.send_modify(|posted| posted.push(id));
    }
}

async fn post_once(browser: &Browser, comment: &Value) -> String {
    let response = browser.request(Method::POST, "/api/comments").json(comment).send().await.unwrap();
    let (status, body) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 201, "{body}");
    id_of(&body)
}

/// As a client with keys does: whatever went wrong, the same post under the same key.
async fn post_until_stored(browser: &Browser, comment: &Value) -> String {
    let key = Uuid::new_v4().to_string();
    let mut pause = interval(Duration::from_millis(100));
    loop {
        pause.tick().await;
        let request =
            browser.request(Method::POST, "/api/comments").header("idempotency-key", &key).json(comment);
        let Ok(response) = request.send().await else { continue };
        let status = response.status().as_u16();
        let Ok(body) = response.text().await else { continue };
        if status == 201 {
            return id_of(&body);
        }
        assert!([429, 500, 502, 503, 504].contains(&status), "{status}: {body}");
    }
}

fn id_of(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["id"].as_str().expect("a comment has an id").to_owned()
}

/// Opens a stream, again where there is none at the moment.
async fn open(browser: &Browser, path: &str, last_id: &str) -> Events {
    let mut pause = interval(Duration::from_millis(100));
    loop {
        pause.tick().await;
        if let Ok(stream) = Events::open(browser, path, last_id).await {
            return stream;
        }
    }
}

/// Follows one domain until all that was posted there was seen.
async fn follow(
    mut stream: Events,
    browser: Browser,
    path: String,
    mut posted: watch::Receiver<Vec<String>>,
) {
    let (mut seen, mut is_over) = (Vec::<String>::new(), false);
    loop {
        if is_over && seen.len() >= posted.borrow().len() {
            assert_eq!(seen, *posted.borrow(), "{path} has a gap, or a comment twice");
            return;
        }
        let event = tokio::select! {
            event = stream.next() => event,
            ended = posted.changed(), if !is_over => {
                // Its poster has ended.
                is_over = ended.is_err();
                continue;
            }
        };
        match event {
            Some(event) if event.name == "message" => {
                seen.push(event.data["id"].as_str().expect("a comment has an id").to_owned());
            }
            Some(event) => assert_ne!(event.name, "reset", "{path} has lost its place"),
            None => stream = open(&browser, &path, &stream.last_id).await,
        }
    }
}
