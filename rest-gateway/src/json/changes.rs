//! The feed by cursor: what is asked for, and the page.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::{IntoParams, ToSchema};

use super::query::{domain, limit, number};
use crate::{pieces::Pieces, problem::Problem, tail::Cursor};

/// The longest `wait`, in seconds.
const LONGEST_WAIT: u32 = 25;

/// Which changes, and how long to wait for one.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangesQuery {
    /// Only this domain; all domains where absent.
    #[serde(default, deserialize_with = "domain")]
    #[param(required = false)]
    pub(crate) domain: String,
    /// Where to read on: `next` of an earlier answer, `X-Next-Cursor` of a poll, or the id of a stream's event. Without it
    /// the newest page is answered at once, with the cursor behind it.
    #[serde(default)]
    #[param(required = false)]
    cursor: String,
    /// Seconds to wait for a change where there is none, 0 to 25; 0 where absent.
    #[serde(default, deserialize_with = "wait")]
    #[param(required = false, minimum = 0, maximum = 25)]
    pub(crate) wait: u32,
    /// 1 to 1,000; 50 where absent.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<u32>,
    /// What a write has reached (`X-Reached` in its answer): a page without a cursor shows it.
    #[expect(dead_code, reason = "it says which page is late enough, not which changes; see reached.rs")]
    reached: Option<String>,
}

/// Which changes a stream brings.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    /// Only this domain; all domains where absent.
    #[serde(default, deserialize_with = "domain")]
    #[param(required = false)]
    pub(crate) domain: String,
    /// Where to go on, as for `/api/comments/changes`; with the next change if absent. `Last-Event-ID` and `lastEventId`
    /// count more.
    #[serde(default)]
    #[param(required = false)]
    cursor: String,
    /// The id of the last event that the client has seen, for clients that cannot set the header `Last-Event-ID`; the header
    /// counts more. `Last-Event-ID` is accepted as its name too.
    #[serde(default, rename = "lastEventId", alias = "Last-Event-ID")]
    #[param(required = false)]
    last_event_id: String,
}

/// A page of changes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangesPage {
    /// One entry a change, oldest first: the message as that change left it, with its present text. After a reset, and
    /// without a cursor: the newest messages as they are now.
    // Not `skip`: the document would not have it either.
    #[serde(skip_serializing_if = "is_json_already", serialize_with = "serialize_nothing")]
    #[schema(value_type = Vec<super::Message>, required = true)]
    pub(crate) messages: Pieces,
    /// The cursor behind this page.
    #[schema(example = "00f3a1b2c3d4e5f6.1841")]
    pub(crate) next: String,
    /// True where more can be read at once.
    pub(crate) more: bool,
    /// True where the cursor is lost: forget what was shown, and begin with this page.
    pub(crate) reset: bool,
    /// Why it is lost; only with a reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub(crate) reason: Option<String>,
    /// The server's clock, Unix milliseconds.
    #[schema(example = 1_762_025_642_726_u64)]
    pub(crate) server_time: u64,
}

impl ChangesQuery {
    /// # Errors
    /// 400 where it is no cursor.
    pub(crate) fn cursor(&self) -> Result<Option<Cursor>, Problem> {
        cursor(&self.cursor, "/cursor", "query parameter: ")
    }
}

impl StreamQuery {
    /// Where to go on: behind the last event that the client has seen, or where it says.
    ///
    /// # Errors
    /// 400 where that is no cursor.
    pub(crate) fn cursor(&self, last_event_id: &str) -> Result<Option<Cursor>, Problem> {
        if let Some(cursor) = cursor(last_event_id, "", "header Last-Event-ID: ")? {
            return Ok(Some(cursor));
        }
        match cursor(&self.last_event_id, "/lastEventId", "query parameter: ")? {
            Some(cursor) => Ok(Some(cursor)),
            None => cursor(&self.cursor, "/cursor", "query parameter: "),
        }
    }
}

impl ChangesPage {
    /// The page as JSON, around messages that are JSON already.
    pub(crate) fn into_json(mut self) -> Pieces {
        let messages = std::mem::take(&mut self.messages);
        let mut rest = serde_json::to_vec(&self).expect("a page is plain values");
        // In place of the brace that would open the object.
        rest[0] = b',';
        messages.between(br#"{"messages":"#, rest)
    }
}

fn is_json_already(_: &Pieces) -> bool {
    true
}

fn serialize_nothing<S: Serializer>(_: &Pieces, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_unit()
}

/// A cursor; none where it is empty.
fn cursor(text: &str, pointer: &str, place: &str) -> Result<Option<Cursor>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    Cursor::read(text).map(Some).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        let mut problem =
            Problem::field(pointer, format!("{place}must be a cursor as this server gave it, is {shown:?}"));
        problem.reason = Some("CURSOR_INVALID".to_owned());
        problem
    })
}

fn wait<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(deserializer, 0..=LONGEST_WAIT, "seconds, a whole number from 0 to 25")
}
