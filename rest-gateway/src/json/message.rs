//! A message as browsers see it.

use repartee_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What all but the text of a message usually takes as JSON, in bytes.
const REST_BYTES: usize = 512;

/// One comment, by a human or by an AI, as it was after its last change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    /// Random UUID (v4).
    #[schema(example = "5f0c2a1e-6f0b-4c66-9a55-0d8f3f1f7a10")]
    id: String,
    /// When it was stored: the server's clock, Unix milliseconds. A safe position to read on from.
    #[schema(example = 1_762_025_642_726_i64)]
    timestamp: i64,
    /// Number of the last change of this message.
    seq: u64,
    /// The site or room that it belongs to.
    #[schema(example = "saywhatwant.app")]
    domain: String,
    /// What was said; empty once it is deleted.
    #[schema(example = "Why is space black?")]
    text: String,
    /// Name of the one who speaks.
    username: String,
    /// Color of the one who speaks: nine digits, three each for red, green and blue from 000 to 255. `default`, and nothing,
    /// mean that none was chosen: it is shown in grey.
    #[schema(example = "169080199")]
    color: String,
    /// Who speaks.
    #[serde(rename = "message-type")]
    message_type: MessageType,
    /// Id of the message that this one answers.
    #[schema(required)]
    reply_to: Option<String>,
    /// A score that the site keeps with the message.
    eq_score: i32,
    /// The work for a bot; null on platform posts and on messages by an AI.
    #[schema(required)]
    bot_params: Option<BotParams>,
    /// True, and present, once the message is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    deleted: bool,
    /// For operators only: 32 hex digits that stand for who posted it, or for their address if they brought no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    author: Option<String>,
    /// For operators only: 32 hex digits that stand for the address that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    address: Option<String>,
    /// For operators only: true, and present, while it is hidden. To all others it is deleted then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    hidden: bool,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) enum MessageType {
    /// A person.
    #[default]
    #[serde(rename = "human")]
    Human,
    /// A bot.
    #[serde(rename = "AI")]
    Ai,
}

/// Where a message stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Waits for a worker.
    Pending,
    /// A worker holds it under a lease.
    Processing,
    /// Finished.
    Complete,
    /// Given up after the last attempt, or cancelled.
    Failed,
}

/// The work in a message that is addressed to a bot.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BotParams {
    /// Where the work stands.
    status: Status,
    /// 0 to 99; higher is served first.
    #[schema(maximum = 99, example = 5)]
    priority: u32,
    /// The bot that the message is addressed to.
    #[schema(example = "fear-and-loathing")]
    entity: String,
    /// Name under which the bot answers.
    ai_username: String,
    /// Color under which the bot answers.
    ai_color: String,
    /// The God Mode session that the message belongs to: as it was given for a worker that claims it or lists what waits, for
    /// all others 16 hex digits that stand for it.
    #[schema(required)]
    session_id: Option<String>,
    /// Worker that claimed it last.
    #[schema(required)]
    claimed_by: Option<String>,
    /// When that was, Unix milliseconds.
    #[schema(required)]
    claimed_at: Option<i64>,
    /// When the work was finished, Unix milliseconds.
    #[schema(required)]
    completed_at: Option<i64>,
    /// How many times it was claimed.
    attempts: u32,
    /// Why the last attempt failed.
    #[schema(required)]
    error: Option<String>,
    /// Not to be handed out before this time, as its author asked, Unix milliseconds; absent if the author asked for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    not_before: Option<i64>,
    /// To be given up if nobody has taken it by then, as its author asked, Unix milliseconds; absent if the author asked for
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    expires_at: Option<i64>,
}

impl Message {
    /// The message as JSON, in no more memory than it takes.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(self.text.len() + REST_BYTES);
        serde_json::to_writer(&mut json, self).expect("a message is plain values");
        json.shrink_to_fit();
        json
    }

    /// The JSON of an earlier state, with what is said in the message now. Once it is deleted, no error of it is told any
    /// more: one may quote the text. One that was gone then and is there again was hidden meanwhile: it is told as it was.
    pub(crate) fn rewritten(json: &[u8], said: &Said) -> Vec<u8> {
        let mut earlier = Self::read(json);
        if let Some(params) = earlier.bot_params.as_mut().filter(|_| said.deleted) {
            params.error = None;
        }
        let text = if earlier.deleted { String::new() } else { said.text.clone() };
        Self { text, deleted: earlier.deleted || said.deleted, ..earlier }.to_json()
    }

    fn read(json: &[u8]) -> Self {
        serde_json::from_slice(json).expect("only what was written here is read here")
    }
}

/// What is said in a message, also in what was told of it before.
#[derive(Debug)]
pub(crate) struct Said {
    text: String,
    deleted: bool,
}

impl Said {
    /// What is said in a message, from its JSON as [`Message::to_json`] wrote it.
    pub(crate) fn read(json: &[u8]) -> Self {
        let Message { text, deleted, .. } = Message::read(json);
        Self { text, deleted }
    }
}

impl From<v1::Message> for Message {
    fn from(message: v1::Message) -> Self {
        Self {
            message_type: message.message_type().into(),
            id: message.id,
            timestamp: message.timestamp,
            seq: message.seq,
            domain: message.domain,
            text: message.text,
            username: message.username,
            color: message.color,
            reply_to: message.reply_to,
            eq_score: message.eq_score,
            bot_params: message.bot_params.map(BotParams::from),
            deleted: message.deleted,
            author: message.author,
            address: message.address,
            hidden: message.hidden,
        }
    }
}

impl From<v1::BotParams> for BotParams {
    fn from(params: v1::BotParams) -> Self {
        Self {
            status: params.status().into(),
            priority: params.priority,
            entity: params.entity,
            ai_username: params.ai_username,
            ai_color: params.ai_color,
            session_id: params.session_id,
            claimed_by: params.claimed_by,
            claimed_at: params.claimed_at,
            completed_at: params.completed_at,
            attempts: params.attempts,
            error: params.error,
            not_before: params.not_before,
            expires_at: params.expires_at,
        }
    }
}

impl From<v1::MessageType> for MessageType {
    fn from(message_type: v1::MessageType) -> Self {
        match message_type {
            // The contract never sends "unspecified".
            v1::MessageType::Human | v1::MessageType::Unspecified => Self::Human,
            v1::MessageType::Ai => Self::Ai,
        }
    }
}

impl From<MessageType> for v1::MessageType {
    fn from(message_type: MessageType) -> Self {
        match message_type {
            MessageType::Human => Self::Human,
            MessageType::Ai => Self::Ai,
        }
    }
}

impl From<v1::Status> for Status {
    fn from(status: v1::Status) -> Self {
        match status {
            // The contract never sends "unspecified".
            v1::Status::Pending | v1::Status::Unspecified => Self::Pending,
            v1::Status::Processing => Self::Processing,
            v1::Status::Complete => Self::Complete,
            v1::Status::Failed => Self::Failed,
        }
    }
}

impl From<Status> for v1::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::Pending,
            Status::Processing => Self::Processing,
            Status::Complete => Self::Complete,
            Status::Failed => Self::Failed,
        }
    }
}
