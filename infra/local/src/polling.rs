//! The updates of a real bot, which Telegram cannot push to this machine: they are fetched and given to the webhook.

use std::sync::Arc;
use std::time::Duration;

use af_domain::time::Millis;
use af_telegram::{Bot, FetchedUpdate, Pause, TelegramError};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use tower::ServiceExt;

/// The header with the secret of the webhook.
const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";
/// How long Telegram may wait for an update before it answers.
const LONG_POLL: Duration = Duration::from_secs(25);
/// The first wait after a failure. Each further one is twice as long.
const BACKOFF: Millis = Millis::from_secs(1);
/// The longest wait after a failure.
const MAX_BACKOFF: Millis = Millis::from_secs(30);
/// The most doublings of the wait. The longest wait is reached earlier.
const MAX_DOUBLINGS: u32 = 10;

/// Gives the updates of a bot to its webhook: one at a time and in order. An update is confirmed to Telegram only after the
/// webhook has answered 2xx. So an update that waits makes those of other chats wait, too, which suits one developer.
pub struct UpdatePoller {
    /// The bot.
    pub bot: Bot,
    /// The functions of the deployment.
    pub functions: Router,
    /// The path of the bot's webhook.
    pub path: String,
    /// The secret of the webhook.
    pub secret: SecretString,
    /// The way to wait after a failure.
    pub pause: Arc<dyn Pause + Send>,
}

impl UpdatePoller {
    /// Runs until Telegram refuses the bot's token. It may be dropped at any time: an update that was not confirmed comes
    /// again, and the webhook recognises it.
    pub async fn run(self) {
        let (mut after, mut failures) = (None, 0);
        loop {
            match self.bot.get_updates(after, LONG_POLL).await {
                Ok(updates) => {
                    failures = 0;
                    for update in updates {
                        self.deliver(&update).await;
                        after = Some(update.id);
                    }
                }
                Err(TelegramError::Unauthorized) => {
                    tracing::error!("Telegram refuses the bot's token, so no more updates are fetched");
                    return;
                }
                Err(error) => {
                    let wait = match &error {
                        TelegramError::RateLimited { retry_after } => *retry_after,
                        _ => backoff(failures),
                    };
                    failures += 1;
                    tracing::warn!(%error, wait_ms = wait.as_millis(), "updates cannot be fetched");
                    self.pause.pause(wait).await;
                }
            }
        }
    }

    /// Gives an update to the webhook until the webhook has accepted it.
    async fn deliver(&self, update: &FetchedUpdate) {
        let mut failures = 0;
        loop {
            let request = Request::post(&self.path)
                .header(CONTENT_TYPE, "application/json")
                .header(SECRET_HEADER, self.secret.expose_secret())
                .body(Body::from(update.json.clone()))
                .expect("the path and the secret are URL-safe");
            let Ok(answer) = self.functions.clone().oneshot(request).await;
            if answer.status().is_success() {
                return;
            }
            let (wait, status) = (backoff(failures), answer.status().as_u16());
            failures += 1;
            let wait_ms = wait.as_millis();
            tracing::warn!(
                status,
                update = update.id,
                wait_ms,
                "the webhook refuses an update; it is repeated"
            );
            self.pause.pause(wait).await;
        }
    }
}

fn backoff(failures: u32) -> Millis {
    Millis::new(BACKOFF.as_millis() << failures.min(MAX_DOUBLINGS)).min(MAX_BACKOFF)
}
