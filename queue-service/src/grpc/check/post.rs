//! Checking a post.

use prost::Message as _;
use repartee_process::names::DEFAULT_COLOR;
use repartee_proto::v1;
use sha2::{Digest, Sha256};

use super::{traces, uuid};
use crate::{
    domain::{Address, Author, Checks, Claimant, Limits, NewMessage, Rejection, Request, RequestKey, Sender},
    writer::Post,
};

/// Priority of work whose sender gave none.
const PRIORITY: u32 = 5;
/// Longest idempotency key, in characters.
const KEY_CHARS: u32 = 255;

/// A message to be posted, with its idempotency key. `sender` is who stands behind the caller; none if the caller has no
/// share. `scope` is to whom the key belongs, and `before` to whom it did before its visitor had a secret: the same key of
/// somebody else is another one.
/// `claimant` is who asks for its conversation.
pub(in crate::grpc) fn post(
    limits: &Limits,
    request: v1::PostMessageRequest,
    sender: Option<Sender>,
    scope: &[u8],
    before: Option<&[u8]>,
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
    let author = match v1::MessageType::try_from(message.message_type) {
        Ok(v1::MessageType::Human | v1::MessageType::Unspecified) => Author::Human,
        Ok(v1::MessageType::Ai) => Author::Ai,
        Err(_) => {
            let why = format!("must be HUMAN (1) or AI (2), is {}", message.message_type);
            checks.refuse("message.message_type", why);
            Author::Human
        }
    };
    checks.domain("message.domain", &mut message.domain);
    checks.text("message.text", &message.text);
    checks.name("message.username", &mut message.username);
    checks.color("message.color", &message.color);
    let reply_to = message.reply_to.as_deref().and_then(|id| uuid(&mut checks, "message.reply_to", id));
    human(&mut checks, author, &mut message);
    bot(&mut checks, author, message.bot.as_mut());
    if let Some(session_id) = &mut message.session_id {
        checks.name("message.session_id", session_id);
    }
    checks.done()?;
    message.set_message_type(match author {
        Author::Human => v1::MessageType::Human,
        Author::Ai => v1::MessageType::Ai,
    });
    message.reply_to = reply_to.map(|id| id.to_string());
    // Of what is stored: the same message with its names in another spelling, or with a default written out, is the same.
    let request = idempotency_key.map(|key| {
        let of = |scope: &[u8]| RequestKey(digest(&[scope, &[0], key.as_bytes()].concat()));
        Request { key: of(scope), fingerprint: digest(&message.encode_to_vec()), before: before.map(of) }
    });
    let new = NewMessage {
        domain: message.domain,
        text: message.text,
        username: message.username,
        color: message.color,
        author,
        reply_to,
        eq_score: message.eq_score,
        priority: message.bot.as_ref().and_then(|bot| bot.priority).unwrap_or(PRIORITY),
        address: message.bot.map(address),
        human: message.human_username.zip(message.human_color),
        session_id: message.session_id,
        sender,
        origin: traces::origin(),
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

/// The bot that is asked, with what its sender left out.
fn bot(checks: &mut Checks<'_>, author: Author, bot: Option<&mut v1::BotAddress>) {
    let Some(bot) = bot else { return };
    if author == Author::Ai {
        checks.refuse("message.bot", "must be absent on a message by an AI");
    }
    checks.name("message.bot.entity", &mut bot.entity);
    match &mut bot.ai_username {
        Some(ai_username) => checks.name("message.bot.ai_username", ai_username),
        None => bot.ai_username = Some(bot.entity.clone()),
    }
    checks.color("message.bot.ai_color", bot.ai_color.get_or_insert_with(|| DEFAULT_COLOR.to_owned()));
    let priority = *bot.priority.get_or_insert(PRIORITY);
    checks.range("message.bot.priority", i64::from(priority), 0, 99);
    if let Some(session_id) = &mut bot.session_id {
        checks.name("message.bot.session_id", session_id);
    }
}

fn address(bot: v1::BotAddress) -> Address {
    Address {
        ai_username: bot.ai_username.unwrap_or_default(),
        ai_color: bot.ai_color.unwrap_or_default(),
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
