//! `GET /v1/secrets?refs=a,b`: which secrets there are.

use af_app::settings::secrets;
use af_domain::ids::SecretRef;
use af_domain::refusal::Refusal;
use af_http::{ApiQuery, Page, Problem};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Viewer;

/// Most refs of one request: five batches of Secrets Manager, and a query string that every proxy lets through.
const REFS_MAX: usize = 100;

/// Which secrets.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Their refs, parted by commas.
    refs: String,
}

/// Whether there is a secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretBody {
    secret_ref: String,
    /// Whether it has a value.
    has_active: bool,
    /// That value's version.
    version: Option<String>,
}

/// Answers for each ref, in the order asked for.
///
/// # Errors
/// 422 for no ref, too many, or one that is none.
#[utoipa::path(
    get, path = "/v1/secrets", tag = "secrets",
    security(("apiKey" = ["admin", "read"])), params(Query),
    responses((status = 200, body = Page<SecretBody>)),
)]
pub async fn status(
    State(app): State<Shared>,
    _: Viewer,
    ApiQuery(query): ApiQuery<Query>,
) -> Result<Json<Page<SecretBody>>, Problem> {
    let refs = parse(&query.refs)?;
    let found = secrets::status(&app, &refs).await?.into_iter();
    let items = found.map(|s| SecretBody {
        secret_ref: s.secret_ref.to_string(),
        has_active: s.has_active,
        version: s.version,
    });
    Ok(Json(Page::new(items.collect(), None)))
}

fn parse(refs: &str) -> Result<Vec<SecretRef>, Refusal> {
    let names: Vec<&str> = refs.split(',').collect();
    if names.len() > REFS_MAX {
        return Err(Refusal::field("/refs", format!("refs must be at most {REFS_MAX} names")));
    }
    let invalid = |rule: &dyn std::fmt::Display| {
        Refusal::field("/refs", format!("refs, parted by commas: each {rule}"))
    };
    names.into_iter().map(|name| SecretRef::parse(name).map_err(|e| invalid(&e))).collect()
}
