//! Checking a post.

use prost::Message as _;
use repartee_proto::v1;
use sha2::{Digest, Sha256};

use super::uuid;
use crate::{
    domain::{Address, Author, Checks, Claimant, Limits, NewMessage, Rejection, Request, RequestKey, Sender},
    writer::Post,
};

/// Priority of work whose sender gave none.
const PRIORITY: u32 = 5;
/// Color of a bot whose sender gave none.
const AI_COLOR: &str = "default";
/// Longest idempotency key, in characters.
const KEY_CHARS: u32 = 255;

/// A message to be posted, with its idempotency key. `sender` is who stands behind the caller; none if the caller has no
/// share. `scope` is to whom the key belongs: the same key of somebody else is another one.
/// `claimant` is who asks for its conversation.
pub(in crate::grpc) fn post(
    limits: &Limits,
    request: v1::PostMessageRequest,
    sender: Option<Sender>,
    scope: &[u8],
    claimant: Option<Claimant>,
) -> Result<Post, Rejection> {
    let v1::PostMessageRequest { message, idempotency_key } = request;
    let Some(mut message) = message else {
        return Err(Rejection::field("message", "is missing"));
    };
    let mut checks = Checks::new(limits);
    if let Some(key) = &idempotency_key {
        checks.chars("idempotency_key", key, 1, KEY_CHARS);
    }
    let author = match message.message_type() {
        v1::MessageType::Human => Author::Human,
        v1::MessageType::Ai => Author::Ai,
        v1::MessageType::Unspecified => {
            checks.refuse("message.message_type", "must be HUMAN or AI");
            Author::Human
        }
    };
    checks.domain("message.domain", &mut message.domain);
    checks.text("message.text", &message.text);
    checks.name("message.username", &mut message.username);
    checks.color("message.color", &mut message.color);
    let priority = message.bot.as_ref().and_then(|bot| bot.priority).unwrap_or(PRIORITY);
    checks.range("message.bot.priority", i64::from(priority), 0, 99);
    let reply_to = message.reply_to.as_deref().and_then(|id| uuid(&mut checks, "message.reply_to", id));
    human(&mut checks, author, &mut message);
    bot(&mut checks, author, message.bot.as_mut());
    if let Some(session_id) = &mut message.session_id {
        checks.name("message.session_id", session_id);
    }
    checks.done()?;
    // Of the names in their form: the same message in another spelling is the same message.
    let request = idempotency_key.map(|key| Request {
        key: RequestKey(digest(&[scope, &[0], key.as_bytes()].concat())),
        fingerprint: digest(&message.encode_to_vec()),
    });
    let new = NewMessage {
        domain: message.domain,
        text: message.text,
        username: message.username,
        color: message.color,
        author,
        reply_to,
        eq_score: message.eq_score,
        address: message.bot.map(address),
        priority,
        human: message.human_username.zip(message.human_color),
        session_id: message.session_id,
        sender,
        claimant,
    };
    Ok((new, request))
}

/// The human of the conversation of an AI's message.
fn human(checks: &mut Checks<'_>, author: Author, message: &mut v1::NewMessage) {
    let named =
        message.human_username.is_some() || message.human_color.is_some() || message.session_id.is_some();
    if author == Author::Human && named {
        let why = "human_username, human_color and session_id belong to messages by an AI; a human's are in message.bot";
        checks.refuse("message.human_username", why);
    }
    match (&mut message.human_username, &mut message.human_color) {
        (Some(username), Some(color)) => {
            checks.name("message.human_username", username);
            checks.color("message.human_color", color);
        }
        (None, None) => {}
        (Some(_), None) => {
            checks.refuse("message.human_color", "must be given together with human_username");
        }
        (None, Some(_)) => {
            checks.refuse("message.human_username", "must be given together with human_color");
        }
    }
}

/// The bot that is asked.
fn bot(checks: &mut Checks<'_>, author: Author, bot: Option<&mut v1::BotAddress>) {
    let Some(bot) = bot else { return };
    if author == Author::Ai {
        checks.refuse("message.bot", "must be absent on a message by an AI");
    }
    checks.name("message.bot.entity", &mut bot.entity);
    if let Some(ai_username) = &mut bot.ai_username {
        checks.name("message.bot.ai_username", ai_username);
    }
    if let Some(ai_color) = &mut bot.ai_color {
        checks.color("message.bot.ai_color", ai_color);
    }
    if let Some(session_id) = &mut bot.session_id {
        checks.name("message.bot.session_id", session_id);
    }
}

fn address(bot: v1::BotAddress) -> Address {
    Address {
        ai_username: bot.ai_username.unwrap_or_else(|| bot.entity.clone()),
        ai_color: bot.ai_color.unwrap_or_else(|| AI_COLOR.to_owned()),
        entity: bot.entity,
        session_id: bot.session_id,
        not_before: bot.not_before,
        expires_at: bot.expires_at,
    }
}

fn digest(bytes: &[u8]) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(bytes)[..16]);
    digest
}
