//! Where a client stands, and what waits for it: never more than one look at the feed has found.

use std::collections::VecDeque;

use bytes::Bytes;
use repartee_process::HeldAnswer;

use super::events::{self, Mode};
use crate::{
    problem::Problem,
    source::{Found, Place, Source},
    tail::Cursor,
};

/// Changes that are read from the tail at once: so many may wait for a client that does not read.
const PAGE: u32 = 8;
/// The same from the queue-service, where each look is a call; and the messages that follow a reset.
const FAR_PAGE: u32 = 50;

/// One client's reading.
pub(super) struct Reader {
    /// Where the client stands once it has taken what waits; `None` where it begins with the next change.
    place: Option<Place>,
    greeted: bool,
    mode: Mode,
    waiting: VecDeque<Bytes>,
    /// Room for what waits, if it is in memory for this client alone.
    room: Option<HeldAnswer>,
    /// The newest number that the client was told of by an id alone.
    told: u64,
    /// The last step of what bots write that the client was told of.
    drafted: u64,
    /// True once it was told of all that there was when it came.
    caught_up: bool,
    /// Whether the changes come, as the client was told last.
    upstream_live: bool,
}

/// What there is to do after a look.
pub(super) enum Next {
    /// To send what waits, or to look again.
    Go,
    /// To wait until something comes.
    Wait,
}

impl Reader {
    pub(super) fn new(cursor: Option<Cursor>) -> Self {
        let mode = if cursor.is_some() { Mode::Resumed } else { Mode::Live };
        let place = cursor.map(Place::given);
        Self {
            place,
            greeted: false,
            mode,
            waiting: VecDeque::from([events::retry()]),
            room: None,
            told: 0,
            drafted: 0,
            caught_up: false,
            upstream_live: true,
        }
    }

    /// The next event that waits.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let event = self.waiting.pop_front();
        if self.waiting.is_empty() {
            self.room = None;
        }
        event
    }

    /// One more event waits.
    pub(super) fn push(&mut self, event: Bytes) {
        self.waiting.push_back(event);
    }

    /// Where the client stands; `None` where that is not known yet.
    pub(super) fn cursor(&self) -> Option<&Cursor> {
        self.place.as_ref().filter(|_| self.greeted).map(|place| &place.cursor)
    }

    /// The stream is alive. Where nothing of interest has happened, the client's place still moves on, so that it is not
    /// lost when the connection is.
    pub(super) fn say_alive(&mut self) {
        let moved = self.cursor().filter(|cursor| cursor.seq != self.told);
        let (event, told) = (events::alive(moved), moved.map_or(self.told, |cursor| cursor.seq));
        self.told = told;
        self.push(event);
    }

    /// Looks for what is new.
    ///
    /// # Errors
    /// What the queue-service refuses, where it had to be asked.
    pub(super) async fn read_on(&mut self, source: &Source) -> Result<Next, Problem> {
        if self.place.is_none() {
            self.place = source.app().tail.now().map(|cursor| Place { cursor, confirmed: true });
        }
        let upstream_live = source.app().tail.hears();
        if self.greeted && upstream_live != self.upstream_live {
            self.upstream_live = upstream_live;
            self.push(events::upstream(upstream_live));
            return Ok(Next::Go);
        }
        let Some(place) = &mut self.place else { return Ok(Next::Wait) };
        let begin = (!self.greeted).then(|| place.cursor.clone());
        match source.read_on(place, PAGE, FAR_PAGE).await? {
            Found::Away => Ok(Next::Wait),
            Found::Changes { items, more, room, .. } => {
                self.room = room;
                if let Some(begin) = begin {
                    self.greet(source, &begin, self.mode);
                }
                self.waiting.extend(items.iter().map(|told| told.event()));
                if !more {
                    self.waiting.extend(source.app().tail.drafts(source.domain(), &mut self.drafted));
                }
                if !more && self.waiting.is_empty() && !self.caught_up {
                    self.caught_up = true;
                    self.waiting.extend(self.cursor().map(events::seen));
                }
                Ok(if self.waiting.is_empty() && !more { Next::Wait } else { Next::Go })
            }
            Found::Reset { reason, messages, room, .. } => {
                self.room = room;
                let cursor = place.cursor.clone();
                if begin.is_some() {
                    self.greet(source, &cursor, Mode::Reset);
                }
                self.push(events::reset(&reason, &cursor));
                self.waiting.extend(messages.iter().map(|json| events::of_page(json)));
                self.push(events::seen(&cursor));
                self.told = cursor.seq;
                Ok(Next::Go)
            }
        }
    }

    fn greet(&mut self, source: &Source, cursor: &Cursor, mode: Mode) {
        self.push(events::hello(cursor, mode, source.server_time()));
        (self.greeted, self.told) = (true, cursor.seq);
    }
}
