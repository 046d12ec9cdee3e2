//! Reads and writes the ingress config.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use af_api::id::Id;
use af_api::ingress_config::{AgentIngressConfig, IngressConfig};
use af_domain::ids::AgentKey;
use af_domain::ingress::{ConversationPer, GroupTrigger, IngressRules};
use af_domain::notice::NoticeKind;
use af_domain::refusal::Refusal;
use serde::Serialize;
use serde_json::Value;

use crate::settings::ingress_settings::{AGENTS, GROUP, IngressSettings, TEXTS};
use crate::settings::{document, policies};
use crate::{App, AppError, Result};

/// Most agents with values of their own.
const MAX_AGENTS: usize = 500;
/// The largest config. The settings document, which contains it, is one item of at most 400 KB.
const MAX_BYTES: usize = 256 * 1024;
/// The accepted rates. The largest one is no limit for a person.
const PER_MINUTE: RangeInclusive<u64> = 1..=6_000;
/// The accepted bursts. A conversation accepts at most 200 pending messages.
const BURST: RangeInclusive<u64> = 1..=200;

/// The longest text for people.
const MAX_TEXT_CHARS: usize = 500;

type Fields = BTreeMap<String, Value>;

/// Returns the rules for the bot of `agent`.
pub async fn for_agent(app: &App, agent: &AgentKey) -> Result<IngressRules> {
    Ok(policies::settings(app).await?.ingress.rules(agent).clone())
}

/// Returns the stored config. Fields of the deployment that are not set have their defaults.
pub async fn show(app: &App) -> Result<IngressConfig> {
    let stored = document::stored(app).await?;
    let IngressSettings { deployment: rules, manager, .. } = IngressSettings::of(&stored);
    let text = |kind: NoticeKind| (kind.as_str().to_owned(), rules.texts.configured(kind).into());
    let texts = Value::Object(NoticeKind::ALL.map(text).into_iter().collect());
    let texts = serde_json::from_value(texts)
        .map_err(|source| AppError::Unreadable { what: "ingress config", source })?;
    let agents = stored.get(GROUP).and_then(|fields| fields.get(AGENTS)).and_then(Value::as_object);
    // A newer version may have stored fields that this one does not know.
    let known = |fields: &Value| serde_json::from_value(fields.clone()).unwrap_or_default();
    let agent = |(key, fields): (&String, &Value)| Some((Id(AgentKey::parse(key).ok()?), known(fields)));
    let agents: BTreeMap<_, _> = agents.into_iter().flatten().filter_map(agent).collect();
    Ok(IngressConfig {
        group_trigger: Some(rules.group_trigger.as_str().to_owned()),
        conversation_per: Some(rules.conversation_per.as_str().to_owned()),
        require_binding: Some(rules.require_binding),
        fallback_agent_key: Some(Id(rules.fallback_agent)),
        resolve_agent_key_from_binding: Some(rules.resolve_agent_from_binding),
        show_activity: Some(rules.show_activity),
        max_per_minute: Some(rules.limit.per_minute),
        max_burst: Some(rules.limit.burst),
        texts: Some(texts),
        manager_agent_key: manager.map(Id),
        agents: Some(agents).filter(|agents| !agents.is_empty()),
    })
}

/// Replaces the whole config; fields that are left out return to their defaults. Returns 422 with the invalid field.
/// Nothing is written then.
pub async fn set(app: &App, config: &IngressConfig) -> Result<IngressConfig> {
    let fields = stored_fields(config)?;
    check("", |name| fields.get(name))?;
    let agents = config.agents.iter().flatten();
    if agents.clone().count() > MAX_AGENTS {
        let detail = format!("agents must be at most {MAX_AGENTS}");
        return Err(Refusal::field("/agents", detail).into());
    }
    for (Id(agent), own) in agents {
        let own: Fields = stored_fields::<AgentIngressConfig>(own)?;
        check(&format!("/agents/{agent}"), |name| own.get(name))?;
    }
    let size = serde_json::to_string(&fields).map_or(0, |json| json.len());
    if size > MAX_BYTES {
        let detail = format!("the config must be at most {MAX_BYTES} bytes as JSON, but it has {size}");
        return Err(Refusal::field("/agents", detail).into());
    }
    document::change(app, |mut stored| {
        stored.insert(GROUP.to_owned(), fields.clone());
        Ok((stored, ()))
    })
    .await?;
    show(app).await
}

fn stored_fields<T: Serialize>(config: &T) -> Result<Fields> {
    serde_json::to_value(config)
        .and_then(serde_json::from_value)
        .map_err(|source| AppError::Unreadable { what: "ingress config", source })
}

/// Checks the values that a type does not check. `at` is the JSON pointer of the object that contains them.
fn check<'v>(at: &str, field: impl Fn(&str) -> Option<&'v Value>) -> Result<(), Refusal> {
    let word = |name: &str, accepted: &[&str]| match field(name).and_then(Value::as_str) {
        Some(given) if !accepted.contains(&given) => {
            let detail = format!("{name} must be {}", accepted.join(" or "));
            Err(Refusal::field(format!("{at}/{name}"), detail))
        }
        _ => Ok(()),
    };
    word("groupTrigger", &GroupTrigger::ALL.map(GroupTrigger::as_str))?;
    word("conversationPer", &ConversationPer::ALL.map(ConversationPer::as_str))?;
    for name in NoticeKind::ALL.map(NoticeKind::as_str) {
        let given = field(TEXTS).and_then(|texts| texts.get(name)).and_then(Value::as_str);
        if given.is_some_and(|text| text.chars().count() > MAX_TEXT_CHARS) {
            let detail = format!("{name} must be at most {MAX_TEXT_CHARS} characters");
            return Err(Refusal::field(format!("{at}/{TEXTS}/{name}"), detail));
        }
    }
    for (name, range) in [("maxPerMinute", PER_MINUTE), ("maxBurst", BURST)] {
        if field(name).and_then(Value::as_u64).is_some_and(|given| !range.contains(&given)) {
            let detail = format!("{name} must be a whole number from {} to {}", range.start(), range.end());
            return Err(Refusal::field(format!("{at}/{name}"), detail));
        }
    }
    Ok(())
}
