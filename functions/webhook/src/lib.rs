//! Telegram ingress: `POST {prefix}/telegram/webhook/{botIdentity}`.
//!
//! With a valid secret the answer is 200 once the update is stored or deliberately ignored: Telegram does not send it
//! again. When the deployment fails, the answer is 5xx, and Telegram sends the update again.

use af_api::telegram::{PairingAnswer, UpdateAnswer};
use std::sync::Arc;

use af_app::telegram::commands::Answered;
use af_app::telegram::ingress::{Handled, handle};
use af_app::{App, Boot, BootError};
use af_domain::refusal::{Code, Refusal};
use af_http::{MAX_BODY_BYTES, Problem, service};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Json, Router};
use http::HeaderMap;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Header in which Telegram sends the webhook's secret.
const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";
struct Webhook {
    app: App,
    prefix: String,
}

/// The router of the function.
///
/// # Errors
/// `BootError` that names what the environment lacks.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<Router, BootError> {
    let prefix = boot.env.require("WEBHOOK_PATH_PREFIX")?.trim_matches('/').to_owned();
    let webhook = Arc::new(Webhook { app: App::from_boot(boot)?, prefix });
    let router: Router<Arc<Webhook>> = routes().into();
    Ok(service(router.with_state(webhook)))
}

/// The part of the OpenAPI document that describes this function's route.
pub fn openapi() -> Document {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Arc<Webhook>> {
    OpenApiRouter::new().routes(routes!(update)).routes(routes!(without_bot))
}

/// Takes an update from Telegram: 200 once it is stored or deliberately ignored, so that Telegram does not repeat it.
///
/// # Errors
/// 401 without the bot's webhook secret, 429 when too many messages wait.
#[utoipa::path(
    post, path = "/{pathPrefix}/telegram/webhook/{botIdentity}",
    operation_id = "receiveTelegramUpdate", tag = "telegram",
    security(("webhookSecret" = [])),
    request_body(content = Object, description = "An update of the Bot API."),
    responses(
        (status = 200, body = inline(UpdateAnswer)), (status = 404, description = "not_found"),
        (status = 429, description = "queue_full"),
    ),
)]
async fn update(
    State(webhook): State<Arc<Webhook>>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<UpdateAnswer>, Problem> {
    let Path((prefix, bot)) = path
        .map_err(|_| Refusal::new(Code::MalformedRequest, "the path must be UTF-8, percent-encoded once"))?;
    if prefix != webhook.prefix {
        return Err(Refusal::new(Code::NotFound, "there is no such route").into());
    }
    let secret = headers.get(SECRET_HEADER).and_then(|v| v.to_str().ok());
    // An unreadable body counts as empty, and is refused only after the secret is checked.
    // The limit is far above the updates of Telegram. A larger one is ignored, because Telegram would repeat it if it
    // were refused.
    let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await.unwrap_or_default();
    let handled = handle(&webhook.app, &bot, secret, &body).await?;
    Ok(Json(answer(handled)))
}

fn answer(handled: Handled) -> UpdateAnswer {
    let ok = UpdateAnswer { ok: true, ..UpdateAnswer::default() };
    match handled {
        Handled::Enqueued { message, duplicate } => {
            UpdateAnswer { message_id: Some(message.to_string()), duplicate: Some(duplicate), ..ok }
        }
        Handled::Changed { message, by } => UpdateAnswer {
            message_id: Some(message.to_string()),
            changed: Some(by.as_str().to_owned()),
            ..ok
        },
        Handled::Rejected(rejection) => UpdateAnswer { rejected: Some(rejection.as_str().to_owned()), ..ok },
        Handled::Ignored { reason } => UpdateAnswer { ignored: Some(reason), ..ok },
        Handled::Command(Answered::Stopped { cancelled }) => {
            UpdateAnswer { cancelled: Some(cancelled), ..ok }
        }
        Handled::Command(Answered::Greeted { is_known }) => UpdateAnswer { known: Some(is_known), ..ok },
        Handled::Command(Answered::Paired { user, agent }) => {
            let pairing = PairingAnswer {
                status: "used".to_owned(),
                consumer_user_id: Some(user.to_string()),
                agent_key: Some(agent.to_string()),
                error: None,
            };
            UpdateAnswer { pairing: Some(pairing), ..ok }
        }
        Handled::Command(Answered::NotPaired(error)) => {
            let pairing = PairingAnswer {
                status: "failed".to_owned(),
                consumer_user_id: None,
                agent_key: None,
                error: Some(error.as_str().to_owned()),
            };
            UpdateAnswer { pairing: Some(pairing), ..ok }
        }
    }
}

/// Answers 404: the path of a webhook names its bot.
///
/// # Errors
/// Always 404 with the path to use.
#[utoipa::path(
    post, path = "/{pathPrefix}/telegram/webhook",
    operation_id = "refuseTelegramUpdateWithoutBot", tag = "telegram",
    request_body(content = Object, description = "An update of the Bot API."),
    responses((status = 404, description = "not_found")),
)]
async fn without_bot(
    State(webhook): State<Arc<Webhook>>,
    prefix: Result<Path<String>, PathRejection>,
) -> Problem {
    let prefix = prefix.map(|Path(prefix)| prefix).unwrap_or_default();
    if prefix != webhook.prefix {
        return Refusal::new(Code::NotFound, "there is no such route").into();
    }
    let detail = format!(
        "the path of a webhook names its bot: /{prefix}/telegram/webhook/{{botIdentity}}; set it with POST \
         /v1/telegram/webhooks {{\"agentKey\": \"…\"}}"
    );
    Refusal::new(Code::NotFound, detail).into()
}
