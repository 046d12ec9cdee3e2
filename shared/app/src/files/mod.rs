//! Files: attachments that people send, media that agents make, snapshots of workers' files, and the sweep
//! that deletes expired files.

pub mod attachments;
pub mod media;
pub mod snapshots;
pub mod sweep;
