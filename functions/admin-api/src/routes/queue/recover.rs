//! `POST /v1/queue/recover`: the consistency check, which repairs malformed conversations on request.

use af_api::queue::{RecoverAnswer, RecoverRequest};
use af_app::conversations::consistency::check;
use af_http::{ApiJson, Json, Problem};

use crate::caller::Operator;
use crate::paging;

/// The name of this listing in its cursors.
const LISTING: &str = "queue recover";

/// Checks the next conversations. The calls together read the whole table, about 2 000 items each.
///
/// # Errors
/// 422 for a cursor of another listing.
#[utoipa::path(
    post, path = "/v1/queue/recover",
    operation_id = "recoverQueue", tag = "queue",
    security(("apiKey" = ["admin"])), request_body = inline(RecoverRequest),
    responses((status = 200, body = inline(RecoverAnswer))),
)]
pub async fn recover(
    Operator { app, .. }: Operator,
    ApiJson(request): ApiJson<RecoverRequest>,
) -> Result<Json<RecoverAnswer>, Problem> {
    let from = paging::after(&app, LISTING, request.cursor.as_deref()).await?;
    let mut answer = check(&app, from.as_deref(), request.repair).await?;
    answer.next_cursor = paging::seal(&app, LISTING, answer.next_cursor).await?;
    Ok(Json(answer))
}
