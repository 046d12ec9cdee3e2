//! The last reply whose message the server may not know to be done.
//!
//! A `complete` may not reach the server while the trust lasts. The server then hands out the message again, often to the
//! same worker, and the agent must not do its work twice. One reply is enough, because a worker runs one message at a
//! time. The memory is lost when the process ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use af_api::usage::UsageBody;

/// A reply, and everything else that completing its message needs. Times are by the server's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The text of the message.
    pub question: String,
    /// When the message was claimed.
    pub claimed_at: u64,
    /// The reply; blank when there is none.
    pub text: String,
    /// When the reply was ready.
    pub at: u64,
    /// What making it has used.
    pub usage: Option<UsageBody>,
    /// The operator's documents in which an edit of the agent was taken back.
    pub put_back: Vec<String>,
}

/// The last reply, with the id of its message.
#[derive(Debug, Default)]
pub struct Unreported(Mutex<Option<(String, Reply)>>);

impl Unreported {
    fn last(&self) -> MutexGuard<'_, Option<(String, Reply)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the reply to this message.
    pub fn note(&self, message_id: &str, reply: &Reply) {
        *self.last() = Some((message_id.to_owned(), reply.clone()));
    }

    /// The reply to this message, if it is the remembered one.
    pub fn of(&self, message_id: &str) -> Option<Reply> {
        self.last().as_ref().filter(|(id, _)| id == message_id).map(|(_, reply)| reply.clone())
    }

    /// Forgets the reply, because the server knows the outcome of this message.
    pub fn forget(&self, message_id: &str) {
        self.last().take_if(|(id, _)| id == message_id);
    }
}
