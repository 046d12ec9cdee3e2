//! Files: attachments that people send, media that agents make, snapshots of workers' volumes, and the sweep that
//! removes what has expired.

pub mod attachments;
pub mod media;
pub mod snapshots;
pub mod sweep;
