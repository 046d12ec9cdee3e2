//! Operations on the queue: operators retry, cancel and free, and senders cancel their own messages.

use std::sync::atomic::Ordering;
use std::time::Duration;

use af_app::AppError;
use af_app::conversations;
use af_app::queue::{self, Cancelled, Which};
use af_domain::ids::{AgentKey, ConsumerUserId, ConversationId, MessageId};
use af_domain::refusal::Code;
use af_store::{conversation_key, keys};
use rand::Rng;
use rand::rngs::StdRng;

use crate::answers::Freeing;
use crate::costs::Operation;
use crate::instance::Instance;
use crate::operators::PAGE;
use crate::world::{AGENT, World};

/// How often a caller sends the same call before it gives up.
const MAX_SENDINGS: usize = 4;
/// Longest wait before a call is sent again, ms.
const MAX_AGAIN_AFTER_MS: u64 = 3_000;
/// Limit of the pages in one retry of all dead letters.
const MAX_PAGES: usize = 3;
/// A younger message probably still waits or runs.
const YOUNG: Duration = Duration::from_secs(60);

/// The answer to a call.
enum Answer<T> {
    Yes(T),
    /// The call conflicts with the state.
    Conflict,
    /// The outcome is unknown, or other actors were faster at every try.
    Unknown,
}

/// Classifies an answer. An answer that is not allowed is a violation.
fn classified<T>(world: &World, what: &str, answer: Option<Result<T, AppError>>) -> Option<Answer<T>> {
    match answer {
        Some(Ok(answer)) => Some(Answer::Yes(answer)),
        Some(Err(AppError::Refused(refusal))) if refusal.code == Code::Conflict => Some(Answer::Conflict),
        Some(Err(AppError::Refused(refusal))) if world.is_agent_stopped(&refusal) => None,
        None | Some(Err(AppError::Store(_) | AppError::Overtaken(_))) => Some(Answer::Unknown),
        Some(Err(other)) => {
            world.add_violation(format!("{what} was refused: {other}"));
            None
        }
    }
}

async fn wait(rng: &mut StdRng) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(1..MAX_AGAIN_AFTER_MS))).await;
}

fn any<T: Clone>(rng: &mut StdRng, of: &[T]) -> Option<T> {
    (!of.is_empty()).then(|| of[rng.random_range(0..of.len())].clone())
}

/// The partition in which a conversation is stored.
pub fn partition(conversation: &ConversationId) -> String {
    keys::conversation(&conversation_key(conversation)).pk
}

/// An operator cancels a message, most likely one that waits or runs.
pub async fn cancel_any(world: &World, function: &mut Instance, rng: &mut StdRng) {
    let young = rng.random_bool(0.7);
    let known = world.answers.accepted_where(|a| !young || a.at.elapsed() < YOUNG);
    let Some(message) = any(rng, &known) else { return };
    cancel(world, function, rng, &message, None).await;
}

/// The user of conversation number `conversation` cancels one of their messages. Sometimes a stranger tries this, too.
pub async fn cancel_own(world: &World, function: &mut Instance, rng: &mut StdRng, conversation: usize) {
    let (sender, conversation) = &world.conversations[conversation];
    let own_messages = world
        .answers
        .accepted_where(|a| a.conversation.as_ref() == Some(conversation) && a.at.elapsed() < YOUNG);
    let Some(message) = any(rng, &own_messages) else { return };
    if rng.random_bool(0.1) {
        let stranger = ConsumerUserId::parse("a-stranger").unwrap();
        let id = MessageId::parse(message.clone()).unwrap();
        let app = function.app();
        let answer =
            function.call(Operation::CancelOfUser, queue::cancel_of_user(&app, &stranger, &id)).await;
        match answer {
            Some(Err(AppError::Refused(refusal))) if refusal.code == Code::NotFound => {}
            None | Some(Err(AppError::Store(_))) => {}
            other => world.add_violation(format!("a stranger cancelled {id} and got the answer {other:?}")),
        }
    }
    cancel(world, function, rng, &message, Some(sender)).await;
}

/// Cancels as an operator, or as the message's sender.
async fn cancel(
    world: &World,
    function: &mut Instance,
    rng: &mut StdRng,
    message: &str,
    sender: Option<&ConsumerUserId>,
) {
    let id = MessageId::parse(message.to_owned()).unwrap();
    for _ in 0..MAX_SENDINGS {
        let app = function.app();
        let answer = match sender {
            Some(sender) => {
                let call = queue::cancel_of_user(&app, sender, &id);
                function.call(Operation::CancelOfUser, call).await
            }
            None => function.call(Operation::Cancel, queue::cancel(&app, &id)).await,
        };
        match classified(world, &format!("cancelling {id}"), answer) {
            Some(Answer::Yes(cancelled)) => return note_cancelled(world, message, cancelled),
            Some(Answer::Conflict) => return world.answers.done.lock().unwrap().push(message.to_owned()),
            Some(Answer::Unknown) => wait(rng).await,
            None => return,
        }
    }
}

