//! The query parameters of what reads.

use repartee_proto::v1;
use serde::Deserialize;
use utoipa::IntoParams;

use super::query::{MAX_LIMIT, decimal, domain, limit, timestamp};
use crate::{problem::Problem, tail::Wanted};

/// Messages on a page of the feed whose reader did not say.
const USUAL_LIMIT: u32 = 50;

/// Which part of the feed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only this domain; all domains where absent.
    #[serde(default, deserialize_with = "domain")]
    #[param(required = false)]
    domain: String,
    /// Only messages with a greater timestamp, Unix milliseconds; the newest page where absent or 0.
    #[serde(default, deserialize_with = "timestamp")]
    #[param(minimum = 0)]
    after: Option<i64>,
    /// The same as `after`.
    #[serde(default, deserialize_with = "timestamp")]
    #[param(minimum = 0)]
    since: Option<i64>,
    /// Only messages that were posted before the one with this id: the newest of them. The id of the oldest message on a
    /// page is the cursor to the page before it. Not together with `after`.
    before_id: Option<String>,
    /// 1 to 1,000; 50 where absent. A page is longer by the messages that share its last timestamp; going back, its first.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// What a write has reached (`X-Reached` in its answer): the page shows it.
    #[expect(
        dead_code,
        reason = "it says which page is late enough, not which part of the feed; see reached.rs"
    )]
    reached: Option<String>,
}

/// Which conversation.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ConversationQuery {
    /// The human.
    human_username: String,
    /// The human's color, as it was posted; empty if none was chosen.
    human_color: String,
    /// The AI.
    ai_username: String,
    /// The AI's color; `default` if the question chose none.
    ai_color: String,
    /// The God Mode session; the plain conversation where absent.
    session_id: Option<String>,
    /// 1 to 1,000; 100 where absent.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Which pending work.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PendingQuery {
    /// Only this entity; all where absent.
    #[serde(default)]
    #[param(required = false)]
    entity: String,
    /// 1 to 1,000; 50 where absent.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Which failed, or which hidden messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FailedQuery {
    /// 1 to 1,000; 50 where absent.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only messages behind the one with this id in the list.
    before_id: Option<String>,
}

/// Which way a page of messages is read.
#[derive(Debug, PartialEq)]
pub(crate) enum Listing {
    /// From a timestamp on, or the newest page.
    Feed(Wanted),
    /// Back from a message.
    Back(v1::ListMessagesRequest),
}

impl TryFrom<ListQuery> for Listing {
    type Error = Problem;

    fn try_from(query: ListQuery) -> Result<Self, Problem> {
        let Some(before_id) = query.before_id else { return Wanted::try_from(query).map(Self::Feed) };
        if let Some(after) = query.after.or(query.since).filter(|after| *after > 0) {
            let detail = format!("query parameter: cannot go with `after`, {after}; give one of them");
            return Err(Problem::field("/beforeId", detail));
        }
        let (domain, limit) = (query.domain, query.limit.unwrap_or(USUAL_LIMIT));
        let position = Some(v1::list_messages_request::Position::BeforeId(before_id));
        Ok(Self::Back(v1::ListMessagesRequest { domain, limit, position }))
    }
}

impl TryFrom<ListQuery> for Wanted {
    type Error = Problem;

    fn try_from(query: ListQuery) -> Result<Self, Problem> {
        let after = match (query.after, query.since) {
            (Some(after), Some(since)) if after != since => {
                let detail =
                    format!("query parameter: {since} differs from `after`, {after}; give one of them");
                return Err(Problem::field("/since", detail));
            }
            (after, since) => after.or(since).unwrap_or_default(),
        };
        Ok(Self { domain: query.domain, after, limit: query.limit.unwrap_or(USUAL_LIMIT) })
    }
}

