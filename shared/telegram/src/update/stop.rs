//! A person stops the agent.

use super::wire::Stopped;
use super::{Ingress, Origin, kind_by_id};

/// How a person stops the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopBy {
    /// With the command `/stop`.
    Command {
        /// The bot in `/stop@bot`, without `@`.
        bot: Option<String>,
    },
    /// With the button below a draft.
    Button,
}

/// Returns the meaning of a press of the button that stops a draft.
pub(super) fn pressed_stop(update_id: u64, pressed: &Stopped) -> Result<Ingress, &'static str> {
    let chat = pressed.chat.as_ref().ok_or("no_chat")?;
    let chat_id = chat.id.ok_or("no_chat")?;
    let origin = Origin {
        update_id,
        chat_id,
        chat_type: chat.kind.clone().unwrap_or_else(|| kind_by_id(chat_id).to_owned()),
        user_id: chat_id,
        username: None,
        message_id: 0,
        topic: pressed.message_thread_id,
    };
    Ok(Ingress::Stop { origin, by: StopBy::Button })
}
