//! Room for the bytes of answers on their way: asked for before a large answer is made, held until its last byte is sent.
//!
//! Small answers are only counted, by the server itself: for them, asking would cost more than it protects.

use std::sync::Arc;

use axum::{
    body::{Body, HttpBody as _},
    response::Response,
};
use http::Extensions;
use repartee_process::{ConnectionState, HeldAnswer};

use crate::{
    client::{Client, ClientLimits},
    problem::Problem,
};

/// Answers above this, in bytes, need room.
pub(crate) const LARGE: usize = 16 * 1024;
/// A page ends here, in bytes of JSON: with the last whole time stamp before it, but never without one.
pub(crate) const PAGE_BYTES: usize = 1024 * 1024;
/// What a message takes in most answers, in bytes, before it is known.
const USUAL_MESSAGE: usize = 2 * 1024;

/// The room of one connection and of one client; without a connection, as in tests, there is always room.
#[derive(Clone, Default)]
pub(crate) struct Answers(Option<Room>);

#[derive(Clone)]
struct Room {
    connection: Arc<ConnectionState>,
    limits: ClientLimits,
    client: Client,
}

impl Answers {
    /// Of the connection that a request came by, and of `client`, whose request it is. The handlers find it in the request.
    pub(crate) fn for_client(extensions: &mut Extensions, limits: &ClientLimits, client: Client) -> Self {
        let connection: Option<&Arc<ConnectionState>> = extensions.get();
        let room = connection.cloned().map(|connection| Room { connection, limits: limits.clone(), client });
        let answers = Self(room);
        extensions.insert(answers.clone());
        answers
    }

    /// What was found for this request.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    /// Room for an answer of so many bytes; `None` if it is so small that it needs none.
    ///
    /// # Errors
    /// 429 if there is none, for anybody or for this client.
    pub(crate) fn room(&self, bytes: usize) -> Result<Option<HeldAnswer>, Problem> {
        let Some(room) = self.0.as_ref().filter(|_| bytes > LARGE) else { return Ok(None) };
        let full = |full| Problem::too_many("TOO_MANY_REQUESTS", full);
        // The share first: a client that has all of its own takes nothing from others, not even for a moment.
        let share = room.limits.hold_answer(room.client, bytes)?;
        let permit = room.connection.take_answer(bytes as u64).map_err(full)?;
        Ok(Some(HeldAnswer(Arc::new(permit.with_share(share)))))
    }

    /// Room for a page of at most `limit` messages that are not known yet.
    ///
    /// # Errors
    /// 429 if there is none.
    pub(crate) fn room_for_page(&self, limit: u32) -> Result<Option<HeldAnswer>, Problem> {
        self.room((limit as usize).saturating_mul(USUAL_MESSAGE).min(PAGE_BYTES))
    }

    /// An answer that is made already, unless there is no room for it.
    pub(crate) fn admit(&self, mut response: Response) -> Result<Response, Problem> {
        let bytes = response.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        if let Some(bytes) = bytes.filter(|bytes| *bytes > LARGE)
            && response.extensions().get::<HeldAnswer>().is_none()
        {
            hold(&mut response, self.room(bytes)?);
        }
        Ok(response)
    }
}

/// The answer holds its room until it is sent.
pub(crate) fn hold(response: &mut Response<Body>, room: Option<HeldAnswer>) {
    if let Some(room) = room {
        response.extensions_mut().insert(room);
    }
}
