//! The last reply that reached its user, remembered until the server knows of it.
//!
//! A reply can be in the chat while its `complete` finds no server until our trust has ended. The server then hands
//! the message out again, often to us, and the user must not be answered twice. One reply is enough to remember: a
//! worker has one message in hand at a time. What the process takes with it when it ends is lost.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A reply with all that completing its message takes, the times by the server's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What the user said.
    pub question: String,
    /// When the message was claimed.
    pub claimed_at: u64,
    /// The reply, blank when there is none.
    pub text: String,
    /// When it was ready and, where we send it, sent.
    pub at: u64,
}

/// The last reply delivered, by its message's id.
#[derive(Debug, Default)]
pub struct Delivered(Mutex<Option<(String, Reply)>>);

impl Delivered {
    fn last(&self) -> MutexGuard<'_, Option<(String, Reply)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply to this message has been delivered.
    pub fn note(&self, message_id: &str, reply: &Reply) {
        *self.last() = Some((message_id.to_owned(), reply.clone()));
    }

    /// The reply to this message, if it is the one remembered.
    pub fn of(&self, message_id: &str) -> Option<Reply> {
        self.last().as_ref().filter(|(id, _)| id == message_id).map(|(_, reply)| reply.clone())
    }

    /// The server knows this message's outcome.
    pub fn forget(&self, message_id: &str) {
        self.last().take_if(|(id, _)| id == message_id);
    }
}