impl Wanted {
    /// Reads a query as programs write it: a plain name and plain numbers, each once. `None` for every other one, which
    /// [`ListQuery`] reads or refuses; what both read they read alike.
    pub(crate) fn plain(query: &str) -> Option<Self> {
        let (mut domain, mut after, mut limit) = (None, None, None);
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=')?;
            let is_new = match name {
                "domain" => domain.replace(plain_name(value)?).is_none(),
                "after" | "since" => after.replace(decimal::<i64>(value)?).is_none(),
                "limit" => {
                    let value = decimal(value).filter(|limit| (1..=MAX_LIMIT).contains(limit))?;
                    limit.replace(value).is_none()
                }
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        let (domain, after) = (domain.unwrap_or_default().to_owned(), after.unwrap_or_default());
        Some(Self { domain, after, limit: limit.unwrap_or(USUAL_LIMIT) })
    }
}

/// A name that means itself in a query.
fn plain_name(value: &str) -> Option<&str> {
    let means_itself = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    value.bytes().all(means_itself).then_some(value)
}

impl From<&Wanted> for v1::ListMessagesRequest {
    fn from(wanted: &Wanted) -> Self {
        let after = Some(wanted.after).filter(|after| *after > 0);
        Self {
            domain: wanted.domain.clone(),
            limit: wanted.limit,
            position: after.map(v1::list_messages_request::Position::After),
        }
    }
}

impl From<ConversationQuery> for v1::GetConversationRequest {
    fn from(query: ConversationQuery) -> Self {
        Self {
            human_username: query.human_username,
            human_color: query.human_color,
            ai_username: query.ai_username,
            ai_color: query.ai_color,
            session_id: query.session_id,
            limit: query.limit.unwrap_or_default(),
        }
    }
}

impl From<PendingQuery> for v1::ListPendingRequest {
    fn from(query: PendingQuery) -> Self {
        Self { entity: query.entity, limit: query.limit.unwrap_or_default() }
    }
}

impl From<FailedQuery> for v1::ListFailedRequest {
    fn from(query: FailedQuery) -> Self {
        Self { limit: query.limit.unwrap_or_default(), before_id: query.before_id }
    }
}

impl From<FailedQuery> for v1::ListHiddenRequest {
    fn from(query: FailedQuery) -> Self {
        Self { limit: query.limit.unwrap_or_default(), before_id: query.before_id }
    }
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::{ListQuery, Listing, Wanted};
    use crate::extract::from_query;

    /// What the full reader makes of it.
    fn read(query: &str) -> Option<Wanted> {
        let uri: Uri = format!("/api/comments?{query}").parse().unwrap();
        match Listing::try_from(from_query::<ListQuery>(&uri).ok()?).ok()? {
            Listing::Feed(wanted) => Some(wanted),
            Listing::Back(_) => None,
        }
    }

    #[test]
    fn a_plain_query_is_read_as_every_other() {
        for query in [
            "domain=saywhatwant.app&after=1762025642726",
            "since=5&limit=1000&domain=a-b_c.d~e:8080",
            "after=0&domain=",
            "limit=1",
        ] {
            assert!(Wanted::plain(query).is_some(), "{query}");
            assert_eq!(Wanted::plain(query), read(query), "{query}");
        }
    }

    #[test]
    fn a_domain_is_looked_up_in_the_form_in_which_it_is_stored() {
        for (query, domain) in [
            ("domain=caf%C3%A9", "café"),
            ("domain=cafe%CC%81", "café"),
            ("domain=+night%C2%A0sky", "night sky"),
            ("domain=+", " "),
        ] {
            assert_eq!(read(query).unwrap().domain, domain, "{query}");
        }
    }

    #[test]
    fn a_query_that_is_not_plain_is_left_to_the_full_reader() {
        for query in [
            "",
            "&",
            "domain",
            "domain=a%20b",
            "domain=a+b",
            "domain=a&domain=b",
            "after=1&since=1",
            "after=1&since=2",
            "after=",
            "after=-1",
            "after=+1",
            "after=01",
            "limit=007",
            "after=9223372036854775808",
            "limit=0",
            "limit=1001",
            "limit=",
            "limit=1&limit=1",
            "limit=1&",
            "%61fter=1",
            "beforeId=x",
            "other=1",
            "after=1=2",
        ] {
            assert_eq!(Wanted::plain(query), None, "{query}");
        }
    }
}
