//! Enqueue: accepts a message exactly once.

use af_domain::attachment::{ALBUM_WAIT, Attachment, MAX_WAIT};
use af_domain::conversation::{Entry, Priority};
use af_domain::ids::{AgentKey, BotIdentity, ConversationId, MessageId, RunKey, TemplateKey};
use af_domain::ingress::SenderLimit;
use af_domain::message::{MAX_PAYLOAD_BYTES, Message, MessageStatus, PROVIDER_USER, Payload};
use af_domain::policy::Policies;
use af_domain::refusal::{Code, Refusal};
use af_domain::time::{Millis, Timestamp};
use af_store::conversation::{Enqueued, NewMessage};
use af_store::conversation_key;
use af_store::message::{MessageItem, body_hash};

use crate::agents::profiles;
use crate::error::queue_full;
use crate::settings::policies;
use crate::{App, AppError, Result};

/// Most claims that a caller may give a message.
const MAX_ATTEMPTS: u32 = 100;
/// How far ahead a message may be scheduled: ten years, which is within the range of the sort keys.
const SCHEDULED_AHEAD_DAYS: u64 = 3_650;
const MAX_SCHEDULED_AHEAD: Millis = Millis::from_days(SCHEDULED_AHEAD_DAYS);

/// The identity of a message: calls with the same identity are the same message.
#[derive(Debug, Clone)]
pub enum Identity {
    /// No identity: each call is a new message.
    Fresh,
    /// The caller's idempotency key.
    Key {
        /// The caller, because each caller has its own keys.
        caller: String,
        /// The key.
        key: String,
        /// The hash of the caller's request, if this request is derived from it and from stored data. A repetition must
        /// have this hash; otherwise it must have the same request.
        sent: Option<String>,
    },
    /// A Telegram update.
    Update {
        /// The bot that received the update.
        bot: BotIdentity,
        /// The update number.
        update_id: u64,
    },
    /// A Telegram update whose number was used before for another message: after a quiet week, the numbers of a bot start
    /// again.
    Renumbered {
        /// The bot that received the update.
        bot: BotIdentity,
        /// The update number.
        update_id: u64,
        /// The chat of the message.
        chat: i64,
        /// The message id within its chat.
        message: i64,
    },
    /// The pictures of an album, which Telegram sends as several updates.
    Album {
        /// The bot that received the updates.
        bot: BotIdentity,
        /// The chat of the album.
        chat: i64,
        /// The id of the album.
        album: String,
    },
    /// The run of a push job or a broadcast.
    Run(RunKey),
}

impl Identity {
    /// Returns the bot of an update.
    const fn bot(&self) -> Option<&BotIdentity> {
        match self {
            Identity::Update { bot, .. } | Identity::Renumbered { bot, .. } | Identity::Album { bot, .. } => {
                Some(bot)
            }
            Identity::Fresh | Identity::Key { .. } | Identity::Run(_) => None,
        }
    }
}

/// A message to enqueue.
#[derive(Debug, Clone)]
pub struct Enqueue {
    /// The identity of the message.
    pub identity: Identity,
    /// The conversation of the message.
    pub conversation: ConversationId,
    /// The agent that receives the message.
    pub agent: AgentKey,
    /// The content.
    pub payload: Payload,
    /// The priority, 0 to 100; `None` for the policy's default.
    pub priority: Option<u64>,
    /// The due time; `None` for now.
    pub scheduled_for: Option<Timestamp>,
    /// The maximum number of counted claims; `None` for the policy's default.
    pub max_attempts: Option<u32>,
}

/// An accepted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The message id.
    pub message: MessageId,
    /// Whether an earlier call had enqueued the message.
    pub duplicate: bool,
}

/// The result of a call for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// The message is accepted.
    New(MessageId),
    /// A message with this identity was accepted before.
    Known {
        /// Its id.
        message: MessageId,
        /// Whether it had the same body.
        same_body: bool,
    },
    /// The sender has used its allowance.
    RateLimited {
        /// When the next message of the sender is accepted.
        until: Timestamp,
    },
}

/// Accepts a message. After a successful answer, the message will end as done, dead letter or cancelled.
///
/// # Errors
/// Returns a refusal with the invalid field, or 429 if the queue of the conversation is full. Nothing is
/// written then.
pub async fn enqueue(app: &App, request: Enqueue) -> Result<Accepted> {
    enqueue_counted(app, request, None).await
}

