//! The results of updates.

use af_domain::ids::MessageId;
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
    /// The sender may not write now.
    Rejected {
        /// The reason, in one word.
        reason: &'static str,
    },
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

impl Handled {
    /// An update without an effect.
    pub(super) fn ignored(reason: &str) -> Self {
        Handled::Ignored { reason: reason.to_owned() }
    }
}
