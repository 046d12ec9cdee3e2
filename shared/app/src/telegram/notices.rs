//! The texts with which the system answers `/start`.

use af_domain::agent::AgentProfile;
use af_domain::ids::{BotIdentity, ConsumerUserId};
use af_domain::outbox::Chat;
use af_store::outbox::NewEntry;

use crate::App;
use crate::outbox::notice;

const WRONG: &str = "This code is not valid. Open the link in your app again to get a new code.";
const LOCKED: &str = "This code is not valid. You have sent too many wrong codes, so please wait ten minutes before you \
    send the next one.";
const UNKNOWN: &str =
    "Hello! This chat is not connected with an account yet. To connect it, open the link in your app.";

/// A private chat with a bot, to which a notice is written.
#[derive(Debug, Clone)]
pub(crate) struct PrivateChat {
    /// The bot.
    pub bot: BotIdentity,
    /// The id of the chat.
    pub id: i64,
}

impl PrivateChat {
    fn notice(&self, app: &App, user: Option<ConsumerUserId>, text: &str) -> NewEntry {
        notice(app, Chat { bot: self.bot.clone(), id: self.id }, None, user, text)
    }

    /// The person is connected with this user of the agent.
    pub fn paired(&self, app: &App, profile: &AgentProfile, user: &ConsumerUserId) -> NewEntry {
        let text = match &profile.display_name {
            Some(name) => format!("You are connected with {name}. Send a message to begin."),
            None => "You are connected. Send a message to begin.".to_owned(),
        };
        self.notice(app, Some(user.clone()), &text)
    }

    /// The code is not valid. `locks` says that the person must wait now.
    pub fn wrong_code(&self, app: &App, locks: bool) -> NewEntry {
        self.notice(app, None, if locks { LOCKED } else { WRONG })
    }

    /// The person, who is known as this user or unknown, has greeted the bot.
    pub fn greeting(&self, app: &App, user: Option<ConsumerUserId>) -> NewEntry {
        let text =
            if user.is_some() { "Hello! You are connected. Send a message to begin." } else { UNKNOWN };
        self.notice(app, user, text)
    }
}