fn note_cancelled(world: &World, message: &str, cancelled: Cancelled) {
    world.note(|| format!("{message} cancelled: {cancelled:?}"));
    world.answers.cancelled.lock().unwrap().push((message.to_owned(), cancelled));
}

/// An operator retries one of the newest dead letters, sometimes with a key and sometimes twice with it, or cancels it.
pub async fn retry_one(world: &World, function: &mut Instance, rng: &mut StdRng) {
    let app = function.app();
    let listed = function.call(Operation::ListDeadLetters, queue::dead_letters(&app, PAGE, None)).await;
    let Some(Ok((dead, _))) = listed else { return };
    let Some(view) = any(rng, &dead) else { return };
    let id = view.message.id;
    if rng.random_bool(0.3) {
        return cancel(world, function, rng, id.as_str(), None).await;
    }
    let key = rng.random_bool(0.6).then(|| rng.random::<u64>().to_string());
    let mut again = key.is_some() && rng.random_bool(0.3);
    for _ in 0..MAX_SENDINGS {
        let (app, idempotency) = (function.app(), key.as_deref().map(|key| ("an operator", key)));
        let answer = function.call(Operation::Retry, queue::retry(&app, &id, idempotency)).await;
        match classified(world, &format!("retrying {id}"), answer) {
            Some(Answer::Yes(())) => {
                world.note(|| format!("{id} retried under {key:?}"));
                world.answers.retried.lock().unwrap().push(id.to_string());
                if !std::mem::take(&mut again) {
                    return;
                }
            }
            Some(Answer::Unknown) => wait(rng).await,
            Some(Answer::Conflict) | None => return,
        }
    }
}

/// An operator retries all dead letters of a conversation, or of the agent.
pub async fn retry_all_of(world: &World, function: &mut Instance, rng: &mut StdRng) {
    let (_, conversation) = &world.conversations[rng.random_range(0..world.conversations.len())];
    let which = match rng.random_bool(0.5) {
        true => Which::Conversation(conversation.clone()),
        false => Which::Agent(AgentKey::parse(AGENT).unwrap()),
    };
    let key = rng.random_bool(0.5).then(|| rng.random::<u64>().to_string());
    let mut next_page = None::<String>;
    let (mut pages, mut sendings) = (0, 0);
    while pages < MAX_PAGES && sendings < MAX_SENDINGS {
        let (app, idempotency) = (function.app(), key.as_deref().map(|key| ("an operator", key)));
        let call = queue::retry_all(&app, &which, next_page.as_deref(), idempotency);
        match classified(world, "retrying all", function.call(Operation::RetryAll, call).await) {
            Some(Answer::Yes(done)) => {
                world.note(|| format!("all retried: {done:?}"));
                let may_refuse = world.has_stopped_agent.load(Ordering::Relaxed);
                if !done.full.is_empty() || (!done.refused.is_empty() && !may_refuse) {
                    world.add_violation(format!("not all could be retried: {done:?}"));
                }
                let Some(next) = done.next_cursor else { return };
                (next_page, pages, sendings) = (Some(next), pages + 1, 0);
            }
            Some(Answer::Unknown) => {
                sendings += 1;
                wait(rng).await;
            }
            Some(Answer::Conflict) | None => {
                return world.add_violation("retrying all was refused".to_owned());
            }
        }
    }
}

/// An operator frees a conversation: from any claim, or only from the claim that the operator saw.
pub async fn free_one(world: &World, function: &mut Instance, rng: &mut StdRng) {
    let (_, conversation) = &world.conversations[rng.random_range(0..world.conversations.len())];
    let app = function.app();
    let shown = function.call(Operation::ShowConversation, conversations::get(&app, conversation)).await;
    let Some(Ok(shown)) = shown else { return };
    let fence = rng.random_bool(0.5).then_some(shown.fence);
    let partition = partition(conversation);
    for _ in 0..MAX_SENDINGS {
        let request = Freeing {
            conversation: partition.clone(),
            fence: fence.map(|f| f.0),
            at: world.now().as_millis(),
        };
        world.answers.freeing.lock().unwrap().push(request);
        let app = function.app();
        let call = conversations::free(&app, conversation, "it hangs", fence);
        match classified(
            world,
            &format!("freeing {conversation}"),
            function.call(Operation::Free, call).await,
        ) {
            Some(Answer::Yes(freed)) => {
                world.note(|| format!("{conversation} freed: {freed:?}"));
                return world.answers.freed.lock().unwrap().push((partition, freed));
            }
            Some(Answer::Unknown) => wait(rng).await,
            Some(Answer::Conflict) | None => return,
        }
    }
}
