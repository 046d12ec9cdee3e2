//! The outbox: replies and notices are put there in the transaction of their cause, and are then sent to Telegram.
//!
//! The invocation that made an entry sends it at once, when it may call Telegram. Otherwise the table's stream makes the
//! effects function send it, and a schedule sends what had to wait.

mod addressee;
mod apology;
mod deliver;
mod due;
mod missing_file;
mod notice;
mod operate;
mod prepare;
mod reply;
mod send;

pub(crate) use addressee::{Addressee, addressee};
pub(crate) use apology::apology;
pub use deliver::{COMPLETION_SENDS_FOR, deliver};
pub use due::{SCHEDULE_SENDS_FOR, deliver_changed, deliver_chats, deliver_due, due_work};
pub(crate) use missing_file::missing_file;
pub use notice::notice;
pub(crate) use notice::{answer, text_of};
pub use operate::{Dropped, drop_first, list, resend};
pub(crate) use reply::{Destination, destination, entry_for_reply};
pub use send::{BotMessenger, Messenger};
