//! The effects, one per file. A new effect is a file here and an entry in one list.

mod attachments;
mod counters;
mod expired_media;
mod expired_snapshots;
mod payload_ttl;

use crate::effect::Effect;

/// Effects of a batch of the table's stream.
pub const OF_THE_STREAM: [Effect; 2] = [
    Effect { name: "attachments", run: |context, records| Box::pin(attachments::run(context, records)) },
    Effect { name: "payload_ttl", run: |context, records| Box::pin(payload_ttl::run(context, records)) },
];

/// Effects of a batch that run only when all of [`OF_THE_STREAM`] succeeded. Lambda may deliver a failed batch again in
/// other parts, and the counters recognise a repeated batch only when its parts are the same.
pub const AFTER_THE_STREAM: [Effect; 1] =
    [Effect { name: "counters", run: |context, records| Box::pin(counters::run(context, records)) }];

/// Effects of the schedule.
pub const OF_THE_SCHEDULE: [Effect; 2] = [
    Effect {
        name: "expired_snapshots",
        run: |context, records| Box::pin(expired_snapshots::run(context, records)),
    },
    Effect { name: "expired_media", run: |context, records| Box::pin(expired_media::run(context, records)) },
];
