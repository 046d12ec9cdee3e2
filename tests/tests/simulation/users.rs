//! Users: they send, lose answers, send again, and send again what was answered long ago.

use std::sync::Arc;
use std::time::Duration;

use af_app::AppError;
use af_app::enqueue::{Enqueue, Identity, enqueue};
use af_domain::ids::{AgentKey, BotIdentity, ConversationId};
use af_domain::message::Payload;
use af_domain::time::Millis;
use rand::Rng;
use rand::rngs::StdRng;

use crate::world::{AGENT, CONVERSATIONS, World};

/// Longest pause between two messages of a user, ms.
const PAUSE_MS_MAX: u64 = 40_000;
/// How often a user sends the same message before giving up on an answer.
const SENDINGS_MAX: usize = 4;

pub async fn user(world: Arc<World>, user: u64) {
    let mut rng = world.rng(10 + user);
    let mut sent: Vec<Enqueue> = Vec::new();
    let mut number = 0;
    while !world.calm() {
        tokio::time::sleep(Duration::from_millis(rng.random_range(1..PAUSE_MS_MAX))).await;
        // Each call may meet another instance of the function.
        let app = world.app(20 + user + 10 * rng.random_range(0..2));
        let repeated = !sent.is_empty() && rng.random_bool(0.15);
        let request = if repeated {
            sent[rng.random_range(0..sent.len())].clone()
        } else {
            number += 1;
            message(&mut rng, user, number, app.now())
        };
        for _ in 0..SENDINGS_MAX {
            match enqueue(&app, request.clone()).await {
                Ok(accepted) => {
                    world.note(|| {
                        format!("user {user}: {} accepted in {}", accepted.message, request.conversation)
                    });
                    world.accepted.lock().unwrap().insert(accepted.message.to_string());
                    break;
                }
                Err(AppError::Store(_)) => {
                    tokio::time::sleep(Duration::from_millis(rng.random_range(1..3_000))).await;
                }
                Err(other) => return world.complain(format!("user {user} was refused: {other}")),
            }
        }
        sent.push(request);
    }
}

fn message(rng: &mut StdRng, user: u64, number: u64, now: af_domain::time::Timestamp) -> Enqueue {
    let identity = if rng.random_bool(0.5) {
        Identity::Key { caller: format!("user {user}"), key: number.to_string() }
    } else {
        Identity::Update { bot: BotIdentity::parse("7").unwrap(), update_id: user * 1_000_000 + number }
    };
    let in_ms = |rng: &mut StdRng| Millis::new(rng.random_range(0..60_000));
    Enqueue {
        identity,
        conversation: ConversationId::parse(format!("c{}", rng.random_range(0..CONVERSATIONS))).unwrap(),
        agent: AgentKey::parse(AGENT).unwrap(),
        payload: Payload {
            provider: "sim".into(),
            provider_user_id: "u".into(),
            message_text: format!("{user}/{number}"),
            ..Payload::default()
        },
        priority: rng.random_bool(0.4).then(|| [0, 10, 50, 90, 100][rng.random_range(0..5)]),
        scheduled_for: rng.random_bool(0.25).then(|| now + in_ms(rng)),
        attempts_max: None,
    }
}
