//! A deployment in use, with a meter for the costs of its use cases.

use std::cell::Cell;
use std::future::Future;

use af_app::App;
use af_app::agents::bindings;
use af_app::agents::profiles::{AgentSettings, configure};
use af_app::documents::WorkspaceWanted;
use af_app::intake::enqueue::{Enqueue, Identity, enqueue};
use af_app::pool::provider;
use af_app::pool::workers;
use af_app::settings::policies;
use af_app::telegram::ingress::{self, Handled};
use af_app::worker::{DeliveredBy, Ownership, Poll, Polled, Wants, complete, poll};
use af_domain::agent::{BindingSource, BotName, TelegramIdentity, bot_token_ref, conversation_of};
use af_domain::ids::{
    AgentKey, BotIdentity, ConsumerUserId, ConversationId, ConversationKey, LeaseId, MessageId,
    TelegramUserId, WorkerId,
};
use af_domain::message::{HistoryEntry, Payload, Role};
use af_domain::time::Millis;
use af_emulator_aws::Meter;
use af_store::conversation::CompleteWith;
use af_store::{conversation_key, keys};
use af_tests::bundle::Bundle;
use af_tests::world::agent_settings;
use secrecy::SecretString;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::figures::Figures;

/// The text of a message: 300 bytes.
pub const TEXT: &str = "Could you have a look at my order from last Tuesday? I was told that the parcel would arrive \
    before the weekend, but the tracking page still says that it waits in the warehouse. If it cannot be here by \
    Friday, please send it to my office instead: the address is on file. Thank you and a good day! Ada";
const _: () = assert!(TEXT.len() == 300);
/// Shards of the ready index by default.
pub const SHARDS: u64 = 1;
/// After this time every cache of a function has expired, and the next sign of life is due.
pub const A_MINUTE: Millis = Millis::from_secs(60);
/// A minute, split into two parts.
pub const A_SECOND: Millis = Millis::from_secs(1);
pub const ALMOST_A_MINUTE: Millis = Millis::from_secs(59);

const AGENT: &str = "demo";
pub const BOT: &str = "7000000001";
const WEBHOOK_SECRET: &str = "webhook-secret";
/// Limit of the polls that complete the messages of one row.
const MAX_CLEARING_POLLS: usize = 64;

/// A deployment with an agent, its bot, and the users and workers of a row.
pub struct World {
    pub bundle: Bundle,
    pub app: App,
    pub agent: AgentKey,
    meter: Meter,
    names: Cell<u64>,
}

/// A running message with its worker and its lease.
pub struct RunningMessage {
    pub worker: WorkerId,
    pub conversation: ConversationId,
    pub message: MessageId,
    pub lease: LeaseId,
}

impl World {
    pub async fn new() -> Self {
        let bundle = Bundle::fresh().await;
        // One instance runs all use cases: a budget belongs to an operation, not to a function.
        let (boot, meter) = bundle.metered_boot("reconcile");
        let app = App::from_boot(&boot).unwrap();
        let agent = AgentKey::parse(AGENT).unwrap();
        let world = Self { bundle, app, agent, meter, names: Cell::new(0) };
        world.make_agent().await;
        let config = af_providers::LocalConfig::default().into();
        provider::configure(&world.app, &config).await.unwrap();
        world.warm().await;
        world.clear().await;
        world
    }

    async fn make_agent(&self) {
        let (app, now) = (&self.app, self.app.now());
        let token = bot_token_ref(&self.agent);
        app.secrets.put(&token, SecretString::from(format!("{BOT}:token")), now).await.unwrap();
        let settings = AgentSettings { secrets_ref: vec![token], ..agent_settings() };
        configure(app, &self.agent, settings).await.unwrap();
        let name = BotName { identity: BotIdentity::parse(BOT).unwrap(), username: "demo_bot".to_owned() };
        app.store.assign_bot_if_unclaimed(&self.agent, &name, None, now).await.unwrap();
        let bot = app.store.bot(&name.identity).await.unwrap().unwrap();
        let hash = Sha256::digest(WEBHOOK_SECRET.as_bytes()).into();
        app.store.rotate_webhook_secret(&bot, hash, now).await.unwrap();
    }

    /// Replaces the instance of the function with a new one, which knows no worker yet.
    pub fn start_new_instance(&mut self) {
        let (boot, meter) = self.bundle.metered_boot("reconcile");
        (self.app, self.meter) = (App::from_boot(&boot).unwrap(), meter);
    }

    /// A number that has not been used before.
    pub fn number(&self) -> u64 {
        self.names.set(self.names.get() + 1);
        self.names.get()
    }

    /// Runs `call` with warm caches and counts its cost.
    pub async fn measure<T>(&self, call: impl Future<Output = T>) -> (T, Figures) {
        self.warm().await;
        self.count(call).await
    }

    /// Runs `call` with the caches as they are and counts its cost.
    pub async fn count<T>(&self, call: impl Future<Output = T>) -> (T, Figures) {
        self.meter.take();
        let answer = call.await;
        (answer, Figures::from(&self.meter.take()))
    }

