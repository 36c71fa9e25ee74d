//! GetConversation: what one person and one bot have said to each other, for those who may read it.

use repartee_proto::v1;
use tonic::Status;

use super::{QueueGrpc, answer, caller::Caller, check, service::refused, status};
use crate::domain::ConversationId;

/// Messages of a conversation whose reader did not say.
const PAGE: u32 = 100;

impl QueueGrpc {
    pub(super) async fn conversation(
        &self,
        caller: &Caller,
        mut request: v1::GetConversationRequest,
    ) -> Result<v1::GetConversationResponse, Status> {
        check::conversation(&self.limits, &mut request).map_err(refused)?;
        let (_, limit) = check::page(&self.limits, String::new(), request.limit, PAGE).map_err(refused)?;
        let human = (request.human_username.as_str(), request.human_color.as_str());
        let ai = (request.ai_username.as_str(), request.ai_color.as_str());
        let id = ConversationId::of(human, ai, request.session_id.as_deref());
        let mut looks = 0;
        if let Some(claimant) = self.claimant(caller) {
            let (owner, reads) = self.reads.owner(id).await.map_err(status::storage)?;
            looks = reads;
            if owner.is_some_and(|owner| !owner.admits(&claimant)) {
                return Err(status::conversation_of_another());
            }
        }
        let read = self.reads.conversation("GetConversation", id, u64::MAX, limit);
        let (records, more, reads) = read.await.map_err(status::storage)?;
        self.may_read(caller, &records).await?;
        let messages = records.iter().map(|record| self.message(record)).collect();
        Ok(v1::GetConversationResponse { messages, kv_stats: answer::kv_stats(reads + looks), more })
    }
}
