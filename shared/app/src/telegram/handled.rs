//! The results of updates.

use af_domain::ids::{BotIdentity, MessageId};
use af_domain::named_enum;

use crate::telegram::commands::Answered;

/// The result of an update. Every result is answered with 200, so that Telegram does not send the update
/// again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// The update is a message that is accepted now or was accepted before.
    Enqueued {
        /// The message id.
        message: MessageId,
        /// Whether the message was accepted before.
        duplicate: bool,
    },
    /// The update changed a message that was accepted before and still waits.
    Changed {
        /// The message id.
        message: MessageId,
        /// The kind of change.
        by: Change,
    },
    /// The update is a command that the system has answered.
    Command(Answered),
    /// The update says that a managed bot was created, or that its token may have changed.
    ManagedBot {
        /// The bot.
        bot: BotIdentity,
        /// Whether the update was handled before.
        duplicate: bool,
    },
    /// The sender may not write now.
    Rejected(Rejection),
    /// The update needs no action.
    Ignored {
        /// The reason, in one word.
        reason: String,
    },
}

named_enum! {
    /// How an update changes a message that waits.
    pub enum Change {
        /// The sender edited the message.
        Edit = "edit",
        /// A file of the same album was added.
        Album = "album",
    }
}

named_enum! {
    /// Why a sender may not write.
    pub enum Rejection {
        /// A binding is required, and none names the sender.
        UnboundUser = "unbound_user",
        /// The chat has used its allowance.
        RateLimited = "rate_limited",
    }
}

impl Handled {
    /// An update without an effect.
    pub(super) fn ignored(reason: &str) -> Self {
        Handled::Ignored { reason: reason.to_owned() }
    }
}