    /// Fills every cache of the use cases: policies, agent and bot. The message is the same each time, so it is stored
    /// once.
    pub async fn warm(&self) {
        policies::in_force(&self.app).await.unwrap();
        let identity = Identity::Key { caller: "test".to_owned(), key: "warm".to_owned(), sent: None };
        let message = Enqueue { identity, ..self.message(&self.conversation_of_user("warm")) };
        enqueue(&self.app, message).await.unwrap();
        let stop = json!({"update_id": 1, "message": {"message_id": 1, "from": {"id": 1}, "chat": {"id": 1}, "text": "/stop@other_bot"}});
        let ignored =
            ingress::handle(&self.app, BOT, Some(WEBHOOK_SECRET), stop.to_string().as_bytes()).await;
        assert!(matches!(ignored, Ok(Handled::Ignored { .. })), "{ignored:?}");
    }

    /// Completes every message that a worker without a conversation may claim.
    pub async fn clear(&self) {
        let worker = self.worker().await;
        let (mut last, mut found_nothing) = (None::<ConversationId>, 0);
        for _ in 0..MAX_CLEARING_POLLS {
            let ownership = if last.is_some() { Ownership::Discard } else { Ownership::Keep };
            let request = Poll { ownership, conversation: last.take(), ..Poll::default() };
            let polled = poll(&self.app, &worker, &request).await.unwrap();
            if polled.job.is_some() {
                let running = RunningMessage::of(&worker, &polled);
                self.complete(&running, 0).await;
                (last, found_nothing) = (Some(running.conversation), 0);
                continue;
            }
            // A poll that releases a conversation does not see it as free. The next poll does.
            found_nothing += 1;
            if found_nothing == 2 {
                return;
            }
        }
        panic!("a message still waits after {MAX_CLEARING_POLLS} polls");
    }

    pub fn conversation_of_user(&self, user: &str) -> ConversationId {
        conversation_of(&self.agent, &ConsumerUserId::parse(user).unwrap()).unwrap()
    }

    /// An unused conversation.
    pub fn new_conversation(&self) -> ConversationId {
        self.conversation_of_user(&format!("user-{}", self.number()))
    }

    /// A new conversation in this one of `shards` shards of the ready index.
    pub fn new_conversation_in(&self, shard: u64, shards: u64) -> ConversationId {
        loop {
            let conversation = self.new_conversation();
            if keys::ready_partition(&conversation_key(&conversation), shards) == keys::ready_shard(shard) {
                return conversation;
            }
        }
    }

    /// A conversation without an owner, in which one message was completed.
    pub async fn idle_conversation(&self) -> ConversationId {
        let conversation = self.new_conversation();
        self.enqueue(self.message(&conversation)).await;
        self.clear().await;
        conversation
    }

    pub async fn stored(&self, conversation: &ConversationId) -> af_domain::conversation::Conversation {
        let key: ConversationKey = conversation_key(conversation);
        self.app.store.conversation(&key, true).await.unwrap().unwrap()
    }

    /// A message of 300 bytes by the API.
    pub fn message(&self, conversation: &ConversationId) -> Enqueue {
        let user = conversation.as_str().rsplit(':').next().unwrap_or_default();
        Enqueue {
            identity: Identity::Fresh,
            conversation: conversation.clone(),
            agent: self.agent.clone(),
            payload: Payload {
                provider: "app".to_owned(),
                provider_user_id: user.to_owned(),
                message_text: TEXT.to_owned(),
                ..Payload::default()
            },
            priority: None,
            scheduled_for: None,
            max_attempts: None,
        }
    }

    pub async fn enqueue(&self, message: Enqueue) -> MessageId {
        enqueue(&self.app, message).await.unwrap().message
    }

    /// Binds a new user to a new person on Telegram. Returns the conversation and the chat.
    pub async fn bound_user(&self) -> (ConversationId, u64) {
        let number = self.number();
        let (user, chat) = (ConsumerUserId::parse(format!("user-{number}")).unwrap(), 1_000_000 + number);
        let telegram = TelegramIdentity {
            bot: BotIdentity::parse(BOT).unwrap(),
            user: Some(TelegramUserId::parse(chat.to_string()).unwrap()),
            chat: Some(TelegramUserId::parse(chat.to_string()).unwrap()),
        };
        let bound =
            bindings::bind(&self.app, &user, &self.agent, Some(telegram), BindingSource::Manual).await;
        (bound.unwrap().conversation, chat)
    }

    /// Pushes a Telegram update with a message of 300 bytes in this chat. Returns whether the update was new.
    pub async fn push(&self, update: u64, chat: u64) -> bool {
        let handled = self.pushed(update, "message", chat, TEXT).await;
        match handled {
            Handled::Enqueued { duplicate, .. } => !duplicate,
            other => panic!("{other:?}"),
        }
    }

