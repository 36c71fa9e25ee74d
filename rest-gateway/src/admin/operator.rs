//! Operators, for what the gateway answers by itself: it asks the queue-service what their token proves.

use std::time::Instant;

use axum::extract::FromRequestParts;
use http::{StatusCode, header, request::Parts};
use repartee_process::bearer;
use repartee_proto::v1;

use crate::{client::Client, problem::Problem, server::App, upstream};

/// The request is an operator's.
pub(crate) struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let sent = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = sent.and_then(bearer) else {
            let detail = "send an operator's token: \"Authorization: Bearer <token>\"";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
        };
        let client = Client::of(&parts.extensions);
        let judgement = app.limits.judgement(client, &parts.headers);
        let role = upstream::authenticate(app, client, token).await?;
        if let Some((accepted, token)) = judgement {
            accepted.accept(token, Instant::now());
        }
        match role {
            v1::Role::Operator => Ok(Self),
            v1::Role::Worker | v1::Role::Gateway | v1::Role::Unspecified => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "this call needs an operator's token; another one was sent",
            )),
        }
    }
}
