//! Users send messages, lose answers, repeat calls at once or long after the answer, reuse keys for other texts, and
//! write or cancel between the read and the write of another actor.

use std::sync::Arc;
use std::time::Duration;

use af_app::AppError;
use af_app::intake::enqueue::{Accepted, Enqueue, Identity, enqueue};
use af_domain::ids::{AgentKey, BotIdentity};
use af_domain::message::{Payload, SYSTEM_PUSH, TELEGRAM};
use af_domain::refusal::Code;
use af_domain::time::{Millis, Timestamp};
use af_tests::messages::photo;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;

use crate::bindings::{BOT, CHATS};
use crate::costs::Operation;
use crate::instance::Instance;
use crate::queue_operations;
use crate::tally::Event;
use crate::world::{AGENT, World};

/// Longest pause between two messages of a user, ms.
const MAX_PAUSE_MS: u64 = 40_000;
/// Longest pause between two messages in a burst, ms.
const MAX_BURST_PAUSE_MS: u64 = 1_000;
/// How often a user sends the same message before the user gives up.
const MAX_SENDINGS: usize = 4;

/// Instances that serve one user.
type Functions = [Instance; 2];

pub async fn user(world: Arc<World>, user: u64) {
    let mut rng = world.rng(10 + user);
    let clock = world.clock.worker(&mut rng);
    let mut functions = [0, 1].map(|n| Instance::new(&world, 20 + user + 10 * n, Event::UserFunctionDied));
    let mut sent: Vec<Enqueue> = Vec::new();
    let mut number = 0;
    while !world.is_in_final_phase() {
        // Sometimes a user sends a burst.
        let pause = if rng.random_bool(0.2) { MAX_BURST_PAUSE_MS } else { MAX_PAUSE_MS };
        tokio::time::sleep(Duration::from_millis(rng.random_range(1..pause))).await;
        let repeated = !sent.is_empty() && rng.random_bool(0.15);
        let request = if repeated {
            world.shared.tally.count(Event::SentAgain);
            sent[rng.random_range(0..sent.len())].clone()
        } else {
            number += 1;
            let conversation = rng.random_range(0..world.conversations.len());
            message(&world, &mut rng, (user, number), conversation, clock.now())
        };
        let accepted = if rng.random_bool(0.1) {
            world.shared.tally.count(Event::SentTwiceAtOnce);
            send_twice(&world, &mut functions, &request).await
        } else {
            send(&world, &mut functions, &request, &mut rng).await
        };
        if accepted && rng.random_bool(0.05) {
            send_another(&world, &mut functions[0], &request).await;
        }
        sent.push(request);
    }
}

/// Writes between the reads and the writes of other actors. Each of `collisions` names a conversation for which another
/// actor has read the state and has not written yet.
pub async fn concurrent_writer(
    world: Arc<World>,
    mut collisions: mpsc::UnboundedReceiver<String>,
    actor: u64,
) {
    let mut rng = world.rng(actor);
    let clock = world.clock.worker(&mut rng);
    let mut functions = [0, 1].map(|n| Instance::new(&world, actor + n, Event::UserFunctionDied));
    let mut number = 0;
    while let Some(key) = collisions.recv().await {
        let conversation =
            world.conversations.iter().position(|(_, id)| queue_operations::partition(id) == key);
        let Some(conversation) = conversation.filter(|_| !world.is_in_final_phase()) else { continue };
        world.shared.tally.count(Event::ConcurrentWrite);
        if rng.random_bool(0.3) {
            queue_operations::cancel_own(&world, &mut functions[0], &mut rng, conversation).await;
        } else {
            number += 1;
            let request = message(&world, &mut rng, (actor, number), conversation, clock.now());
            send(&world, &mut functions, &request, &mut rng).await;
        }
    }
}

/// Sends until there is an answer; `false` when no call got an answer.
async fn send(world: &World, functions: &mut Functions, request: &Enqueue, rng: &mut StdRng) -> bool {
    for _ in 0..MAX_SENDINGS {
        let function = &mut functions[rng.random_range(0..2)];
        let app = function.app();
        let answer = function.call(Operation::Enqueue, enqueue(&app, request.clone())).await;
        if was_accepted(world, request, answer) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(1..3_000))).await;
    }
    false
}

