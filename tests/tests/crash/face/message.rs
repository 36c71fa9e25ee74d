//! Messages as JSON has them.

use repartee_proto::v1::{BotParams, Message, MessageType, NewMessage, Status};
use serde_json::{Value, json};

/// A message to be stored, as a browser sends it.
pub(super) fn to_json(message: &NewMessage) -> Value {
    let bot = message.bot.as_ref().map(|bot| json!({"entity": bot.entity, "priority": bot.priority}));
    json!({
        "domain": message.domain, "text": message.text, "username": message.username, "color": message.color,
        "message-type": if message.message_type() == MessageType::Ai { "AI" } else { "human" },
        "replyTo": message.reply_to, "eqScore": message.eq_score, "botParams": bot,
    })
}

/// A message as the gateway shows it; none where a part is missing or strange.
pub(super) fn from_json(json: &Value) -> Option<Message> {
    let message_type = match json["message-type"].as_str()? {
        "human" => MessageType::Human,
        "AI" => MessageType::Ai,
        _ => return None,
    };
    Some(Message {
        id: text(&json["id"])?,
        timestamp: json["timestamp"].as_i64()?,
        seq: json["seq"].as_u64()?,
        domain: text(&json["domain"])?,
        text: text(&json["text"])?,
        username: text(&json["username"])?,
        color: text(&json["color"])?,
        message_type: message_type.into(),
        reply_to: text(&json["replyTo"]),
        eq_score: json["eqScore"].as_i64()?.try_into().ok()?,
        bot_params: match &json["botParams"] {
            Value::Null => None,
            bot => Some(bot_params(bot)?),
        },
        deleted: json["deleted"].as_bool().unwrap_or(false),
        author: text(&json["author"]),
        address: text(&json["address"]),
        hidden: json["hidden"].as_bool().unwrap_or(false),
    })
}

/// Several of them.
pub(super) fn all_from_json(json: &Value) -> Option<Vec<Message>> {
    json.as_array()?.iter().map(from_json).collect()
}

fn bot_params(json: &Value) -> Option<BotParams> {
    let status = match json["status"].as_str()? {
        "pending" => Status::Pending,
        "processing" => Status::Processing,
        "complete" => Status::Complete,
        "failed" => Status::Failed,
        _ => return None,
    };
    Some(BotParams {
        status: status.into(),
        priority: json["priority"].as_u64()?.try_into().ok()?,
        entity: text(&json["entity"])?,
        ai_username: text(&json["aiUsername"])?,
        ai_color: text(&json["aiColor"])?,
        session_id: text(&json["sessionId"]),
        claimed_by: text(&json["claimedBy"]),
        claimed_at: json["claimedAt"].as_i64(),
        completed_at: json["completedAt"].as_i64(),
        attempts: json["attempts"].as_u64()?.try_into().ok()?,
        error: text(&json["error"]),
        not_before: json["notBefore"].as_i64(),
        expires_at: json["expiresAt"].as_i64(),
    })
}

fn text(json: &Value) -> Option<String> {
    json.as_str().map(str::to_owned)
}
