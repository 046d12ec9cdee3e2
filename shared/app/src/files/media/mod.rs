//! Media: files that agents make or fetch. They are transferred between worker and bucket by presigned URLs.

mod announce;
mod assignment;
mod expire;
mod get;
mod receive;

pub use announce::{announce, upload_url};
pub use assignment::object_key;
pub(crate) use assignment::too_much;
pub use expire::expire;
pub use get::get;
pub use receive::receive;
