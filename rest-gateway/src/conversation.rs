//! Conversations: what one human and one AI said to each other.

use http::{HeaderName, HeaderValue};
use repartee_proto::v1;

use crate::{
    extract::Query,
    json::{Answer, ConversationQuery, Message, StorageReads},
    polls,
    problem::Problem,
    upstream::Queue,
};

type More = [(HeaderName, HeaderValue); 1];

/// The last messages of a conversation, oldest first: for the visitor who began it, and with a worker's or an operator's
/// token.
#[utoipa::path(get, path = "/api/conversation", tag = "conversation", operation_id = "getConversation",
    params(ConversationQuery, ("X-Visitor" = Option<String>, Header,
        description = "The secret of the visitor who began it; in place of the cookie")),
    security((), ("token" = [])),
    responses((status = 200, description = "The messages", body = Vec<Message>, headers(
        ("X-More" = bool, description = "True where there are older ones: an answer ends at 1 MiB too"),
        ("X-Storage-Reads" = u64, description = "Storage reads of this call: one range read")))))]
pub(crate) async fn read(
    queue: Queue,
    Query(query): Query<ConversationQuery>,
) -> Result<(StorageReads, More, Answer<Vec<Message>>), Problem> {
    let answer =
        queue.client()?.get_conversation(v1::GetConversationRequest::from(query)).await?.into_inner();
    let messages = answer.messages.into_iter().map(Message::from).collect();
    let more = [(polls::MORE, polls::said(answer.more))];
    Ok((answer.kv_stats.into(), more, Answer(messages)))
}
