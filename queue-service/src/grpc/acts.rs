//! The log of what operators do: what an act says of itself, and the list of acts.

use repartee_proto::v1::{self, act::On};
use tonic::Status;

use super::{
    QueueGrpc,
    caller::{Caller, Principal},
    check,
    service::refused,
};
use crate::domain::{Act, ActKind, Actor, Deed, Selection, Target};

/// Entries on a page whose reader did not say.
const PAGE: u32 = 50;

/// What an operator does; none if it is somebody else, whose acts are not entered.
pub(super) fn deed(caller: &Caller, kind: ActKind, on: Target, reason: String) -> Option<Deed> {
    let Principal::Operator(grant) = &caller.principal else { return None };
    let by = Actor { token_id: grant.id.clone(), name: grant.name.clone() };
    Some(Deed { by, kind, on, detail: String::new(), reason })
}

/// What an operator does; on whom is entered once the rule has found it out.
pub(super) fn deed_on_somebody(caller: &Caller, kind: ActKind, reason: String) -> Result<Deed, Status> {
    let nobody = Target::All(Selection::Entity(String::new()));
    // The table of rights lets nobody else in.
    deed(caller, kind, nobody, reason)
        .ok_or_else(|| Status::permission_denied("this call needs an operator's token"))
}

/// The fields that an operator changes.
pub(super) fn detail(request: &v1::UpdateMessageRequest) -> String {
    let status = request.status.map(|_| format!("status {}", request.status().as_str_name()));
    let fields = [
        request.text.as_ref().map(|_| "text".to_owned()),
        request.eq_score.map(|score| format!("score {score}")),
        request.priority.map(|priority| format!("priority {priority}")),
        status.map(|status| status.replace("STATUS_", "").to_lowercase()),
    ];
    fields.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl QueueGrpc {
    pub(super) fn list_of_acts(&self, request: v1::ListActsRequest) -> Result<v1::ListActsResponse, Status> {
        let v1::ListActsRequest { limit, before } = request;
        let (_, limit) = check::page(&self.limits, String::new(), limit, PAGE).map_err(refused)?;
        let before = if before == 0 { u64::MAX } else { before };
        let (acts, more) = self.reads.views.acts(before, limit);
        Ok(v1::ListActsResponse { acts: acts.iter().map(|act| shown(act)).collect(), more })
    }
}

fn shown(act: &Act) -> v1::Act {
    let Act { number, at, deed: Deed { by, kind, on, detail, reason }, count } = act;
    v1::Act {
        number: *number,
        at: *at,
        token_id: by.token_id.clone(),
        token_name: by.name.clone(),
        kind: kind_of(*kind).into(),
        on: Some(match on {
            Target::Message(id) => On::MessageId(id.to_string()),
            Target::All(Selection::Entity(entity)) => On::Entity(entity.clone()),
            Target::All(Selection::Author(key)) => On::Author(key.to_hex()),
            Target::All(Selection::Address(key)) => On::Address(key.to_hex()),
        }),
        count: *count,
        detail: detail.clone(),
        reason: reason.clone(),
    }
}

fn kind_of(kind: ActKind) -> v1::ActKind {
    match kind {
        ActKind::Cancel => v1::ActKind::Cancel,
        ActKind::Retry => v1::ActKind::Retry,
        ActKind::Edit => v1::ActKind::Edit,
        ActKind::Delete => v1::ActKind::Delete,
        ActKind::Hide => v1::ActKind::Hide,
        ActKind::Restore => v1::ActKind::Restore,
        ActKind::Block => v1::ActKind::Block,
        ActKind::Unblock => v1::ActKind::Unblock,
        ActKind::Pause => v1::ActKind::Pause,
        ActKind::Resume => v1::ActKind::Resume,
    }
}
