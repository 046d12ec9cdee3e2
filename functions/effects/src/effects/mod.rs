//! The effects, one per file. A new effect is a file here and an entry in one list.
//!
//! All effects of commits belong in this function. The stream of a table has at most two readers, and reconcile is the
//! other one. AWS allows five filters for a mapping, and this function uses five: a new effect extends one of them.

mod attachments;
mod counters;
mod drafts;
mod expired_media;
mod expired_snapshots;
mod ledger;
mod managed_bots;
mod outbox;
mod payload_ttl;
mod queue_metrics;

use crate::effect::Effect;

/// Effects of a batch of the table's stream.
pub const OF_THE_STREAM: [Effect; 5] = [
    Effect { name: "attachments", run: |context, records| Box::pin(attachments::run(context, records)) },
    Effect { name: "drafts", run: |context, records| Box::pin(drafts::run(context, records)) },
    Effect { name: "managed_bots", run: |context, records| Box::pin(managed_bots::run(context, records)) },
    Effect { name: "outbox", run: |context, records| Box::pin(outbox::changed(context, records)) },
    Effect { name: "payload_ttl", run: |context, records| Box::pin(payload_ttl::run(context, records)) },
];

/// Effects of a batch that run only when all of [`OF_THE_STREAM`] succeeded. Lambda may deliver a failed batch again in
/// other parts, and the counters and the ledger recognise a repeated batch only when its parts are the same.
pub const AFTER_THE_STREAM: [Effect; 2] = [
    Effect { name: "counters", run: |context, records| Box::pin(counters::run(context, records)) },
    Effect { name: "ledger", run: |context, records| Box::pin(ledger::run(context, records)) },
];

/// Effects of the schedule of the outboxes, which runs each minute.
pub const OF_THE_OUTBOX_SCHEDULE: [Effect; 2] = [
    Effect { name: "outbox", run: |context, records| Box::pin(outbox::due(context, records)) },
    Effect { name: "queue_metrics", run: |context, records| Box::pin(queue_metrics::run(context, records)) },
];

/// Effects of the schedule of the sweep.
pub const OF_THE_SWEEP: [Effect; 2] = [
    Effect {
        name: "expired_snapshots",
        run: |context, records| Box::pin(expired_snapshots::run(context, records)),
    },
    Effect { name: "expired_media", run: |context, records| Box::pin(expired_media::run(context, records)) },
];