/// Accepts a message, as [`enqueue`], and counts a use of its template if the message is new.
pub(super) async fn enqueue_counted(
    app: &App,
    request: Enqueue,
    template: Option<TemplateKey>,
) -> Result<Accepted> {
    let is_update = request.identity.bot().is_some();
    match deliver_counted(app, request, None, template).await? {
        Delivered::New(message) => Ok(Accepted { message, duplicate: false }),
        // The update number is the complete identity: a repeated update is the same message.
        Delivered::Known { message, same_body } if same_body || is_update => {
            Ok(Accepted { message, duplicate: true })
        }
        Delivered::Known { .. } => {
            let detail = "this Idempotency-Key was used with another body; use a new key for a new message";
            Err(Refusal::new(Code::IdempotencyMismatch, detail).into())
        }
        Delivered::RateLimited { .. } => {
            Err(Refusal::new(Code::RateLimited, "this chat sends too many messages").into())
        }
    }
}

/// Accepts a message, as [`enqueue`], if the sender is within `limit`.
pub(crate) async fn deliver(app: &App, request: Enqueue, limit: Option<SenderLimit>) -> Result<Delivered> {
    deliver_counted(app, request, limit, None).await
}

async fn deliver_counted(
    app: &App,
    mut request: Enqueue,
    limit: Option<SenderLimit>,
    template: Option<TemplateKey>,
) -> Result<Delivered> {
    let policies = policies::for_agent(app, &request.agent).await?;
    check_payload(&mut request.payload)?;
    profiles::taking_messages(app, &request.agent).await?;
    let now = app.now();
    let message = NewMessage { template, ..prepared(app, request, limit, now, &policies)? };
    let id = message.entry.message.clone();
    match app.store.enqueue_if_absent(&message, now, &policies).await? {
        Enqueued::New => Ok(Delivered::New(id)),
        Enqueued::Duplicate { same_body } => Ok(Delivered::Known { message: id, same_body }),
        Enqueued::RateLimited { until } => Ok(Delivered::RateLimited { until }),
        refused => Err(refusal_of(&refused, &message, &policies)),
    }
}

/// Returns the error for a message that the store has refused.
pub(crate) fn refusal_of(refused: &Enqueued, message: &NewMessage, policies: &Policies) -> AppError {
    match refused {
        Enqueued::BoundToAnotherAgent(agent) => {
            let detail = format!("conversation {} belongs to agent {agent}", message.conversation);
            Refusal::new(Code::AgentMismatch, detail).into()
        }
        Enqueued::QueueFull => queue_full(policies.queue.max_pending_per_conversation),
        Enqueued::TemplateMissing => {
            let key = message.template.as_ref().map(ToString::to_string).unwrap_or_default();
            Refusal::not_found(format!("message template {key}")).into()
        }
        Enqueued::New | Enqueued::Duplicate { .. } | Enqueued::RateLimited { .. } => {
            Refusal::new(Code::RateLimited, "this chat sends too many messages").into()
        }
    }
}

/// Builds the message of a checked request.
pub(crate) fn prepared(
    app: &App,
    request: Enqueue,
    limit: Option<SenderLimit>,
    now: Timestamp,
    policies: &Policies,
) -> Result<NewMessage> {
    let entry = entry(app, &request, policies, now)?;
    let item = item(&request, &entry, now);
    if item.payload_bytes() > MAX_PAYLOAD_BYTES {
        return Err(too_large(&request.payload, item.payload_bytes()).into());
    }
    let Enqueue { conversation, agent, .. } = request;
    Ok(NewMessage { conversation, agent, entry, item, limit, template: None })
}

pub(crate) fn check_payload(payload: &mut Payload) -> Result<(), Refusal> {
    for text in [&mut payload.provider, &mut payload.provider_user_id] {
        *text = text.trim().to_owned();
    }
    if payload.provider.is_empty() {
        return Err(Refusal::field("/payload/provider", "provider must not be blank"));
    }
    if payload.provider_user_id.is_empty() {
        return Err(Refusal::field("/payload/providerUserId", "providerUserId must not be blank"));
    }
    if payload.message_text.trim().is_empty() {
        return Err(Refusal::field("/payload/messageText", "messageText must not be blank"));
    }
    payload.metadata.insert(PROVIDER_USER.to_owned(), payload.provider_user_id.clone());
    Ok(())
}

/// Names the largest part, which is the one to shorten.
fn too_large(payload: &Payload, bytes: usize) -> Refusal {
    let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let metadata = payload.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    let parts = [
        ("provider", payload.provider.len()),
        ("providerUserId", payload.provider_user_id.len()),
        ("externalMessageId", len(&payload.external_message_id)),
        ("metadata", metadata),
        ("rawUpdateJson", len(&payload.raw_update_json)),
        ("messageText", payload.message_text.len()),
    ];
    let largest = parts.into_iter().max_by_key(|(_, bytes)| *bytes).map_or("messageText", |(name, _)| name);
    let detail = format!(
        "the payload is {bytes} bytes as JSON, but at most {MAX_PAYLOAD_BYTES} are allowed; {largest} is the largest part"
    );
    let refusal = Refusal::new(Code::PayloadTooLarge, detail);
    Refusal { pointer: Some(format!("/payload/{largest}")), ..refusal }
}

