//! Attachments: files that people send with their messages. They are fetched from Telegram into the bucket
//! before the message is claimed.
//!
//! A message is accepted with Telegram's description of its files, and waits for them (see
//! `af_domain::attachment`). The table's stream triggers `fetch`, which downloads the files and calls
//! `store_results`: one transaction that stores the results and lets the message be claimed. If the function
//! fails in between, the message runs without its attachments after a time limit. The batch is delivered
//! again, and finds existing files under the same ids.

mod fetch;
mod store_results;

pub use fetch::fetch;
pub use store_results::store_results;
