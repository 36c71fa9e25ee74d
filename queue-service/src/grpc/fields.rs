//! Who may set what. A visitor says what a visitor can say: whoever wants to speak as a bot, to be served first or to move
//! a message along its lifecycle has to prove a role. The table is in the README.

use std::sync::Arc;

use repartee_proto::v1;
use tonic::Status;
use uuid::Uuid;

use super::{QueueGrpc, caller::Caller, service::refused, status};
use crate::domain::{Author, NewMessage, Record, Rejection, Violation};

/// Checks and completes what a caller says about a message to be posted: a visitor's priority is held to `ceiling`.
pub(super) fn post(
    caller: &Caller,
    request: &mut v1::PostMessageRequest,
    ceiling: u32,
) -> Result<(), Rejection> {
    let Some(message) = request.message.as_mut().filter(|_| caller.is_visitor()) else { return Ok(()) };
    if let Some(bot) = &mut message.bot {
        bot.priority = Some(bot.priority.unwrap_or(ceiling).min(ceiling));
    }
    let mut violations = Vec::new();
    let mut refuse = |field: &str, description: &str| {
        violations.push(Violation { field: field.to_owned(), description: description.to_owned() });
    };
    if message.message_type() == v1::MessageType::Ai {
        refuse("message.message_type", "may be AI with a worker's or an operator's token only");
    }
    if message.eq_score != 0 {
        refuse("message.eq_score", "may be set with a worker's or an operator's token only");
    }
    allowed(caller, violations)
}

/// Checks what a caller wants to change in a message: an author the text, an operator everything.
pub(super) fn update(caller: &Caller, request: &v1::UpdateMessageRequest) -> Result<(), Rejection> {
    if caller.is_operator() {
        return Ok(());
    }
    let set = [
        ("eq_score", request.eq_score.is_some()),
        ("priority", request.priority.is_some()),
        ("status", request.status.is_some()),
    ];
    let violation = |(field, _): (&str, bool)| Violation {
        field: field.to_owned(),
        description: "may be changed with an operator's token only; an author changes the text".to_owned(),
    };
    allowed(caller, set.into_iter().filter(|(_, is_set)| *is_set).map(violation).collect())
}

fn allowed(caller: &Caller, violations: Vec<Violation>) -> Result<(), Rejection> {
    let by_token = caller.edit_token.is_some() || !caller.is_visitor();
    if violations.is_empty() { Ok(()) } else { Err(Rejection::NotAllowed { by_token, violations }) }
}

impl QueueGrpc {
    /// Checks that a worker whose token names entities may answer the message with this id. An entity never changes, so
    /// that nothing can happen between this look and the command.
    pub(super) async fn may_answer(&self, caller: &Caller, id: Uuid) -> Result<(), Status> {
        let Some(grant) = caller.limited_to() else { return Ok(()) };
        let (record, _) = self.reads.message(id).await.map_err(status::storage)?;
        let entity =
            record.as_ref().and_then(|record| Some(record.content.address.as_ref()?.entity.as_str()));
        // What is no work at all is told so by the rule.
        match entity {
            Some(entity) if !grant.answers(entity) => Err(refused(not_granted("message_id", entity))),
            Some(_) | None => Ok(()),
        }
    }

    /// The claims of a batch, each with whether its caller may answer its message.
    pub(super) async fn may_answer_each<T>(
        &self,
        caller: &Caller,
        items: Vec<Result<T, Rejection>>,
        id: impl Fn(&T) -> Uuid,
    ) -> Result<Vec<Result<T, Rejection>>, Status> {
        let Some(grant) = caller.limited_to() else { return Ok(items) };
        let mut judged = Vec::with_capacity(items.len());
        for item in items {
            let Ok(item) = item else {
                judged.push(item);
                continue;
            };
            let (record, _) = self.reads.message(id(&item)).await.map_err(status::storage)?;
            let address = record.as_ref().and_then(|record| record.content.address.as_ref());
            let refused = address.filter(|address| !grant.answers(&address.entity));
            judged.push(match refused {
                Some(address) => Err(not_granted("lease.message_id", &address.entity)),
                None => Ok(item),
            });
        }
        Ok(judged)
    }

    /// The entities that a caller takes work of: those that it asked for, all that its token names if it asked for none.
    pub(super) fn granted(caller: &Caller, asked: Vec<String>) -> Result<Vec<String>, Rejection> {
        let Some(grant) = caller.limited_to() else { return Ok(asked) };
        if asked.is_empty() {
            return Ok(grant.entities.to_vec());
        }
        match asked.iter().find(|entity| !grant.answers(entity)) {
            Some(entity) => Err(not_granted("entities", entity)),
            None => Ok(asked),
        }
    }

    /// Checks that a worker whose token names entities speaks as one of them: under the entity's own name, or under the
    /// name that it was asked by in the message that it answers.
    pub(super) async fn may_speak(
        &self,
        caller: &Caller,
        new: &NewMessage,
    ) -> Result<Result<(), Rejection>, Status> {
        let Some(grant) = caller.limited_to().filter(|_| new.author == Author::Ai) else { return Ok(Ok(())) };
        let by_entity = grant.answers(&new.username);
        let may = match new.reply_to {
            None => by_entity,
            Some(id) => {
                let (record, _) = self.reads.message(id).await.map_err(status::storage)?;
                // That there is no such message is told by the rule.
                let Some(record) = record else { return Ok(Ok(())) };
                match record.content.address.as_ref() {
                    Some(asked) => {
                        grant.answers(&asked.entity) && (by_entity || asked.ai_username == new.username)
                    }
                    // What answers a bot's line is stored in the conversation with that bot.
                    None if record.content.conversation.is_some() => {
                        by_entity && grant.answers(&record.content.username)
                    }
                    None => by_entity,
                }
            }
        };
        let description =
            || format!("must be a name that this token's entities answer with, is {:?}", new.username);
        let refused = || Rejection::NotAllowed {
            by_token: true,
            violations: vec![Violation { field: "message.username".to_owned(), description: description() }],
        };
        Ok(may.then_some(()).ok_or_else(refused))
    }

    /// Checks that a conversation is one that the caller serves: a worker's token for some entities reads what was asked of
    /// those, and what was answered to it.
    pub(super) async fn may_read(&self, caller: &Caller, records: &[Arc<Record>]) -> Result<(), Status> {
        let Some(grant) = caller.limited_to() else { return Ok(()) };
        for Record { content, .. } in records.iter().map(AsRef::as_ref) {
            let answered = match (&content.address, content.reply_to) {
                (None, Some(id)) => self.reads.message(id).await.map_err(status::storage)?.0,
                (Some(_), _) | (None, None) => None,
            };
            let asked = answered.as_ref().map_or(&content.address, |record| &record.content.address);
            let entity = asked.as_ref().map_or(&content.username, |asked| &asked.entity);
            if !grant.answers(entity) {
                return Err(refused(not_granted("ai_username", entity)));
            }
        }
        Ok(())
    }
}

fn not_granted(field: &str, entity: &str) -> Rejection {
    let description = format!("the entity {entity:?} is not among those of this worker's token");
    Rejection::NotAllowed {
        by_token: true,
        violations: vec![Violation { field: field.to_owned(), description }],
    }
}
