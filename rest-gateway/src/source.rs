//! Reading on in the feed by cursor, wherever the changes are: in the tail, or at the queue-service.
//!
//! Never a gap: what is neither here nor there is a position that is lost, and the reader is told and begins anew.

use std::time::Duration;

use bytes::Bytes;
use repartee_proto::v1::{self, list_messages_request::Position};

use repartee_process::HeldAnswer;
use tokio::time::sleep;

use crate::{
    answers::Answers,
    client::Client,
    json::{Message, StorageReads},
    problem::Problem,
    server::App,
    tail::{After, Changes, Cursor, Told},
    upstream::Asker,
};

/// How long an answer of the queue-service is still waited for once the gateway stops.
const LAST_ANSWER: Duration = Duration::from_secs(2);

/// One reader's way to the changes of a domain.
pub(crate) struct Source {
    app: App,
    asker: Asker,
    answers: Answers,
    /// All domains where it is empty.
    domain: Box<str>,
}

/// Where a reader stands.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// What it has seen.
    pub(crate) cursor: Cursor,
    /// False where only the client says so.
    pub(crate) confirmed: bool,
}

/// What a look has found; `room` is that of a page that is in memory for this reader alone.
#[derive(Debug)]
pub(crate) enum Found {
    /// The changes behind the place, none where there is nothing new; the place is behind them now.
    Changes { items: Vec<Told>, more: bool, reads: u64, room: Option<HeldAnswer> },
    /// The place is lost; it is behind this newest page now.
    Reset { reason: String, messages: Vec<Bytes>, reads: u64, room: Option<HeldAnswer> },
    /// Nothing can be said as long as the stream from the queue-service is away.
    Away,
}

impl Source {
    pub(crate) fn new(app: App, asker: Asker, answers: Answers, domain: &str) -> Self {
        Self { app, asker, answers, domain: domain.into() }
    }

    /// The queue-service's time, Unix milliseconds.
    pub(crate) fn server_time(&self) -> u64 {
        self.app.tail.clock.now()
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// Room for what the reader is sent.
    pub(crate) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Whose reading it is.
    pub(crate) fn client(&self) -> Client {
        self.asker.client
    }

    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// Reads at most `limit` changes on from `place`, or `far_limit` where the queue-service has to be asked for them, and
    /// moves it.
    ///
    /// # Errors
    /// What the queue-service refuses, where it had to be asked; the place stays as it is.
    pub(crate) async fn read_on(
        &self,
        place: &mut Place,
        limit: u32,
        far_limit: u32,
    ) -> Result<Found, Problem> {
        match self.app.tail.after(&self.domain, &place.cursor, limit as usize) {
            After::Held(Changes { items, more, next }) => {
                place.cursor.seq = next;
                place.confirmed = true;
                Ok(Found::Changes { items, more, reads: 0, room: None })
            }
            // Another gateway was faster, or the queue-service itself: the tail will follow.
            After::Ahead if place.confirmed => {
                Ok(Found::Changes { items: Vec::new(), more: false, reads: 0, room: None })
            }
            After::Ahead | After::Elsewhere => Box::pin(self.ask(place, far_limit)).await,
            After::Away => Ok(Found::Away),
        }
    }

    /// A page from the queue-service.
    ///
    /// # Errors
    /// What it refuses.
    pub(crate) async fn list(
        &self,
        request: v1::ListMessagesRequest,
    ) -> Result<v1::ListMessagesResponse, Problem> {
        let mut client = self.asker.clone().queue(&self.app).client()?;
        let late = async {
            self.app.stopping.cancelled().await;
            sleep(LAST_ANSWER).await;
        };
        tokio::select! {
            answer = client.list_messages(request) => Ok(answer?.into_inner()),
            () = late => Err(Problem::unavailable("this gateway stops; ask another one")),
        }
    }

    async fn ask(&self, place: &mut Place, limit: u32) -> Result<Found, Problem> {
        let position = Some(Position::Cursor(place.cursor.to_string()));
        let request = v1::ListMessagesRequest { domain: self.domain.to_string(), position, limit };
        let room = self.answers.room_for_page(limit)?;
        let page = self.list(request).await?;
        self.app.tail.know(&self.domain);
        let next = Cursor::read(&page.next_cursor);
        let next = next.ok_or_else(|| Problem::internal("the queue-service answered without a cursor"))?;
        let reads = StorageReads::from(page.kv_stats).count();
        let written = |message: v1::Message| (message.seq, Message::from(message).to_json());
        let messages: Vec<_> = page.messages.into_iter().map(written).collect();
        drop(room);
        let room = self.answers.room(messages.iter().map(|(_, json)| json.len()).sum())?;
        let messages = messages.into_iter();
        let found = if page.reset {
            let messages = messages.map(|(_, json)| json.into()).collect();
            Found::Reset { reason: page.reset_reason, messages, reads, room }
        } else {
            let items = messages.map(|(seq, json)| Told::new(&next.epoch, seq, &json)).collect();
            Found::Changes { items, more: page.more, reads, room }
        };
        *place = Place { cursor: next, confirmed: true };
        Ok(found)
    }
}

impl Place {
    /// Where a client says that it stands.
    pub(crate) fn given(cursor: Cursor) -> Self {
        Self { cursor, confirmed: false }
    }
}
