//! Every conditional write, with its setup.

use af_domain::ids::{ConversationId, WorkerId};
use af_domain::policy::Policies;
use af_domain::worker::Worker;

use crate::ambiguous::SecondAnswer::{self, Contains, Same};
use crate::ambiguous::SendWrite;
use crate::world::{RunningMessage, World, conversation_id};

/// Sends `$call` this many times and collects the answers.
macro_rules! send {
    ($times:expr, $call:expr) => {{
        let mut answers = Vec::new();
        for _ in 0..$times {
            answers.push(format!("{:?}", $call.await));
        }
        answers
    }};
}

mod bindings;
mod bots;
mod documents;
mod groups;
mod ledger;
mod managed_bots;
mod operator;
mod outbox;
mod push;
mod queue;
mod repairs;
mod skills;
mod snapshots;
mod system;
mod templates;
mod workers;

/// The list of writes, grouped by module: the name of a write and the answer to its repetition.
macro_rules! writes {
    ($( $module:ident { $( $name:ident => $second_answer:expr; )* } )*) => {
        pub const ALL: &[(&str, SecondAnswer, SendWrite)] = &[$($(
            (stringify!($name), $second_answer, |world, app, times| Box::pin($module::$name(world, app, times))),
        )*)*];
    };
}

writes! {
    queue {
        enqueue_if_absent => Contains("duplicate: true");
        claim_if_owned => Same;
        claim_if_free => Same;
        heartbeat_if_leased => Same;
        append_if_leased => Same;
        attach_if_leased => Same;
        rewrite_if_leased => Contains("OutOfOrder");
        complete_if_leased => Same;
        fail_if_unchanged => Contains("Stale");
        store_attachments_if_pending => Same;
        revise_if_waiting => Contains("Stale");
        expire_payload_if_present => Same;
        seen_if_owner => Same;
        ask_to_switch_if_owned => Same;
        restored_if_unclaimed => Same;
    }
    documents {
        change_documents_if_unchanged => Contains("Stale");
        change_documents_if_leased => Contains("Stale");
    }
    operator {
        cancel_if_waiting => Contains("Stale");
        cancel_if_dead => Contains("Stale");
        retry_if_dead => Contains("Stale");
        free_if_unchanged => Contains("Stale");
    }
    repairs {
        repair_if_unchanged => Same;
        forget_if_ended => Contains("Stale");
        free_if_not_assigned => Contains("Stale");
        unassign_if_not_owner => Contains("Stale");
    }
    workers {
        register_if_new => Contains("Stale");
        register_if_free => Contains("Stale");
        release_if_quiet => Contains("Stale");
        drain_if_active => Contains("Stale");
        finish_drain_if_draining => Contains("Stale");
        stopped_if_stopping => Contains("Stale");
        machine_if_registered => Same;
        seen_if_registered => Same;
    }
    snapshots {
        prepare_if_absent => Contains("Stale");
        announce_if_uploading => Same;
        finalize_if_current => Contains("Stale");
        fail_if_uploading => Contains("Stale");
        skip_if_ready => Contains("Stale");
        expire_if_unchanged => Same;
        object_deleted_if_ended => Same;
    }
    bindings {
        bind_if_unchanged => Contains("Stale");
        unbind_if_unchanged => Same;
        create_pairing_if_newest => Contains("Stale");
        pair_if_pending => Contains("Stale");
        count_wrong_code => Same;
    }
    bots {
        assign_bot_if_unclaimed => Same;
        rotate_webhook_secret => Same;
        webhook_ready => Same;
    }
    managed_bots {
        create_bot_link_if_newest => Contains("Stale");
        use_bot_link_if_pending => Contains("Stale");
        change_managed_bot_if_unchanged => Same;
        connect_managed_bot_if_unchanged => Contains("Stale");
    }
    groups {
        notify_if_not_lately => Contains("Stale");
        continue_chat_if_new => Same;
        add_line_if_new => Same;
        clear_lines_if_unchanged => Same;
    }
    ledger {
        add_to_ledger_if_new => Contains("Stale");
    }
    skills {
        change_skill_if_unchanged => Contains("Stale");
        delete_skill_if_deleting => Contains("Stale");
    }
    outbox {
        change_outbox_if_unchanged => Same;
        end_delivery_if_unchanged => Contains("Stale");
        resend_if_unchanged => Contains("Stale");
    }
    push {
        create_push_template_if_absent => Contains("Stale");
        change_push_template_if_unchanged => Contains("Stale");
        create_push_job_if_room => Contains("Stale");
        change_push_job_if_unchanged => Contains("Stale");
        delete_push_job_if_unchanged => Contains("Stale");
        postpone_push_job_if_waiting => Same;
        dispatch_if_unchanged => Contains("Stale");
        trigger_if_new => Contains("Stale");
        create_broadcast_if_absent => Contains("Stale");
        take_broadcast_if_due => Contains("None");
        send_to_target_if_absent => Contains("Known(Enqueued)");
        advance_broadcast_if_unchanged => Contains("Stale");
        cancel_broadcast_if_running => Contains("Stale");
    }
    templates {
        make_template_if_absent => Same;
        change_template_if_present => Same;
        delete_template_if_present => Contains("Stale");
    }
    system {
        change_config_if_unchanged => Same;
        put_api_key_if_first => Contains("Stale");
        record_call_if_new => Contains("Stale");
        begin_call_if_new => Contains("Stale");
        finish_call_if_begun => Same;
        abandon_call_if_begun => Contains("Stale");
        begin_reconcile => Same;
        end_reconcile => Same;
        abandon_reconcile => Same;
    }
}

/// The nonce of a call.
const NONCE: u64 = 7;

fn conversation() -> ConversationId {
    conversation_id("talk")
}

fn policies() -> Policies {
    Policies::default()
}

/// A worker that owns the conversation, in which this many messages wait.
async fn owner(world: &World, waiting: usize) -> WorkerId {
    world.enqueue(&conversation(), None).await;
    let worker = world.worker("w", Some(&conversation())).await;
    let first = world.claim(&worker, Some(&conversation())).await;
    world.complete(&first).await;
    for _ in 0..waiting {
        world.enqueue(&conversation(), None).await;
    }
    worker
}

/// A message that its owner runs.
async fn running_message(world: &World) -> RunningMessage {
    let worker = owner(world, 1).await;
    world.claim(&worker, Some(&conversation())).await
}

async fn row(world: &World, worker: &WorkerId) -> Worker {
    world.app.store.worker(worker).await.unwrap().unwrap()
}
