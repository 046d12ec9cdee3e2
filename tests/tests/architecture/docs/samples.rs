//! Samples of all keys.

use std::collections::BTreeMap;

use af_domain::document::DocumentSet;
use af_domain::ids::{
    AgentKey, BindingId, BotIdentity, BotUsername, BroadcastId, CompanyId, ConsumerUserId, ConversationId,
    DocumentPath, Fence, MessageId, ModelName, PairingCode, PushJobId, PushTemplateKey, RunKey, SnapshotId,
    SnapshotParts, StorageId, TelegramUserId, TemplateKey, WorkerId,
};
use af_domain::outbox::Chat;
use af_domain::push::Day;
use af_domain::time::Timestamp;
use af_store::keys::{self, Key};

use super::skills;

fn person(id: &str) -> TelegramUserId {
    TelegramUserId::parse(id).unwrap()
}

/// The results of constructors for sample arguments, as in the columns of the document's tables, and the placeholders
/// of the samples in a shape.
pub struct Samples {
    pub made: BTreeMap<&'static str, Vec<String>>,
    pub placeholders: Vec<(&'static str, String)>,
}

impl Samples {
    pub fn new() -> Self {
        let conversation = keys::conversation_key(&ConversationId::parse("user-agent:support:ann").unwrap());
        let (at, worker) = (Timestamp::from_millis(1_700_000_000_000), WorkerId::parse("w-1").unwrap());
        let (agent, bot) = (AgentKey::parse("support").unwrap(), BotIdentity::parse("77").unwrap());
        let user = ConsumerUserId::parse("ann").unwrap();
        let ids = (0..).map(|n| MessageId::parse(format!("tg:77:{n}")).unwrap());
        let in_first_shard = |id: &MessageId| keys::dead_letter(id, at).pk == keys::dead_letter_partition(0);
        let message = ids.into_iter().find(in_first_shard).unwrap();
        let place = "01HF7YAT000000000000000000".to_owned();
        let parts = SnapshotParts { conversation: conversation.clone(), fence: Fence(7), place };
        let snapshot = SnapshotId::of(&parts).unwrap();
        let media = StorageId::of(&conversation, &parts.place).unwrap();
        let (key, part) = (|key: Key| vec![key.pk, key.sk], |part: String| vec![part]);
        let made = [
            ("agent", key(keys::agent(&agent))),
            ("api_key", key(keys::api_key("k1"))),
            ("binding", key(keys::binding(&user))),
            ("binding_of_chat", key(keys::binding_of_chat(&bot, &person("555")))),
            ("binding_of_telegram_user", key(keys::binding_of_telegram_user(&bot, &person("444")))),
            ("bot", key(keys::bot(&bot))),
            ("chat", key(keys::chat(&bot, 555))),
            ("config", key(keys::config("policies"))),
            ("conversation", key(keys::conversation(&conversation))),
            ("counters", key(keys::counters())),
            ("dead_letter", key(keys::dead_letter(&message, at))),
            ("group_lines", key(keys::group_lines(&conversation))),
            ("history", key(keys::history(&conversation, Fence(7), "000001"))),
            ("latest_snapshot", key(keys::latest_snapshot(&conversation))),
            ("message", key(keys::message(&message))),
            ("message_payload", key(keys::message_payload(&message, "c0ffee"))),
            ("pending_tool_calls", key(keys::pending_tool_calls(&conversation))),
            ("reconcile", key(keys::reconcile())),
            ("snapshot", key(keys::snapshot(&snapshot))),
            ("template_count", key(keys::template_count())),
            ("stopped_worker", key(keys::stopped_worker(&worker))),
            ("worker", key(keys::worker(&worker))),
            ("conversation_key", part(conversation.to_string())),
            ("dead_letter_partition", part(keys::dead_letter_partition(0))),
            ("messages_partition", part(keys::messages_partition(&conversation))),
            ("ready_horizon", part(keys::ready_horizon(at))),
            ("ready_partition", part(keys::ready_partition(&conversation, 1))),
            ("ready_shard", part(keys::ready_shard(0))),
        ];
        let placeholders = vec![
            ("agentKey", agent.to_string()),
            ("at", "1700000000000".into()),
            ("at + 1", "1700000000001".into()),
            ("bodyHash", "c0ffee".into()),
            ("botIdentity", bot.to_string()),
            ("chatId", "555".into()),
            ("ck", conversation.to_string()),
            ("consumerUserId", user.to_string()),
            ("fence", "0000000007".into()),
            ("keyId", "k1".into()),
            ("messageId", message.to_string()),
            ("name", "policies".into()),
            ("place", "000001".into()),
            ("shard", "0".into()),
            ("telegramUserId", "444".into()),
            ("ulid", parts.place),
            ("workerId", worker.to_string()),
        ];
        Self { made: BTreeMap::from(made), placeholders }
            .with(skills::samples())
            .with(Self::of_files_and_calls(&media))
            .with(Self::of_names())
            .with(Self::of_templates())
            .with(Self::of_outboxes(at))
            .with(Self::of_push(at))
    }