fn entry(app: &App, request: &Enqueue, policies: &Policies, now: Timestamp) -> Result<Entry> {
    let priority = request.priority.unwrap_or(policies.queue.default_priority);
    let priority = Priority::new(priority).ok_or_else(|| {
        Refusal::field("/priority", format!("priority must be from 0 to {}", Priority::MAX))
    })?;
    let max_attempts = match request.max_attempts {
        Some(n) if (1..=MAX_ATTEMPTS).contains(&n) => n,
        Some(_) => {
            return Err(Refusal::field(
                "/maxAttempts",
                format!("maxAttempts must be from 1 to {MAX_ATTEMPTS}"),
            )
            .into());
        }
        None => u32::try_from(policies.retry.max_attempts).unwrap_or(MAX_ATTEMPTS),
    };
    if request.scheduled_for.is_some_and(|at| at > now + MAX_SCHEDULED_AHEAD) {
        let days = SCHEDULED_AHEAD_DAYS;
        return Err(
            Refusal::field("/scheduledFor", format!("scheduledFor must be within {days} days")).into()
        );
    }
    let scheduled = request.scheduled_for.filter(|at| *at > now);
    Ok(Entry {
        message: message_id(app, &request.identity, now)?,
        priority,
        due: scheduled.unwrap_or(now),
        scheduled: scheduled.is_some(),
        attempts: 0,
        drained: 0,
        max_attempts,
        not_before: match (fetched_by(request), &request.identity) {
            (Some(_), _) => now + MAX_WAIT,
            (None, Identity::Album { .. }) => now + ALBUM_WAIT,
            (None, _) => Timestamp::default(),
        },
        first_fence: None,
        revised: false,
    })
}

fn message_id(app: &App, identity: &Identity, now: Timestamp) -> Result<MessageId> {
    let text = match identity {
        Identity::Fresh => app.entropy.ulid(now),
        Identity::Key { caller, key, .. } => format!("key:{}", body_hash(&[caller, key])),
        Identity::Update { bot, update_id } => format!("tg:{bot}:{update_id}"),
        Identity::Renumbered { bot, update_id, chat, message } => {
            format!("tg:{bot}:{update_id}:{chat}:{message}")
        }
        Identity::Album { bot, chat, album } => format!("tg:{bot}:album:{chat}:{album}"),
        Identity::Run(run) => return Ok(run.message_id()),
    };
    Ok(MessageId::parse(text)?)
}

/// Returns the bot that must fetch attachments of the message.
fn fetched_by(request: &Enqueue) -> Option<&BotIdentity> {
    request.identity.bot().filter(|_| request.payload.attachments.iter().any(Attachment::is_pending))
}

fn item(request: &Enqueue, entry: &Entry, now: Timestamp) -> MessageItem {
    let message = Message {
        id: entry.message.clone(),
        conversation: request.conversation.clone(),
        key: conversation_key(&request.conversation),
        agent: request.agent.clone(),
        status: MessageStatus::Queued,
        priority: entry.priority,
        due: entry.due,
        enqueued_at: now,
        payload: request.payload.clone(),
        attempts: 0,
        last_error: None,
        reply: None,
        delivery: None,
        finished_at: None,
        fence: None,
        max_attempts: None,
        first_fence: None,
        attempt_log: Vec::new(),
        retried_by: None,
        retried_at: None,
        fetched_by: fetched_by(request).cloned(),
        body_hash: hash_of(request),
    };
    MessageItem::new(&message)
}

/// Returns the hash of everything that a repetition with the same key must have in common. Defaults from the
/// policies are not included, because a repetition may see another policy.
fn hash_of(request: &Enqueue) -> String {
    if let Identity::Key { sent: Some(sent), .. } = &request.identity {
        return sent.clone();
    }
    let payload = &request.payload;
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    let metadata: Vec<&str> = payload.metadata.iter().flat_map(|(k, v)| [k.as_str(), v.as_str()]).collect();
    body_hash(&[
        request.conversation.as_str(),
        request.agent.as_str(),
        &payload.provider,
        &payload.provider_user_id,
        &payload.message_text,
        payload.external_message_id.as_deref().unwrap_or_default(),
        payload.raw_update_json.as_deref().unwrap_or_default(),
        &body_hash(&metadata),
        &number(request.priority),
        &number(request.scheduled_for.map(Timestamp::as_millis)),
        &number(request.max_attempts.map(u64::from)),
    ])
}
