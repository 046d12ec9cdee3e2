//! The app of a user: what the person says in the private chat with a bot.

use crate::arrival::Arrival;
use crate::{TelegramEmulator, TelegramEmulatorError};

/// A text that a user sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserText {
    /// Its id within the chat, in which the messages of the bot have ids as well.
    pub message_id: i64,
    /// The text.
    pub text: String,
    /// When it was sent, in milliseconds since the epoch, in whole seconds.
    pub at: u64,
}

impl TelegramEmulator {
    /// Sends a text of `user` to `bot`, and waits for the first answer of the webhook. Returns the reason why the bot does not
    /// have the message yet; `None` if it has it.
    ///
    /// # Errors
    /// Returns `UnknownBot`, or an error if the journal cannot be written.
    pub async fn say(
        &self,
        bot: i64,
        user: i64,
        text: &str,
    ) -> Result<Option<String>, TelegramEmulatorError> {
        let arrival = Arrival {
            raw: None,
            text: text.to_owned(),
            ..Arrival::of_raw(bot, user, serde_json::Value::Null)
        };
        let pushed = self.arrive(arrival).await?;
        let refused = pushed.status.filter(|status| !(200..300).contains(status));
        Ok(pushed.error.or_else(|| refused.map(|status| format!("the webhook answered {status}"))))
    }

    /// The newest `limit` texts of `user` to `bot`, the oldest first.
    pub fn said(&self, bot: i64, user: i64, limit: usize) -> Vec<UserText> {
        let core = self.inner.lock();
        let mut texts: Vec<UserText> =
            core.state.updates_in(bot, user).filter_map(user_text).take(limit).collect();
        texts.reverse();
        texts
    }
}

/// The text of an update; `None` for one of another kind.
fn user_text(update: &crate::records::UpdateRecord) -> Option<UserText> {
    let message = &update.body["message"];
    let text = message["text"].as_str()?.to_owned();
    let at = message["date"].as_u64().unwrap_or_default() * 1_000;
    Some(UserText { message_id: update.message_id?, text, at })
}
