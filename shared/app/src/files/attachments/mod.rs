//! Attachments: files that people send with their messages, fetched from Telegram into the bucket before the message is
//! claimed.
//!
//! A message is accepted with what Telegram says of its files, and waits for them (see `af_domain::attachment`). The table's
//! stream brings it to `fetch`, which loads them and ends in `settle`: one transaction that writes what became of them
//! and lets the message be claimed. Whoever dies in between leaves a message that goes on without them when its time
//! has come; the batch of the stream comes again, and finds under the same ids what is there already.

mod fetch;
mod settle;

pub use fetch::fetch;
pub use settle::settle;
