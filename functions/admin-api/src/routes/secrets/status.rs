use af_api::pages::Page;
use af_api::secrets::{SecretBody, SecretsQuery};
use af_app::settings::secrets;
use af_domain::ids::SecretRef;
use af_domain::refusal::Refusal;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;

/// The most names in one request: five batches of Secrets Manager, in a query string that every proxy accepts.
const MAX_REFS: usize = 100;

/// Answers for each name, in the order of the request.
///
/// # Errors
/// 422 for no name, too many names, or a name that breaks the rule.
#[utoipa::path(
    get, path = "/v1/secrets",
    operation_id = "getSecretStatus", tag = "secrets",
    security(("apiKey" = ["admin", "read"])), params(SecretsQuery),
    responses((status = 200, body = Page<SecretBody>)),
)]
pub async fn status(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<SecretsQuery>,
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
    if names.len() > MAX_REFS {
        return Err(Refusal::field("/refs", format!("refs must be at most {MAX_REFS} names")));
    }
    let invalid = |rule: &dyn std::fmt::Display| {
        Refusal::field("/refs", format!("refs, parted by commas: each {rule}"))
    };
    names.into_iter().map(|name| SecretRef::parse(name).map_err(|e| invalid(&e))).collect()
}
