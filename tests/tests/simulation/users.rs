//! Users: they send, lose answers, send again, at once or long after it was answered, mix up their keys, and write or
//! cancel at the very moment at which it hurts.

use std::sync::Arc;
use std::time::Duration;

use af_app::AppError;
use af_app::intake::enqueue::{Accepted, Enqueue, Identity, enqueue};
use af_domain::ids::{AgentKey, BotIdentity};
use af_domain::message::Payload;
use af_domain::refusal::Code;
use af_domain::time::{Millis, Timestamp};
use af_tests::messages::photo;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;

use crate::costs::Operation;
use crate::instance::Instance;
use crate::mending;
use crate::tally::Event;
use crate::world::{AGENT, World};

/// Longest pause between two messages of a user, ms.
const MAX_PAUSE_MS: u64 = 40_000;
/// The same in a burst.
const MAX_BURST_PAUSE_MS: u64 = 1_000;
/// How often a user sends the same message before giving up on an answer.
const MAX_SENDINGS: usize = 4;

/// Instances that serve one user.
type Functions = [Instance; 2];

pub async fn user(world: Arc<World>, user: u64) {
    let mut rng = world.rng(10 + user);
    let clock = world.clock.worker(&mut rng);
    let mut functions = [0, 1].map(|n| Instance::new(&world, 20 + user + 10 * n, Event::UserFunctionDied));
    let mut sent: Vec<Enqueue> = Vec::new();
    let mut number = 0;
    while !world.resting() {
        // Sometimes several in a row.
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

/// Comes between the reads and the writes of others: each of `collisions` names a conversation in which somebody is about
/// to write what they decided on its state a moment ago.
pub async fn meddler(world: Arc<World>, mut collisions: mpsc::UnboundedReceiver<String>, actor: u64) {
    let mut rng = world.rng(actor);
    let clock = world.clock.worker(&mut rng);
    let mut functions = [0, 1].map(|n| Instance::new(&world, actor + n, Event::UserFunctionDied));
    let mut number = 0;
    while let Some(key) = collisions.recv().await {
        let place = world.conversations.iter().position(|(_, id)| mending::partition(id) == key);
        let Some(place) = place.filter(|_| !world.resting()) else { continue };
        world.shared.tally.count(Event::SentInBetween);
        if rng.random_bool(0.3) {
            mending::cancel_own(&world, &mut functions[0], &mut rng, place).await;
        } else {
            number += 1;
            let request = message(&world, &mut rng, (actor, number), place, clock.now());
            send(&world, &mut functions, &request, &mut rng).await;
        }
    }
}

/// Sends until there is an answer; `false` when there was none.
async fn send(world: &World, functions: &mut Functions, request: &Enqueue, rng: &mut StdRng) -> bool {
    for _ in 0..MAX_SENDINGS {
        let function = &mut functions[rng.random_range(0..2)];
        let app = function.app();
        let answer = function.call(Operation::Enqueue, enqueue(&app, request.clone())).await;
        if heard(world, request, answer) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(1..3_000))).await;
    }
    false
}

/// Sends the same to two instances at once, as a webhook that is impatient does.
async fn send_twice(world: &World, functions: &mut Functions, request: &Enqueue) -> bool {
    let [one, other] = functions;
    let apps = (one.app(), other.app());
    let (first, second) = tokio::join!(
        one.call(Operation::Enqueue, enqueue(&apps.0, request.clone())),
        other.call(Operation::Enqueue, enqueue(&apps.1, request.clone())),
    );
    let first = heard(world, request, first);
    heard(world, request, second) || first
}

/// Whether the message was accepted; what is none of the answers that may be is a complaint.
fn heard(world: &World, request: &Enqueue, answer: Option<Result<Accepted, AppError>>) -> bool {
    match answer {
        Some(Ok(accepted)) => {
            world.note(|| format!("{} accepted in {}", accepted.message, request.conversation));
            world.answers.accept(accepted.message.to_string(), &request.conversation);
            true
        }
        None | Some(Err(AppError::Store(_))) => false,
        Some(Err(other)) => {
            world.complain(format!("a message was refused: {other}"));
            false
        }
    }
}

/// Sends another text under the same identity. Under an idempotency key it must be refused; under the number of an
/// update it is the same message, whatever it says.
async fn send_another(world: &World, function: &mut Instance, request: &Enqueue) {
    world.shared.tally.count(Event::SentWithAnotherBody);
    let mut another = request.clone();
    another.payload.message_text.push_str(", but other");
    let app = function.app();
    match function.call(Operation::Enqueue, enqueue(&app, another)).await {
        Some(Ok(accepted)) if matches!(request.identity, Identity::Update { .. }) && accepted.duplicate => {}
        Some(Ok(accepted)) => world.complain(format!("{} was accepted with another body", accepted.message)),
        Some(Err(AppError::Refused(refusal))) if refusal.code == Code::IdempotencyMismatch => {}
        None | Some(Err(AppError::Store(_))) => {}
        Some(Err(other)) => world.complain(format!("another body was refused as {other}")),
    }
}

/// Message `number` of a user who writes for the user of conversation number `conversation`, by whose clock it is `now`.
fn message(
    world: &World,
    rng: &mut StdRng,
    (user, number): (u64, u64),
    conversation: usize,
    now: Timestamp,
) -> Enqueue {
    let identity = if rng.random_bool(0.5) {
        Identity::Key { caller: format!("user {user}"), key: number.to_string() }
    } else {
        Identity::Update { bot: BotIdentity::parse("7").unwrap(), update_id: user * 1_000_000 + number }
    };
    let in_ms = |rng: &mut StdRng| Millis::new(rng.random_range(0..60_000));
    // Sometimes by the user's own clock, which is minutes off.
    let scheduled_for = match rng.random_range(0..20) {
        0..4 => Some(world.now() + in_ms(rng)),
        4 => Some(now + in_ms(rng)),
        _ => None,
    };
    let attachments = match &identity {
        // Nobody schedules an update.
        Identity::Update { .. } if scheduled_for.is_none() && rng.random_bool(0.1) => vec![photo()],
        _ => Vec::new(),
    };
    let (sender, conversation) = &world.conversations[conversation];
    Enqueue {
        identity,
        conversation: conversation.clone(),
        agent: AgentKey::parse(AGENT).unwrap(),
        payload: Payload {
            provider: "sim".into(),
            provider_user_id: sender.to_string(),
            message_text: format!("{user}/{number}"),
            attachments,
            ..Payload::default()
        },
        priority: rng.random_bool(0.4).then(|| [0, 10, 50, 90, 100][rng.random_range(0..5)]),
        scheduled_for,
        max_attempts: None,
    }
}