/// Sends the same message to two instances at once, as a webhook does after an early timeout.
async fn send_twice(world: &World, functions: &mut Functions, request: &Enqueue) -> bool {
    let [one, other] = functions;
    let apps = (one.app(), other.app());
    let (first, second) = tokio::join!(
        one.call(Operation::Enqueue, enqueue(&apps.0, request.clone())),
        other.call(Operation::Enqueue, enqueue(&apps.1, request.clone())),
    );
    let first = was_accepted(world, request, first);
    was_accepted(world, request, second) || first
}

/// Whether the message was accepted. An answer that is not allowed is a violation.
fn was_accepted(world: &World, request: &Enqueue, answer: Option<Result<Accepted, AppError>>) -> bool {
    match answer {
        Some(Ok(accepted)) => {
            world.note(|| format!("{} accepted in {}", accepted.message, request.conversation));
            world.answers.accept(accepted.message.to_string(), Some(&request.conversation));
            true
        }
        None | Some(Err(AppError::Store(_))) => false,
        Some(Err(AppError::Refused(refusal))) if world.is_agent_stopped(&refusal) => false,
        Some(Err(other)) => {
            world.add_violation(format!("a message was refused: {other}"));
            false
        }
    }
}

/// Sends another text under the same identity. With an idempotency key the call must be refused. With the number of an
/// update it is a repetition of the same message, whatever its text.
async fn send_another(world: &World, function: &mut Instance, request: &Enqueue) {
    world.shared.tally.count(Event::SentWithAnotherBody);
    let mut another = request.clone();
    another.payload.message_text.push_str(", but other");
    let app = function.app();
    match function.call(Operation::Enqueue, enqueue(&app, another)).await {
        Some(Ok(accepted)) if matches!(request.identity, Identity::Update { .. }) && accepted.duplicate => {}
        Some(Ok(accepted)) => {
            world.add_violation(format!("{} was accepted with another body", accepted.message))
        }
        Some(Err(AppError::Refused(refusal))) if refusal.code == Code::IdempotencyMismatch => {}
        None | Some(Err(AppError::Store(_))) => {}
        Some(Err(AppError::Refused(refusal))) if world.is_agent_stopped(&refusal) => {}
        Some(Err(other)) => world.add_violation(format!("another body was refused as {other}")),
    }
}

/// Message `number` of a user for conversation number `conversation`. `now` is the time of the user's clock.
fn message(
    world: &World,
    rng: &mut StdRng,
    (user, number): (u64, u64),
    conversation: usize,
    now: Timestamp,
) -> Enqueue {
    let identity = if rng.random_bool(0.5) {
        Identity::Key { caller: format!("user {user}"), key: number.to_string(), sent: None }
    } else {
        Identity::Update { bot: BotIdentity::parse(BOT).unwrap(), update_id: user * 1_000_000 + number }
    };
    let in_ms = |rng: &mut StdRng| Millis::new(rng.random_range(0..60_000));
    // Sometimes the time comes from the user's own clock, which is minutes off.
    let scheduled_for = match rng.random_range(0..20) {
        0..4 => Some(world.now() + in_ms(rng)),
        4 => Some(now + in_ms(rng)),
        _ => None,
    };
    let attachments = match &identity {
        // An update cannot be scheduled.
        Identity::Update { .. } if scheduled_for.is_none() && rng.random_bool(0.1) => vec![photo()],
        _ => Vec::new(),
    };
    let (sender, conversation) = &world.conversations[conversation];
    // The chat may be another user's by the time of the reply.
    let (provider, sender) = match &identity {
        Identity::Update { update_id, .. } => (TELEGRAM, (update_id % CHATS + 1).to_string()),
        _ => (SYSTEM_PUSH, sender.to_string()),
    };
    Enqueue {
        identity,
        conversation: conversation.clone(),
        agent: AgentKey::parse(AGENT).unwrap(),
        payload: Payload {
            provider: provider.into(),
            provider_user_id: sender,
            message_text: format!("{user}/{number}"),
            attachments,
            ..Payload::default()
        },
        priority: rng.random_bool(0.4).then(|| [0, 10, 50, 90, 100][rng.random_range(0..5)]),
        scheduled_for,
        max_attempts: None,
    }
}
