use af_api::pairing::PairingBody;
use af_app::agents::pairing::get as use_case;
use af_domain::ids::PairingCode;
use af_http::{ApiPath, Json, Problem};

use crate::caller::KeyHolder;

/// Shows a pairing code.
///
/// # Errors
/// 404 when there is no such code, or it expired more than a day ago.
#[utoipa::path(
    get, path = "/v1/pairing-codes/{pairingCode}",
    operation_id = "getPairingCodeStatus", tag = "pairing",
    security(("apiKey" = ["admin", "app"])),
    responses((status = 200, body = PairingBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    KeyHolder { app, .. }: KeyHolder,
    ApiPath(code): ApiPath<PairingCode>,
) -> Result<Json<PairingBody>, Problem> {
    Ok(Json(PairingBody::at(use_case(&app, &code).await?, app.now())))
}
