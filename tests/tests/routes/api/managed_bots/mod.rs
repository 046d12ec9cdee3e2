//! Managed bots: a person creates a bot with a link, and the deployment connects it.

mod crashes;
mod refusals;

use af_app::App;
use af_app::outbox::{deliver_due, due_work};
use af_app::telegram::managed_bots::{connect_changed, connect_due};
use af_domain::time::Millis;
use af_emulator_telegram::TelegramEmulator;
use af_tests::calls::Call;
use af_tests::telegram::{effects_records, with_telegram};
use axum::body::{Body, to_bytes};
use http::Request;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tower::ServiceExt;

use crate::api::World;

const PATH: &str = "/v1/users/ann/agents/support/managed-bot";
const ROTATE: &str = "/v1/users/ann/agents/support/managed-bot/rotate";
/// The person who creates the bot.
const PERSON: i64 = 4242;
/// More than the longest wait between two tries.
const PAST_A_WAIT: Millis = Millis::from_secs(310);

/// A deployment that Telegram reaches on loopback, with the agent `support` and a manager bot.
pub(super) struct Managed {
    pub(super) world: World,
    telegram: TelegramEmulator,
    pub(super) host: String,
    effects: App,
    worker: OnceCell<String>,
}

impl Managed {
    pub(super) async fn new() -> Self {
        let (bundle, telegram) = with_telegram().await;
        let world = World::over(bundle).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let router = world.api.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let effects = world.bundle.restricted_app("effects");
        let this = Self { world, telegram, host, effects, worker: OnceCell::new() };
        this.world.agent("manager").await;
        let bot = this.telegram.add_bot(None, Some("factory_bot")).unwrap();
        this.telegram.let_manage(bot.id).unwrap();
        let token = json!({"plaintextValue": bot.token});
        this.world.api.put("/v1/agents/manager/telegram-token", token).send().await.body_of(200);
        this.post("/v1/telegram/webhooks", json!({"agentKey": "manager"})).send().await.body_of(200);
        this.configure(json!({"managerAgentKey": "manager"})).await;
        this
    }

    async fn configure(&self, config: Value) {
        self.world.api.put("/v1/config/ingress", config).send().await.body_of(200);
        self.world.advance(Millis::from_secs(11));
    }

    pub(super) fn post(&self, path: &str, body: Value) -> Call {
        self.world.api.post(path, body).header("host", &self.host)
    }

    async fn link(&self, body: Value) -> Value {
        self.post(PATH, body).send().await.body_of(201)
    }

