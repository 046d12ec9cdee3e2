//! A deployment whose Bot API is the emulator on loopback, and a person who writes to its bot.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use af_app::App;
use af_app::files::attachments::fetch;
use af_app::queue::counters::StreamRecord;
use af_aws::objects::Objects;
use af_domain::ids::BotIdentity;
use af_domain::time::Millis;
use af_emulator_telegram::{EmulatedBot, Options, StoredFile, TelegramEmulator};
use af_runtime::entropy::Entropy;
use af_runtime::virtual_clock::VirtualClock;
use af_sam::stream::filter::Pattern;
use af_sam::template::EventDef;
use af_telegram::Pause;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::bundle::{Bundle, START};
use crate::calls::Api;

/// Limit of the records in one read of the stream: more than a test creates.
const MAX_RECORDS: usize = 1_000;
const WEBHOOK_SECRET: &str = "the-secret-of-the-webhook";
/// The content of the files that a person sends.
pub const PHOTO: &[u8] = b"a cat, as a picture";
/// The private chat in which the person writes.
pub const CHAT: i64 = 555;

/// An unused deployment, and its Telegram emulator.
///
/// # Panics
/// When loopback cannot be listened on, and as `Bundle::fresh`.
pub async fn with_telegram() -> (Bundle, TelegramEmulator) {
    let clock = Arc::new(VirtualClock::frozen_at(START));
    let telegram = TelegramEmulator::open(None, clock, Arc::new(Entropy::seeded(2)), Options::default());
    let telegram = telegram.expect("it keeps nothing on disk");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be listened on");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let router = telegram.api();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (Bundle::with_telegram_at(&url).await, telegram)
}

/// A person who writes to an agent's bot, and the function that fetches the person's attachments.
pub struct Person {
    /// The emulator that hosts the bot.
    pub telegram: TelegramEmulator,
    /// The bot.
    pub bot: EmulatedBot,
    api: Api,
    effects: App,
    objects: Objects,
    filters: Vec<Pattern>,
    clock: VirtualClock,
}

/// Waits by moving the clock, and records the length of each wait.
struct Waits<'a>(&'a VirtualClock, Mutex<Vec<Millis>>);

impl Pause for Waits<'_> {
    fn pause(&self, length: Millis) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.advance(length);
        self.1.lock().expect("no thread panics while it has the lock").push(length);
        Box::pin(async {})
    }
}

/// Makes the webhook of an agent's bot ready, with the secret that persons of tests send.
///
/// # Panics
/// When no agent has the bot.
pub async fn connect(app: &App, bot: &EmulatedBot) {
    let identity = BotIdentity::parse(bot.id.to_string()).expect("a number is a bot identity");
    let stored = app.store.bot(&identity).await.expect("the table answers").expect("it is an agent's");
    let hash = Sha256::digest(WEBHOOK_SECRET.as_bytes()).into();
    app.store.rotate_webhook_secret(&stored, hash, app.now()).await.expect("the table answers");
    app.store.webhook_ready(&identity, Some(app.now())).await.expect("the table answers");
}

impl Person {
    /// Gives `agent` a bot for the person's messages.
    ///
    /// # Panics
    /// When the API refuses the bot.
    pub async fn writes_to(bundle: &Bundle, api: Api, telegram: TelegramEmulator, agent: &str) -> Self {
        let bot = telegram.add_bot(None, None).expect("it keeps nothing on disk");
        let token = json!({"plaintextValue": bot.token});
        api.put(&format!("/v1/agents/{agent}/telegram-token"), token).send().await.body_of(200);
        let effects = bundle.restricted_app("effects");
        connect(&effects, &bot).await;
        let filters = effects_filters(bundle);
        let objects = bundle.restricted_boot("effects").objects().expect("the template names the bucket");
        Self { telegram, bot, api, effects, objects, filters, clock: bundle.clock.clone() }
    }

