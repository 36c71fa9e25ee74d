//! A change of a message that is stored.

use repartee_proto::v1;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    lenient::{or_default, whole, word},
    message::Status,
    object::Object,
};
use crate::problem::Problem;

/// What is to change; absent fields stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EditComment {
    /// New text, 1 to 16,384 bytes.
    text: Option<String>,
    /// New score.
    #[serde(default, deserialize_with = "whole")]
    eq_score: Option<i32>,
    /// New priority, 0 to 99, only while the message waits.
    #[serde(default, deserialize_with = "whole")]
    #[schema(maximum = 99)]
    priority: Option<u32>,
    /// New status, one step along the lifecycle.
    #[serde(default, deserialize_with = "word")]
    status: Option<Status>,
    /// Status and priority again, where older clients write them.
    #[schema(value_type = Option<EditBotParams>)]
    bot_params: Option<Object<EditBotParams>>,
    /// Why, for the log of operators' acts: at most 200 characters. An author's is kept nowhere.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(max_length = 200, required = false, nullable)]
    reason: String,
}

/// How a message is removed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RemovalQuery {
    /// Why, for the log of operators' acts: at most 200 characters. An author's is kept nowhere.
    #[serde(default)]
    #[param(max_length = 200, required = false)]
    pub(crate) reason: String,
}

/// Status and priority, where older clients write them.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EditBotParams {
    /// New status.
    #[serde(default, deserialize_with = "word")]
    status: Option<Status>,
    /// New priority.
    #[serde(default, deserialize_with = "whole")]
    #[schema(maximum = 99)]
    priority: Option<u32>,
}

impl EditComment {
    /// The change of the message `id`.
    ///
    /// # Errors
    /// 400 where a value is given twice and differs.
    pub(crate) fn of(self, id: String) -> Result<v1::UpdateMessageRequest, Problem> {
        let inner = self.bot_params.map(|Object(params)| params).unwrap_or_default();
        let status = one_of("/botParams/status", self.status, inner.status)?;
        Ok(v1::UpdateMessageRequest {
            message_id: id,
            text: self.text,
            eq_score: self.eq_score,
            priority: one_of("/botParams/priority", self.priority, inner.priority)?,
            status: status.map(|status| v1::Status::from(status).into()),
            reason: self.reason,
        })
    }
}

fn one_of<T: PartialEq>(pointer: &str, outer: Option<T>, inner: Option<T>) -> Result<Option<T>, Problem> {
    if outer.is_some() && inner.is_some() && outer != inner {
        return Err(Problem::field(pointer, "is given twice with different values"));
    }
    Ok(outer.or(inner))
}