    fn of_ledger(at: Timestamp) -> Self {
        let (key, part) = (|key: Key| vec![key.pk, key.sk], |part: &str| vec![part.to_owned()]);
        let (agent, user) = (AgentKey::parse("support").unwrap(), ConsumerUserId::parse("ann").unwrap());
        let (model, day) = (ModelName::parse("small-1").unwrap(), Day::of_utc(at));
        let made = [
            ("ledger_of_deployment", key(keys::ledger_of_deployment(day))),
            ("ledger_of_agent", key(keys::ledger_of_agent(&agent, day))),
            ("ledger_of_user", key(keys::ledger_of_user(&user, &agent, day))),
            ("ledger_of_model", key(keys::ledger_of_model(&model, day))),
            ("ledger_batch", key(keys::ledger_batch("f00d"))),
            ("ledger_partition_of_user", vec![keys::ledger_partition_of_user(&user)]),
            ("LEDGER_OF_AGENTS", part(keys::LEDGER_OF_AGENTS)),
            ("LEDGER_OF_DEPLOYMENT", part(keys::LEDGER_OF_DEPLOYMENT)),
            ("LEDGER_OF_MODELS", part(keys::LEDGER_OF_MODELS)),
            ("LEDGER_OF_USERS", part(keys::LEDGER_OF_USERS)),
        ];
        let placeholders =
            vec![("batch", "f00d".into()), ("day", day.to_string()), ("model", model.to_string())];
        Self { made: BTreeMap::from(made), placeholders }
    }

    fn of_documents() -> Self {
        let key = |key: Key| vec![key.pk, key.sk];
        let set = DocumentSet::Agent(AgentKey::parse("support").unwrap());
        let path = DocumentPath::parse("memory/2026-01-31.md").unwrap();
        let made = [
            ("document", key(keys::document(&set, &path))),
            ("document_version", key(keys::document_version(&set, &path, 3))),
            ("document_versions", vec![keys::document_versions(&path)]),
            ("documents_head", key(keys::documents_head(&set))),
            ("documents_partition", vec![keys::documents_partition(&set)]),
            ("DOCUMENTS", vec![keys::DOCUMENTS.into()]),
        ];
        let placeholders = vec![("documentPath", path.to_string()), ("documentVersion", "0000000003".into())];
        Self { made: BTreeMap::from(made), placeholders }
    }

    fn of_names() -> Self {
        let made = [
            ("AGENTS", keys::AGENTS),
            ("API_KEYS", keys::API_KEYS),
            ("EXPIRING_SNAPSHOTS", keys::EXPIRING_SNAPSHOTS),
            ("EXPIRY_INDEX", keys::EXPIRY_INDEX),
            ("MESSAGES_INDEX", keys::MESSAGES_INDEX),
            ("READY_INDEX", keys::READY_INDEX),
            ("TEMPLATES", keys::TEMPLATES),
            ("WORKERS", keys::WORKERS),
        ];
        let made = made.map(|(name, part)| (name, vec![part.to_owned()]));
        Self { made: BTreeMap::from(made), placeholders: Vec::new() }.with(Self::of_documents())
    }

    fn of_templates() -> Self {
        let template = TemplateKey::parse("good-morning").unwrap();
        let (one, count) = (keys::template(&template), keys::template_count());
        let made = [("template", vec![one.pk, one.sk]), ("template_count", vec![count.pk, count.sk])];
        Self { made: BTreeMap::from(made), placeholders: vec![("templateKey", template.to_string())] }
    }

