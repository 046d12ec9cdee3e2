//! The effects, one per file. A new effect is a file here and an entry in one list.

mod attachments;
mod counters;
mod expired_media;
mod expired_snapshots;
mod payload_ttl;

use crate::effect::Effect;

/// Effects of a batch of the table's stream.
pub const OF_THE_STREAM: [&dyn Effect; 2] = [&attachments::Attachments, &payload_ttl::PayloadTtl];

/// Effects of a batch that run only when all of [`OF_THE_STREAM`] succeeded. Lambda may deliver a failed batch again in
/// other parts, and the counters recognise a repeated batch only when its parts are the same.
pub const AFTER_THE_STREAM: [&dyn Effect; 1] = [&counters::Counters];

/// Effects of the schedule.
pub const OF_THE_SCHEDULE: [&dyn Effect; 2] =
    [&expired_snapshots::ExpiredSnapshots, &expired_media::ExpiredMedia];