    /// Stores a file of the person in the emulator.
    ///
    /// # Panics
    /// When the emulator refuses the file.
    pub async fn file(&self, name: &str) -> StoredFile {
        self.telegram.add_file(self.bot.id, name, PHOTO.into()).await.expect("it keeps nothing on disk")
    }

    /// Sends update number `update`, a message with these fields, and returns the message id.
    ///
    /// # Panics
    /// When the webhook refuses the update.
    pub async fn says(&self, update: u64, fields: Value) -> String {
        let answer = self.sends(update, "message", fields).await;
        answer["messageId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Sends update number `update` of this kind, a message with these fields, and returns the answer of the webhook. The
    /// message has the number of the update, unless a field names another.
    ///
    /// # Panics
    /// When the webhook refuses the update.
    pub async fn sends(&self, update: u64, kind: &str, fields: Value) -> Value {
        let mut message = json!({
            "message_id": update, "date": 1, "chat": {"id": CHAT, "type": "private"},
            "from": {"id": CHAT, "is_bot": false, "first_name": "Ann"},
        });
        for (name, value) in fields.as_object().expect("fields") {
            message[name] = value.clone();
        }
        self.updates(json!({"update_id": update, kind: message})).await
    }

    /// Sends an update and returns the answer of the webhook.
    ///
    /// # Panics
    /// When the webhook refuses the update.
    pub async fn updates(&self, update: Value) -> Value {
        let path = format!("/agent-factory/telegram/webhook/{}", self.bot.id);
        let sent = self.api.post(&path, update).anonymous();
        sent.header("x-telegram-bot-api-secret-token", WEBHOOK_SECRET).send().await.body_of(200)
    }

    /// Sends a photo with a caption, in two sizes, and returns the message id.
    ///
    /// # Panics
    /// As `says`.
    pub async fn sends_photo(&self, update: u64) -> String {
        let file = self.file("cat.jpg").await;
        let sizes = json!([
            {"file_id": "small", "width": 9, "height": 9},
            {"file_id": file.file_id, "width": 90, "height": 90, "file_size": PHOTO.len()},
        ]);
        self.says(update, json!({"photo": sizes, "caption": "my cat"})).await
    }

    /// Runs the function with all records that pass the template's filters, and returns the lengths of its waits.
    ///
    /// # Panics
    /// When the function fails.
    pub async fn fetch(&self, bundle: &Bundle) -> Vec<Millis> {
        let records = self.records(bundle);
        let waits = Waits(&self.clock, Mutex::default());
        let fetched = fetch(&self.effects, &self.objects, &records, &waits).await;
        fetched.expect("table, bucket and secrets answer");
        waits.1.into_inner().expect("no thread panics while it has the lock")
    }

    /// Returns all records of the table's stream that pass the filters of the function.
    ///
    /// # Panics
    /// When the stream cannot be read.
    pub fn records(&self, bundle: &Bundle) -> Vec<StreamRecord> {
        records_of(bundle, &self.filters)
    }
}

/// The filters of the stream of the function effects.
fn effects_filters(bundle: &Bundle) -> Vec<Pattern> {
    let function = bundle.template.functions.iter().find(|f| f.binary == "effects");
    let events = function.into_iter().flat_map(|function| &function.events);
    let patterns = events.filter_map(|event| match event {
        EventDef::Stream(mapping) => Some(&mapping.filters),
        _ => None,
    });
    patterns.flatten().cloned().collect()
}

/// All records of the table's stream that the function effects gets.
///
/// # Panics
/// When the stream cannot be read.
#[must_use]
pub fn effects_records(bundle: &Bundle) -> Vec<StreamRecord> {
    records_of(bundle, &effects_filters(bundle))
}

fn records_of(bundle: &Bundle, filters: &[Pattern]) -> Vec<StreamRecord> {
    let table = &bundle.template.tables[0].name;
    let records = bundle.aws.engine().records(table, None, MAX_RECORDS).expect("the stream can be read");
    let wanted = records.into_iter().filter(|record| filters.iter().any(|filter| filter.matches(record)));
    wanted.map(|record| serde_json::from_value(record).expect("a record")).collect()
}