    /// A control call of the emulator.
    async fn control(&self, path: &str, body: Value) -> (u16, Value) {
        let request = Request::post(path).header("content-type", "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = self.telegram.control().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The person opens the link and creates the bot.
    async fn tap(&self, link: &Value) -> Value {
        let (status, tapped) =
            self.control("/telegram/managed-bots", json!({"link": link["link"], "userId": PERSON})).await;
        assert_eq!(status, 200, "{tapped}");
        tapped
    }

    /// The schedule of effects.
    async fn schedule(&self) {
        let due = due_work(&self.effects).await.unwrap();
        connect_due(&self.effects, due.managed_bots).await;
    }

    /// The effects of the whole stream of the table.
    async fn stream(&self) {
        connect_changed(&self.effects, &effects_records(&self.world.bundle)).await;
    }

    async fn shown(&self) -> Value {
        self.world.api.get(PATH).send().await.body_of(200)
    }

    async fn next_action(&self) -> Value {
        let path = "/v1/users/ann/agents/support/onboarding";
        self.world.api.get(path).send().await.body_of(200)["nextAction"].clone()
    }

    pub(super) async fn connected(&self) -> Value {
        let tapped = self.tap(&self.link(json!({})).await).await;
        self.stream().await;
        assert_eq!(self.shown().await["status"], "connected");
        tapped
    }

    /// The tokens of all bots at Telegram.
    pub(super) fn tokens(&self) -> Vec<String> {
        self.telegram.bots().into_iter().map(|bot| bot.token).collect()
    }

    fn token_of(&self, bot: &Value) -> String {
        let bots = self.telegram.bots().into_iter();
        bots.filter(|b| bot == b.id.to_string().as_str()).map(|b| b.token).next().unwrap()
    }

    /// A person writes to the bot, a worker answers, and the reply arrives.
    pub(super) async fn is_answered(&self, bot: &Value, text: &str) {
        let sent = json!({"botIdentity": bot, "chatId": PERSON, "text": text});
        let (_, sent) = self.control("/telegram/messages", sent).await;
        assert!(sent["body"]["messageId"].is_string(), "{sent}");
        let worker = self.worker.get_or_init(|| self.world.worker("w")).await;
        self.world.complete_one(worker, Some("user-agent:support:ann"), json!([])).await;
        self.world.advance(Millis::from_secs(21));
        deliver_due(&self.effects).await.unwrap();
        let outbox = self.telegram.outbox(bot.as_str().unwrap().parse().ok(), Some(PERSON), 10);
        assert_eq!(outbox.last().map(|sent| sent.text.as_str()), Some("hi there"));
    }
}

/// Whether an item of the table contains `text`.
async fn is_anywhere(world: &World, text: &str) -> bool {
    format!("{:?}", world.items().await).contains(text)
}

#[tokio::test]
pub async fn a_person_who_creates_a_bot_with_a_link_is_bound_and_answered() {
    let managed = Managed::new().await;
    let link = managed.link(json!({"name": "Ann & Co", "ttlMs": 60_000})).await;
    let name = link["suggestedUsername"].as_str().unwrap();
    assert_eq!(link["link"], format!("https://t.me/newbot/factory_bot/{name}?name=Ann%20%26%20Co"));
    assert_eq!((&link["status"], managed.next_action().await), (&json!("pending"), json!("create_bot")));
    let tapped = managed.tap(&link).await;
    let bot = &tapped["botIdentity"];
    assert_eq!(tapped["body"], json!({"ok": true, "managedBot": bot, "duplicate": false}));
    assert_eq!(managed.shown().await["status"], "connecting");
    assert_eq!(managed.next_action().await, "connect_bot");
    managed.stream().await;
    let shown = managed.shown().await;
    let of_bot = ["status", "botIdentity", "botUsername", "telegramUserId", "link"].map(|f| &shown[f]);
    assert_eq!(of_bot, [&json!("connected"), bot, &json!(name), &json!(PERSON.to_string()), &Value::Null]);
    let binding = managed.world.api.get("/v1/users/ann/binding").send().await.body_of(200);
    let of_binding = ["source", "botIdentity", "telegramUserId", "telegramChatId"].map(|f| &binding[f]);
    let person = json!(PERSON.to_string());
    assert_eq!(of_binding, [&json!("managed_bot"), bot, &person, &person]);
    assert_eq!(managed.next_action().await, "ready");
    managed.is_answered(bot, "hello").await;
    let token = managed.token_of(bot);
    assert!(!is_anywhere(&managed.world, &token).await, "the table has no token");
    for answer in [&link, &tapped, &shown, &binding] {
        assert!(!answer.to_string().contains(&token), "{answer}");
    }
}

#[tokio::test]
async fn a_repeated_update_and_a_repeated_batch_change_nothing() {
    let managed = Managed::new().await;
    let tapped = managed.connected().await;
    let history =
        async || managed.world.api.get("/v1/users/ann/bindings").send().await.body_of(200)["items"].clone();
    let (before, bound) = (managed.world.items().await, history().await);
    assert_eq!(bound.as_array().unwrap().len(), 1);
    managed.stream().await;
    managed.schedule().await;
    let manager = managed.telegram.bots().into_iter().find(|bot| bot.username == "factory_bot").unwrap();
    let again = json!({"botIdentity": manager.id, "raw": {"update_id": tapped["updateId"], "managed_bot": {
        "user": {"id": PERSON}, "bot": {"id": tapped["botIdentity"].as_str().unwrap().parse::<i64>().unwrap(),
        "username": tapped["username"]}}}});
    let (_, again) = managed.control("/telegram/messages", again).await;
    assert_eq!(again["body"]["duplicate"], true, "{again}");
    assert_eq!((managed.world.items().await, history().await), (before, bound));
}

impl Managed {
    /// Another agent with a bot of its own.
    async fn connected_bot_of(&self, agent: &str) -> i64 {
        self.world.agent(agent).await;
        let bot = self.telegram.add_bot(None, None).unwrap();
        let token = json!({"plaintextValue": bot.token});
        self.world.api.put(&format!("/v1/agents/{agent}/telegram-token"), token).send().await.body_of(200);
        self.post("/v1/telegram/webhooks", json!({"agentKey": agent})).send().await.body_of(200);
        bot.id
    }
}

#[tokio::test]
async fn a_rotation_keeps_the_webhook_at_the_url_that_an_operator_has_set_since() {
    let managed = Managed::new().await;
    let tapped = managed.connected().await;
    let webhook = managed.world.api.post("/v1/telegram/webhooks", json!({"agentKey": "support"}));
    webhook.header("host", "127.0.0.1:9").send().await.body_of(200);
    managed.post(ROTATE, json!({})).send().await.body_of(200);
    let http = af_telegram::http_client("http://127.0.0.1").unwrap();
    let url = managed.effects.telegram_url.clone().unwrap();
    let token = secrecy::SecretString::from(managed.token_of(&tapped["botIdentity"]));
    let info = af_telegram::BotApi::new(http, &url).bot(&token).get_webhook_info().await.unwrap();
    assert!(info.url.starts_with("http://127.0.0.1:9/agent-factory/"), "{}", info.url);
}

#[tokio::test]
pub async fn a_rotated_token_is_used_and_the_old_one_ends() {
    let managed = Managed::new().await;
    let not_managed =
        managed.world.refused(managed.post("/v1/agents/manager/managed-bot/rotate", json!({}))).await;
    assert_eq!(not_managed.problem(), (409, "not_configured"));
    let tapped = managed.connected().await;
    let bot = &tapped["botIdentity"];
    for path in [ROTATE, "/v1/agents/support/managed-bot/rotate"] {
        let before = managed.token_of(bot);
        let rotated = managed.post(path, json!({})).send().await.body_of(200);
        assert_eq!(rotated["botIdentity"], *bot);
        let after = managed.token_of(bot);
        assert!(before != after && !rotated.to_string().contains(&after));
        managed.is_answered(bot, path).await;
    }
}

#[tokio::test]
async fn a_token_that_the_owner_has_replaced_is_fetched() {
    let managed = Managed::new().await;
    let tapped = managed.connected().await;
    let bot = &tapped["botIdentity"];
    let id: i64 = bot.as_str().unwrap().parse().unwrap();
    managed.telegram.add_bot(Some(&format!("{id}:new-token-of-the-owner")), None).unwrap();
    let manager = managed.telegram.bots().into_iter().find(|bot| bot.username == "factory_bot").unwrap();
    let raw =
        json!({"botIdentity": manager.id, "raw": {"managed_bot": {"user": {"id": 99}, "bot": {"id": id}}}});
    let (_, reported) = managed.control("/telegram/messages", raw).await;
    assert_eq!(reported["body"]["managedBot"], *bot, "{reported}");
    managed.schedule().await;
    let binding = managed.world.api.get("/v1/users/ann/binding").send().await.body_of(200);
    assert_eq!(binding["telegramUserId"], PERSON.to_string(), "a new owner is not bound");
    managed.is_answered(bot, "hello").await;
}