    /// Pushes a Telegram update of this kind with this text, in a private chat or a group.
    pub async fn pushed(&self, update: u64, kind: &str, chat: impl Into<i128>, text: &str) -> Handled {
        let chat: i128 = chat.into();
        let chat = i64::try_from(chat).unwrap();
        let person = json!({"id": chat.abs(), "is_bot": false, "first_name": "Ada", "last_name": "Lovelace", "username": "ada", "language_code": "en"});
        let in_chat = json!({"id": chat, "first_name": "Ada", "last_name": "Lovelace", "username": "ada", "type": if chat > 0 { "private" } else { "group" }});
        let update = json!({
            "update_id": 700_000_000 + update,
            kind: {"message_id": 4_711, "from": person, "chat": in_chat, "date": 1_767_225_600, "text": text},
        });
        let handled =
            ingress::handle(&self.app, BOT, Some(WEBHOOK_SECRET), update.to_string().as_bytes()).await;
        handled.unwrap()
    }

    /// A new worker without a conversation.
    pub async fn worker(&self) -> WorkerId {
        self.register(None).await
    }

    /// A worker that owns `conversation`.
    pub async fn owner(&self, conversation: &ConversationId) -> WorkerId {
        self.register(Some(conversation)).await
    }

    async fn register(&self, conversation: Option<&ConversationId>) -> WorkerId {
        let id = WorkerId::parse(format!("w-{:026}", self.number())).unwrap();
        workers::register(&self.app, id.clone(), conversation, None, "http://127.0.0.1:9", None)
            .await
            .unwrap();
        id
    }

    /// A worker that owns a new conversation, in which it has completed one message.
    pub async fn idle_owner(&self) -> (WorkerId, ConversationId) {
        let conversation = self.new_conversation();
        self.enqueue(self.message(&conversation)).await;
        let worker = self.owner(&conversation).await;
        let running = self.claim(&worker, &conversation).await;
        self.complete(&running, 0).await;
        (worker, conversation)
    }

    /// A worker that runs a message of a conversation it owns.
    pub async fn busy_owner(&self, max_attempts: Option<u32>) -> RunningMessage {
        let (worker, conversation) = self.idle_owner().await;
        self.enqueue(Enqueue { max_attempts, ..self.message(&conversation) }).await;
        self.claim(&worker, &conversation).await
    }

    /// Polls as the owner of `conversation`.
    pub async fn poll_owned(
        &self,
        worker: &WorkerId,
        conversation: &ConversationId,
        hydrate: bool,
    ) -> Polled {
        let request =
            Poll { conversation: Some(conversation.clone()), wants: wants(hydrate), ..Poll::default() };
        poll(&self.app, worker, &request).await.unwrap()
    }

    /// Polls as a worker without a conversation.
    pub async fn poll_free(&self, worker: &WorkerId, hydrate: bool) -> Polled {
        poll(&self.app, worker, &Poll { wants: wants(hydrate), ..Poll::default() }).await.unwrap()
    }

    pub async fn claim(&self, worker: &WorkerId, conversation: &ConversationId) -> RunningMessage {
        RunningMessage::of(worker, &self.poll_owned(worker, conversation, false).await)
    }

    /// Releases the conversation of a message that has ended.
    pub async fn release(&self, running: &RunningMessage) {
        let request = Poll {
            ownership: Ownership::Discard,
            conversation: Some(running.conversation.clone()),
            ..Poll::default()
        };
        let polled = poll(&self.app, &running.worker, &request).await.unwrap();
        assert!(polled.job.is_none());
    }

    /// Completes with this many history entries.
    pub async fn complete(&self, running: &RunningMessage, entries: usize) {
        let with = CompleteWith {
            history: entries_of(entries, TEXT, self),
            pending_tool_calls: None,
            metadata: Default::default(),
            reply: None,
            delivery: None,
            usage: None,
        };
        complete(&self.app, &running.worker, &running.message, &running.lease, with, DeliveredBy::Worker)
            .await
            .unwrap();
    }
}

impl RunningMessage {
    pub fn of(worker: &WorkerId, polled: &Polled) -> Self {
        let job = polled.job.as_ref().unwrap();
        Self {
            worker: worker.clone(),
            conversation: job.conversation.id.clone(),
            message: job.lease.entry.message.clone(),
            lease: job.lease.id.clone(),
        }
    }
}

fn wants(hydrate: bool) -> Wants {
    if hydrate {
        Wants::JobWithBundle { since: None, workspace: WorkspaceWanted::Everything }
    } else {
        Wants::Job
    }
}

/// History entries, alternately of the user and of the agent.
pub fn entries_of(count: usize, content: &str, world: &World) -> Vec<HistoryEntry> {
    let role = |i| if i % 2 == 0 { Role::User } else { Role::Assistant };
    let entry = |i| HistoryEntry { role: role(i), content: content.to_owned(), at: world.app.now() };
    (0..count).map(entry).collect()
}
