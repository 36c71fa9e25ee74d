//! A comment on its way in, and what its author gets back.

use repartee_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    lenient::{or_default, whole, whole_or_zero, word, word_or_default},
    message::{Message, MessageType},
    object::Object,
    present,
};
use crate::problem::Problem;

/// A message to be stored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewComment {
    /// The site or room, 1 to 255 characters. Like all names it is kept in NFC, with plain single spaces.
    #[schema(example = "saywhatwant.app")]
    domain: String,
    /// What is said, 1 to 16,384 bytes of UTF-8 without NUL, with something in it that can be seen.
    #[schema(example = "Why is space black?")]
    text: String,
    /// Name of the one who speaks, 1 to 64 characters. Characters that nobody sees or that change the direction of text
    /// are refused, and so are, from visitors, names that bots answer under (`NAME_RESERVED`).
    #[schema(example = "Human")]
    username: String,
    /// Color of the one who speaks: nine digits, three each for red, green and blue from 000 to 255, as `200120040`; or
    /// `default`, or nothing.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(example = "169080199", nullable)]
    color: String,
    /// Who speaks; `messageType` is accepted too.
    #[serde(rename = "message-type", alias = "messageType", default, deserialize_with = "word_or_default")]
    #[schema(nullable)]
    message_type: MessageType,
    /// Id of the message that this one answers.
    reply_to: Option<String>,
    /// A score that the site keeps with the message.
    #[serde(default, deserialize_with = "whole_or_zero")]
    #[schema(nullable)]
    eq_score: i32,
    /// The bot that is asked; without it the message is a platform post.
    #[schema(value_type = Option<NewBotParams>)]
    bot_params: Option<Object<NewBotParams>>,
    /// On a message by an AI that answers no message: the human of its conversation.
    human_username: Option<String>,
    /// Color of that human, in the same form.
    human_color: Option<String>,
    /// On a message by an AI that answers no message: the God Mode session of its conversation.
    session_id: Option<String>,
}

/// Whom a message is addressed to, and how urgent it is.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewBotParams {
    /// The bot, 1 to 64 characters.
    #[schema(example = "fear-and-loathing")]
    entity: String,
    /// 0 to 99, higher is served first; 5 where absent.
    #[serde(default, deserialize_with = "whole")]
    #[schema(maximum = 99)]
    priority: Option<u32>,
    /// Name under which the bot answers; the entity where absent. From a visitor a name of that entity: the entity in any
    /// spelling, or one that the operator has given it (`NAME_RESERVED` otherwise).
    ai_username: Option<String>,
    /// Color under which the bot answers, likewise; `default` where absent.
    ai_color: Option<String>,
    /// God Mode session: a conversation of its own.
    session_id: Option<String>,
    /// Not to be handed out before this time, Unix milliseconds, at most 30 days from now; at once if it has passed.
    #[serde(default, deserialize_with = "whole")]
    #[schema(example = 1_762_025_642_726_i64)]
    not_before: Option<i64>,
    /// Given up, with the error "expired", if nobody has taken it by then: Unix milliseconds, later than now and than
    /// `notBefore`, at most 60 days from now.
    #[serde(default, deserialize_with = "whole")]
    #[schema(example = 1_762_025_642_726_i64)]
    expires_at: Option<i64>,
    /// Only "pending": that is where every message for a bot begins.
    #[serde(rename = "status", default, deserialize_with = "word")]
    #[schema(value_type = Option<OnlyPending>)]
    _status: Option<OnlyPending>,
}

/// The status of a message that is not stored yet.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnlyPending {
    /// Waits for a worker.
    Pending,
}

/// What the author of a message gets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Posted {
    /// Id of the stored message.
    pub(crate) id: String,
    /// When it was stored, Unix milliseconds.
    timestamp: i64,
    /// Number of the change that stored it.
    seq: u64,
    /// Always "success".
    #[schema(example = "success")]
    status: &'static str,
    /// Lets its holder change and remove this message: `Authorization: Bearer <editToken>`.
    edit_token: String,
    /// The message as it was stored.
    message: Message,
}

impl From<NewComment> for v1::NewMessage {
    fn from(comment: NewComment) -> Self {
        Self {
            domain: comment.domain,
            text: comment.text,
            username: comment.username,
            color: comment.color,
            message_type: v1::MessageType::from(comment.message_type).into(),
            reply_to: comment.reply_to,
            eq_score: comment.eq_score,
            bot: comment.bot_params.map(|Object(params)| params.into()),
            human_username: comment.human_username,
            human_color: comment.human_color,
            session_id: comment.session_id,
        }
    }
}

impl From<NewBotParams> for v1::BotAddress {
    fn from(params: NewBotParams) -> Self {
        Self {
            entity: params.entity,
            priority: params.priority,
            ai_username: params.ai_username,
            ai_color: params.ai_color,
            session_id: params.session_id,
            not_before: params.not_before,
            expires_at: params.expires_at,
        }
    }
}

impl TryFrom<v1::PostMessageResponse> for Posted {
    type Error = Problem;

    fn try_from(posted: v1::PostMessageResponse) -> Result<Self, Problem> {
        let message = present(posted.message, "the message")?;
        Ok(Self {
            id: message.id.clone(),
            timestamp: message.timestamp,
            seq: message.seq,
            status: "success",
            edit_token: posted.edit_token,
            message: message.into(),
        })
    }
}
