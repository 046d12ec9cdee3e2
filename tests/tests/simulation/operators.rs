//! Operators change policies while everything runs, reconcile by hand, repair the queue, and read the queue and
//! messages.

use std::sync::Arc;
use std::time::Duration;

use af_app::conversations::read_models;
use af_app::pool::reconcile::{dry_run, reconcile};
use af_app::settings::policies;
use af_app::{AppError, queue};
use af_domain::ids::MessageId;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::costs::Operation;
use crate::instance::Instance;
use crate::queue_operations;
use crate::tally::Event;
use crate::world::World;

/// Longest pause between two actions of an operator, ms.
const MAX_PAUSE_MS: u64 = 45_000;
/// Entries of a page that an operator reads.
pub const PAGE: u32 = 5;
/// Limit of the shards of a world.
const MAX_SHARDS: u64 = 6;
/// After this time every replica has an accepted message.
const REPLICATED_AFTER: Duration = Duration::from_secs(5);

pub async fn operator(world: Arc<World>, actor: u64) {
    let mut rng = world.rng(actor);
    let mut function = Instance::new(&world, actor, Event::OperatorDied);
    while !world.is_in_final_phase() {
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..MAX_PAUSE_MS))).await;
        match rng.random_range(0..20) {
            0..6 => change_policies(&world, &mut function, &mut rng).await,
            6 | 7 => reconcile_by_hand(&world, &mut function, &mut rng).await,
            8 | 9 => read_a_message(&world, &mut function, &mut rng).await,
            10 | 11 => read_the_queue(&world, &mut function, &mut rng).await,
            12..15 => queue_operations::retry_one(&world, &mut function, &mut rng).await,
            15 => queue_operations::retry_all_of(&world, &mut function, &mut rng).await,
            16 => queue_operations::cancel_any(&world, &mut function, &mut rng).await,
            17 => {
                let conversation = rng.random_range(0..world.conversations.len());
                queue_operations::cancel_own(&world, &mut function, &mut rng, conversation).await;
            }
            _ => queue_operations::free_one(&world, &mut function, &mut rng).await,
        }
    }
}

async fn change_policies(world: &World, function: &mut Instance, rng: &mut StdRng) {
    let base_delay = [0, 1_000, 5_000][rng.random_range(0..3)];
    let switch_after = [0, 5_000, 60_000][rng.random_range(0..3)];
    let changes = match rng.random_range(0..5) {
        0 | 1 => json!({"queue": {"onRetry": if rng.random_bool(0.5) { "block" } else { "overtake" }}}),
        2 => json!({"retry": {"maxAttempts": rng.random_range(1..=5), "baseDelayMs": base_delay}}),
        3 => json!({
            "scaling": {"maxWorkers": rng.random_range(1..=4), "switchAfterQuietMs": switch_after},
        }),
        _ => json!({"queue": {"readyShards": rng.random_range(2..=MAX_SHARDS)}}),
    };
    world.note(|| format!("an operator sets {changes}"));
    set(world, function, changes).await;
}

async fn set(world: &World, function: &mut Instance, changes: Value) {
    let app = function.app();
    let wanted = serde_json::from_value(changes.clone()).unwrap();
    match function.call(Operation::Configure, policies::set(&app, wanted)).await {
        Some(Ok(_)) => {
            let shards = changes["queue"]["readyShards"].is_number();
            world.shared.tally.count(if shards { Event::ShardAdded } else { Event::PolicyChanged });
        }
        // Shards are never taken away.
        Some(Err(AppError::Refused(_))) if !changes["queue"]["readyShards"].is_null() => {}
        None | Some(Err(AppError::Store(_) | AppError::Overtaken(_))) => {}
        Some(Err(other)) => world.add_violation(format!("{changes} was refused: {other}")),
    }
}

async fn reconcile_by_hand(world: &World, function: &mut Instance, rng: &mut StdRng) {
    let app = function.app();
    if rng.random_bool(0.5) {
        // The content of a dry run is for people. The judge sees that a dry run writes nothing.
        let _ = function.call(Operation::Reconcile, dry_run(&app, None)).await;
    } else if let Some(Err(error)) = function.call(Operation::Reconcile, reconcile(&app)).await {
        world.note(|| format!("reconcile by hand failed: {error}"));
    }
}

/// An accepted message is visible.
async fn read_a_message(world: &World, function: &mut Instance, rng: &mut StdRng) {
    let known = world.answers.accepted_before(REPLICATED_AFTER);
    if known.is_empty() {
        return;
    }
    let id = MessageId::parse(known[rng.random_range(0..known.len())].clone()).unwrap();
    let app = function.app();
    match function.call(Operation::ShowMessage, read_models::message(&app, &id)).await {
        Some(Ok(shown)) if shown.message.id == id => {}
        None | Some(Err(AppError::Store(_))) => {}
        Some(other) => world.add_violation(format!("{id} was accepted, but its read gives {other:?}")),
    }
}

async fn read_the_queue(world: &World, function: &mut Instance, rng: &mut StdRng) {
    let app = function.app();
    let refused = match rng.random_range(0..3) {
        0 => function.call(Operation::Stats, queue::stats(&app)).await.and_then(Result::err),
        1 => {
            let page = queue::dead_letters(&app, PAGE, None);
            function.call(Operation::ListDeadLetters, page).await.and_then(Result::err)
        }
        _ => {
            let (_, of) = &world.conversations[rng.random_range(0..world.conversations.len())];
            let page = queue::of_conversation(&app, of, None, PAGE, None);
            function.call(Operation::ListConversation, page).await.and_then(Result::err)
        }
    };
    if let Some(error) = refused.filter(|e| !matches!(e, AppError::Store(_))) {
        world.add_violation(format!("the queue cannot be shown: {error}"));
    }
}
