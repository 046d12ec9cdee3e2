//! The environment that a worker is started with, by a provider or by hand.
//!
//! Three layers, each over the one before: defaults of an OpenClaw image, the operator's variables
//! (`providerConfig.env`), and ours: who the worker is, where it reports, how it is paced, its bridge.

use std::collections::BTreeMap;

use af_domain::policy::Policies;
use af_domain::worker::Worker;
use secrecy::{ExposeSecret, SecretString};

use crate::skills::WORKSPACE_ID;

/// What an image is told of its gateway. `docs/worker-image.md` says what each is for.
const DEFAULTS: [(&str, &str); 15] = [
    ("NODE_ENV", "production"),
    ("OPENCLAW_GATEWAY_COMMAND", "node /app/openclaw.mjs gateway"),
    ("OPENCLAW_GATEWAY_HOST", "127.0.0.1"),
    ("OPENCLAW_GATEWAY_PORT", "18789"),
    ("OPENCLAW_GATEWAY_READY_POLL_MS", "500"),
    ("OPENCLAW_GATEWAY_READY_REQUIRED", "true"),
    ("OPENCLAW_GATEWAY_READY_TIMEOUT_MS", "60000"),
    ("OPENCLAW_GATEWAY_URL", "http://127.0.0.1:18789"),
    ("OPENCLAW_REQUIRE_DATA_MOUNT", "true"),
    ("OPENCLAW_RUN_SETUP", "false"),
    ("OPENCLAW_SETUP_TIMEOUT_MS", "90000"),
    ("SKILLS_BOOTSTRAP_MODE", "db_manifest"),
    ("SKILLS_BOOTSTRAP_REQUIRED", "false"),
    ("SKILLS_BOOTSTRAP_TIMEOUT_MS", "15000"),
    ("SKILLS_RELEASE_CHANNEL", "stable"),
];
/// What lies on the volume, and where there.
const ON_THE_VOLUME: [(&str, &str); 4] = [
    ("OPENCLAW_CONFIG_PATH", ".clawdbot/openclaw.json"),
    ("OPENCLAW_SKILLS_DIR", "workspace/skills"),
    ("OPENCLAW_STATE_DIR", ".clawdbot"),
    ("OPENCLAW_WORKSPACE_DIR", "workspace"),
];
/// What a worker is only told by us, if at all: an operator's value would hold for every worker.
const NEVER_THE_OPERATORS: [&str; 2] = ["OPENCLAW_AGENT_KEY", "OPENCLAW_CONVERSATION_ID"];

/// What an environment is made of.
pub(crate) struct Ingredients<'a> {
    pub worker: &'a Worker,
    pub token: &'a SecretString,
    pub public_url: &'a str,
    pub telegram_url: Option<&'a str>,
    pub policies: &'a Policies,
    /// Where the volume appears in the machine.
    pub volume_path: &'a str,
    /// The operator's variables.
    pub operators: &'a BTreeMap<String, String>,
    /// The bridge's variables that have a value.
    pub bridge: BTreeMap<String, String>,
}

/// The environment; what has no value is left out.
pub(crate) fn environment(from: Ingredients<'_>) -> BTreeMap<String, String> {
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let volume = from.volume_path.trim_end_matches('/');
    let mut env: BTreeMap<_, _> = DEFAULTS.map(pair).into();
    env.extend(ON_THE_VOLUME.map(|(name, place)| (name.to_owned(), format!("{volume}/{place}"))));
    let operators = from.operators.iter().filter(|(name, _)| !NEVER_THE_OPERATORS.contains(&name.as_str()));
    env.extend(operators.map(|(name, value)| pair((name, value))));
    env.extend(ours(&from));
    env.extend(from.bridge);
    env
}

fn ours(from: &Ingredients<'_>) -> BTreeMap<String, String> {
    let (policies, token) = (from.policies, from.token.expose_secret());
    let url = from.public_url.trim_end_matches('/');
    let mut env = BTreeMap::new();
    let mut put = |name: &str, value: String| env.insert(name.to_owned(), value);
    put("AGENT_FACTORY_URL", url.to_owned());
    put("AGENT_FACTORY_WORKER_ID", from.worker.id.to_string());
    put("AGENT_FACTORY_WORKER_TOKEN", token.to_owned());
    // The clients of the compatible face can set no header, and append `/api/…`.
    put("CONVEX_URL", format!("{url}/w/{token}"));
    put("HEARTBEAT_INTERVAL_MS", policies.lease.heartbeat_interval.as_millis().to_string());
    put("POLL_INTERVAL_MS", policies.poll.active.as_millis().to_string());
    put("WORKSPACE_ID", WORKSPACE_ID.to_owned());
    put("WORKER_ID", from.worker.id.to_string());
    put("WORKER_IDLE_TIMEOUT_MS", policies.scaling.idle_timeout.as_millis().to_string());
    if let Some(assignment) = &from.worker.assignment {
        put("OPENCLAW_AGENT_KEY", assignment.agent.to_string());
        put("OPENCLAW_CONVERSATION_ID", assignment.conversation.to_string());
    }
    if let Some(url) = from.telegram_url {
        put("TELEGRAM_API_URL", url.to_owned());
    }
    env
}
