//! The pages, one a file.

pub(crate) mod agents;
pub(crate) mod conversation;
pub(crate) mod home;
pub(crate) mod message;
pub(crate) mod phone;
pub(crate) mod push;
pub(crate) mod queue;
mod rows;
pub(crate) mod search;
pub(crate) mod settings;
pub(crate) mod sign_in;
pub(crate) mod workers;

use serde::Deserialize;

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ListQuery {
    /// The position of the page.
    pub cursor: Option<String>,
    /// What the form before has done.
    pub done: Option<String>,
}
