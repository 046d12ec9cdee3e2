//! `POST /v1/queue/recover`: checks conversations, and repairs malformed ones on request.

use af_api::queue::{Found, RecoverAnswer, RecoverRequest};
use af_app::conversations::consistency::{Malformed, audit};
use af_http::{ApiJson, Problem};
use axum::Json;
use axum::extract::State;

use crate::caller::Operator;
use crate::paging;
use crate::state::Shared;

/// The name of this listing in its cursors.
const LISTING: &str = "queue recover";

/// Checks the next conversations. The calls together read the whole table, about 2 000 items each.
///
/// # Errors
/// 422 for a cursor of another listing.
#[utoipa::path(
    post, path = "/v1/queue/recover", tag = "queue",
    security(("apiKey" = ["admin"])), request_body = inline(RecoverRequest),
    responses((status = 200, body = inline(RecoverAnswer))),
)]
pub async fn recover(
    State(app): State<Shared>,
    _: Operator,
    ApiJson(request): ApiJson<RecoverRequest>,
) -> Result<Json<RecoverAnswer>, Problem> {
    let from = paging::after(&app, LISTING, request.cursor.as_deref()).await?;
    let audited = audit(&app, from.as_deref(), request.repair).await?;
    let found = audited.found.into_iter().map(problem).collect();
    let page = paging::page(&app, LISTING, found, audited.next).await?;
    Ok(Json(RecoverAnswer { checked: audited.checked, found: page.items, next_cursor: page.next_cursor }))
}

fn problem(malformed: Malformed) -> Found {
    Found {
        conversation_id: malformed.conversation,
        problem: malformed.problem,
        repaired: malformed.repaired,
    }
}
