//! Managed bots: a person creates a bot with a link, and the deployment connects it. No person sees its token.
//!
//! 1. [`create`] makes a link of the manager bot, which is the bot of the agent that the ingress config names as
//!    `managerAgentKey`.
//! 2. The person opens the link and creates the bot. Telegram sends the update `managed_bot` to the manager bot, and
//!    `reported` stores the bot in one transaction that also uses the link.
//! 3. Effects calls [`connect_changed`] from the table's stream, and [`connect_due`] from the schedule of the outboxes: the
//!    token is fetched and stored, the webhook is set, and the person is bound to the user. Each step can be repeated, so a
//!    call that dies in between is repeated as a whole.
//!
//! [`rotate`] replaces the token of a managed bot. A changed token is also reported by the update `managed_bot`, and is then
//! fetched again.

mod connect;
mod link;
mod manager;
mod report;
mod rotate;
mod show;

pub use connect::{connect_changed, connect_due};
pub use link::{LinkRequest, create};
pub(crate) use manager::missing as manager_missing;
pub(crate) use report::reported;
pub use rotate::rotate;
pub(crate) use show::find;
pub use show::{ShownLink, newest};
