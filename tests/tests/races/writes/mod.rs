//! Every conditional write, with the scene that it needs.

use af_domain::ids::{ConversationId, WorkerId};
use af_domain::policy::Policies;
use af_domain::worker::Worker;

use crate::ambiguous::Again::{self, Same, Says};
use crate::ambiguous::Sending;
use crate::world::{Held, World, conversation};

/// Sends `$call` so many times and collects what it was answered.
macro_rules! send {
    ($times:expr, $call:expr) => {{
        let mut answers = Vec::new();
        for _ in 0..$times {
            answers.push(format!("{:?}", $call.await));
        }
        answers
    }};
}

mod bots;
mod operator;
mod queue;
mod repairs;
mod skills;
mod snapshots;
mod system;
mod workers;

/// The table's lines, by the module of their scenes: a write, what its second sending is answered, and the write
/// itself.
macro_rules! writes {
    ($( $scenes:ident { $( $name:ident => $again:expr; )* } )*) => {
        pub const ALL: &[(&str, Again, Sending)] = &[$($(
            (stringify!($name), $again, |world, app, times| Box::pin($scenes::$name(world, app, times))),
        )*)*];
    };
}

writes! {
    queue {
        enqueue_if_absent => Says("duplicate: true");
        claim_if_owned => Same;
        claim_if_free => Same;
        heartbeat_if_leased => Same;
        append_if_leased => Same;
        attach_if_leased => Same;
        rewrite_if_leased => Says("OutOfOrder");
        complete_if_leased => Same;
        fail_if_unchanged => Says("Stale");
        store_attachments_if_pending => Same;
        expire_payload_if_present => Same;
        seen_if_owner => Same;
        ask_to_switch_if_owned => Same;
        restored_if_unclaimed => Same;
    }
    operator {
        cancel_if_waiting => Says("Stale");
        cancel_if_dead => Says("Stale");
        retry_if_dead => Says("Stale");
        free_if_unchanged => Says("Stale");
    }
    repairs {
        repair_if_unchanged => Same;
        forget_if_ended => Says("Stale");
        free_if_not_assigned => Says("Stale");
        unassign_if_not_owner => Says("Stale");
    }
    workers {
        register_if_new => Says("Stale");
        register_if_free => Says("Stale");
        release_if_quiet => Says("Stale");
        drain_if_active => Says("Stale");
        finish_drain_if_draining => Says("Stale");
        stopped_if_stopping => Says("Stale");
        machine_if_registered => Same;
        seen_if_registered => Same;
    }
    snapshots {
        prepare_if_absent => Says("Stale");
        announce_if_uploading => Same;
        finalize_if_current => Says("Stale");
        fail_if_uploading => Says("Stale");
        expire_if_unchanged => Same;
        object_deleted_if_ended => Same;
    }
    bots {
        assign_bot_if_unclaimed => Same;
        rotate_webhook_secret => Same;
        webhook_ready => Same;
    }
    skills {
        change_skill_if_unchanged => Says("Stale");
        delete_skill_if_deleting => Says("Stale");
    }
    system {
        change_config_if_unchanged => Same;
        put_api_key_if_first => Says("Stale");
        begin_reconcile => Same;
        end_reconcile => Same;
        abandon_reconcile => Same;
    }
}

/// A number that nobody guesses.
const NONCE: u64 = 7;

fn talk() -> ConversationId {
    conversation("talk")
}

fn policies() -> Policies {
    Policies::default()
}

/// A worker that owns `talk`, in which this many messages wait.
async fn owner(world: &World, waiting: usize) -> WorkerId {
    world.enqueue(&talk(), None).await;
    let worker = world.worker("w", Some(&talk())).await;
    let first = world.claim(&worker, Some(&talk())).await;
    world.complete(&first).await;
    for _ in 0..waiting {
        world.enqueue(&talk(), None).await;
    }
    worker
}

/// A message in its owner's hands.
async fn held(world: &World) -> Held {
    let worker = owner(world, 1).await;
    world.claim(&worker, Some(&talk())).await
}

async fn row(world: &World, worker: &WorkerId) -> Worker {
    world.app.store.worker(worker).await.unwrap().unwrap()
}
