//! `POST /v1/keys`: makes an API key.

use af_app::keys;
use af_domain::time::Timestamp;
use af_http::{ApiJson, Problem};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{KeyBody, ScopeName};
use crate::Shared;
use crate::caller::Operator;

/// What key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// What it is for.
    name: String,
    /// What it opens.
    scopes: Vec<ScopeName>,
    /// When it ends by itself, epoch ms; never when left out.
    #[serde(default)]
    expires_at: Option<u64>,
}

/// A new key.
#[derive(Serialize, ToSchema)]
pub struct Answer {
    #[serde(flatten)]
    body: KeyBody,
    /// The key itself, shown this once.
    key: String,
}

/// Makes a key.
///
/// # Errors
/// 422 naming the field at fault.
#[utoipa::path(
    post, path = "/v1/keys", tag = "keys",
    security(("apiKey" = ["admin"])), request_body = inline(Request),
    responses((status = 201, body = inline(Answer))),
)]
pub async fn create(
    State(app): State<Shared>,
    _: Operator,
    ApiJson(request): ApiJson<Request>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let scopes: Vec<_> = request.scopes.into_iter().map(Into::into).collect();
    let expires_at = request.expires_at.map(Timestamp::from_millis);
    let (made, key) = keys::create(&app, &request.name, &scopes, expires_at).await?;
    let answer = Answer { body: made.into(), key: key.expose_secret().to_owned() };
    Ok((StatusCode::CREATED, Json(answer)))
}