    fn of_outboxes(at: Timestamp) -> Self {
        let outbox = keys::outbox(&Chat::parse("77:555").unwrap());
        let mark = keys::notice_mark(&Chat::parse("77:555").unwrap(), "policies");
        let made = [
            ("notice_mark", vec![mark.pk, mark.sk]),
            ("outbox", vec![outbox.pk, outbox.sk]),
            ("outbox_due", vec![keys::outbox_due(at)]),
            ("OUTBOXES", vec![keys::OUTBOXES.into()]),
        ];
        Self { made: BTreeMap::from(made), placeholders: Vec::new() }
    }

    fn of_pairing() -> Self {
        let key = |key: Key| vec![key.pk, key.sk];
        let (agent, bot) = (AgentKey::parse("support").unwrap(), BotIdentity::parse("77").unwrap());
        let user = ConsumerUserId::parse("ann").unwrap();
        let (code, at) = (PairingCode::of(7), Timestamp::from_millis(1_700_000_000_000));
        let binding = BindingId::parse("01HF7YAT000000000000000000").unwrap();
        let made = [
            ("bot_link", key(keys::bot_link(&BotUsername::parse("support_bot").unwrap()))),
            ("managed_bot", key(keys::managed_bot(&bot))),
            ("newest_bot_link", key(keys::newest_bot_link(&user, &agent))),
            ("past_binding", key(keys::past_binding(&user, at, &binding))),
            ("newest_pairing", key(keys::newest_pairing(&user, &agent))),
            ("pairing", key(keys::pairing(&code))),
            ("wrong_codes", key(keys::wrong_codes(&bot, &person("444")))),
        ];
        Self {
            made: BTreeMap::from(made),
            placeholders: vec![("code", code.to_string()), ("botUsername", "support_bot".into())],
        }
    }

    fn of_push(at: Timestamp) -> Self {
        let (key, part) = (|key: Key| vec![key.pk, key.sk], |part: String| vec![part]);
        let agent = AgentKey::parse("support").unwrap();
        let (user, company) = (ConsumerUserId::parse("ann").unwrap(), CompanyId::parse("acme").unwrap());
        let job = PushJobId::parse("01HF7YAT000000000000000001").unwrap();
        let broadcast = BroadcastId::parse("01HF7YAT000000000000000002").unwrap();
        let template = PushTemplateKey::parse("good-morning").unwrap();
        let of_messages = TemplateKey::parse("good-morning").unwrap();
        let of_user = keys::push_dispatches_of_agent(&agent, Some(&user));
        let made = [
            ("template", key(keys::template(&of_messages))),
            ("push_template", key(keys::push_template(&company, &template))),
            ("push_job", key(keys::push_job(&user, &agent, &job))),
            ("push_stats", key(keys::push_stats(&user, &agent))),
            ("push_dispatch", key(keys::push_dispatch(&RunKey::scheduled(&job, at)))),
            ("broadcast", key(keys::broadcast(&broadcast))),
            ("push_templates_of", part(keys::push_templates_of(&company))),
            ("push_dispatches_of", part(keys::push_dispatches_of(job.as_str()))),
            ("PUSH_JOBS", part(keys::PUSH_JOBS.into())),
            ("BROADCASTS", part(keys::BROADCASTS.into())),
            ("push_jobs_of_company", part(keys::push_jobs_of_company(&company))),
            ("broadcasts_of_company", part(keys::broadcasts_of_company(&company))),
            ("push_dispatches_of_agent", part(of_user)),
            ("bindings_of_agent", part(keys::bindings_of_agent(&agent))),
        ];
        let placeholders = vec![
            ("companyId", company.to_string()),
            ("templateKey", template.to_string()),
            ("pushJobId", job.to_string()),
            ("broadcastId", broadcast.to_string()),
        ];
        Self { made: BTreeMap::from(made), placeholders }.with(Self::of_ledger(at))
    }

    fn of_files_and_calls(media: &StorageId) -> Self {
        let key = |key: Key| vec![key.pk, key.sk];
        let made = [
            ("media", key(keys::media(media))),
            ("EXPIRING_MEDIA", vec![keys::EXPIRING_MEDIA.into()]),
            ("call", key(keys::call("c0ffee"))),
        ];
        Self { made: BTreeMap::from(made), placeholders: vec![("callHash", "c0ffee".into())] }
            .with(Self::of_pairing())
    }

    fn with(mut self, more: Samples) -> Self {
        self.made.extend(more.made);
        self.placeholders.extend(more.placeholders);
        self
    }

    pub fn fill(&self, shape: &str) -> String {
        self.placeholders
            .iter()
            .fold(shape.to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value))
    }
}
