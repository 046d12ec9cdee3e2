//! The environment that a worker starts with, from a provider or by hand.
//!
//! It has three layers; each replaces values of the one before: defaults for an OpenClaw image, the operator's variables
//! (`providerConfig.env`), and our own variables: the worker's identity, the URL that it reports to, its intervals, and
//! its bridge.

use std::collections::BTreeMap;

use af_domain::policy::Policies;
use af_domain::worker::Worker;
use secrecy::{ExposeSecret, SecretString};

use crate::skills::WORKSPACE_ID;

/// Settings of the image's gateway. `docs/worker-image.md` describes each.
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
/// Variables that name a path on the volume, with the path below its root.
const VOLUME_PATHS: [(&str, &str); 4] = [
    ("OPENCLAW_CONFIG_PATH", ".clawdbot/openclaw.json"),
    ("OPENCLAW_SKILLS_DIR", "workspace/skills"),
    ("OPENCLAW_STATE_DIR", ".clawdbot"),
    ("OPENCLAW_WORKSPACE_DIR", "workspace"),
];
/// Variables that an operator cannot set, because the operator's value would hold for every worker.
const RESERVED: [&str; 2] = ["OPENCLAW_AGENT_KEY", "OPENCLAW_CONVERSATION_ID"];

/// What an environment is made from.
pub(crate) struct EnvironmentInputs<'a> {
    pub worker: &'a Worker,
    pub token: &'a SecretString,
    pub public_url: &'a str,
    pub telegram_url: Option<&'a str>,
    pub policies: &'a Policies,
    /// Where the volume appears in the machine.
    pub volume_path: &'a str,
    /// The operator's variables.
    pub operator_env: &'a BTreeMap<String, String>,
    /// The bridge's variables that have a value.
    pub bridge: BTreeMap<String, String>,
}

/// The environment. Variables without a value are left out.
pub(crate) fn environment(from: EnvironmentInputs<'_>) -> BTreeMap<String, String> {
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let volume = from.volume_path.trim_end_matches('/');
    let mut env: BTreeMap<_, _> = DEFAULTS.map(pair).into();
    env.extend(VOLUME_PATHS.map(|(name, path)| (name.to_owned(), format!("{volume}/{path}"))));
    let allowed = from.operator_env.iter().filter(|(name, _)| !RESERVED.contains(&name.as_str()));
    env.extend(allowed.map(|(name, value)| pair((name, value))));
    env.extend(ours(&from));
    env.extend(from.bridge);
    env
}

fn ours(from: &EnvironmentInputs<'_>) -> BTreeMap<String, String> {
    let (policies, token) = (from.policies, from.token.expose_secret());
    let url = from.public_url.trim_end_matches('/');
    let mut env = BTreeMap::new();
    let mut put = |name: &str, value: String| env.insert(name.to_owned(), value);
    put("AGENT_FACTORY_URL", url.to_owned());
    put("AGENT_FACTORY_WORKER_ID", from.worker.id.to_string());
    put("AGENT_FACTORY_WORKER_TOKEN", token.to_owned());
    // Clients of the compatible contract cannot set a header, and append `/api/…` to this URL.
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
