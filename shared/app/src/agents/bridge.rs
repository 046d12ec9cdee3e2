//! Agent bridge: validates the settings of a profile, and looks up the bridge values for messages and for new
//! workers.

use std::collections::BTreeMap;

use af_domain::agent::AgentProfile;
use af_domain::bridge::{BridgeConfig, BridgeField};
use af_domain::ids::{BotIdentity, SecretRef};
use af_domain::refusal::Refusal;
use secrecy::{ExposeSecret, SecretString};

use crate::settings::base_url::{BASE_URL_RULE, is_base_url};
use crate::{App, Result};

/// Prefixes of secrets that give access to this deployment itself. No worker receives one of them.
const RESERVED_PREFIXES: [&str; 5] = ["bootstrap.", "factory.", "fly.", "telegram.", "workerToken."];
/// Longest service id and app key in characters.
const MAX_WORD_CHARS: usize = 200;
/// Most profiles whose values are compared when a worker starts, which takes at most ten calls of Secrets
/// Manager. With more profiles, an operator sets the global secrets.
const MAX_COMPARED: usize = 100;
/// The bridge values of a bundle.
const HYDRATED: [BridgeField; 5] = [
    BridgeField::BaseUrl,
    BridgeField::BaseUrlMapJson,
    BridgeField::ServiceId,
    BridgeField::AppKey,
    BridgeField::ServiceKey,
];
/// The environment variables of a new worker and their bridge fields.
const VARIABLES: [(BridgeField, &str); 3] = [
    (BridgeField::ServiceId, "OPENCLAW_SERVICE_ID"),
    (BridgeField::ServiceKey, "OPENCLAW_SERVICE_KEY"),
    (BridgeField::LinkingSharedSecret, "OPENCLAW_LINKING_SHARED_SECRET"),
];

/// Secret values by name.
pub(crate) type Values = BTreeMap<SecretRef, SecretString>;

/// The values that an agent's skills need to reach the tools of its app. Each may come from a secret, so
/// `Debug` shows none.
#[derive(Clone, Debug)]
pub struct BridgeRuntime {
    /// The URL of the app.
    pub base_url: Option<SecretString>,
    /// The URLs of several apps, as JSON.
    pub base_url_map_json: Option<SecretString>,
    /// The id of the calling service.
    pub service_id: Option<SecretString>,
    /// The key of the app.
    pub app_key: Option<SecretString>,
    /// The secret key of the calling service.
    pub service_key: Option<SecretString>,
    /// The name of the secret that contains this key.
    pub service_key_ref: Option<SecretRef>,
    /// The bot of the agent.
    pub bot_identity: Option<BotIdentity>,
}

/// Checks the bridge section of a profile. A refusal names the invalid field.
pub(crate) fn check(config: &BridgeConfig) -> Result<(), Refusal> {
    if config.base_url.as_deref().is_some_and(|url| !is_base_url(url)) {
        let detail = format!("baseUrl must be {BASE_URL_RULE}");
        return Err(Refusal::field("/bridgeConfig/baseUrl", detail));
    }
    for (name, word) in [("serviceId", &config.service_id), ("appKey", &config.app_key)] {
        if word.as_deref().is_some_and(|word| !is_word(word)) {
            let detail = format!("{name} must be 1 to {MAX_WORD_CHARS} printable characters");
            return Err(Refusal::field(format!("/bridgeConfig/{name}"), detail));
        }
    }
    for (name, secret) in [
        ("serviceKeySecretRef", &config.service_key_ref),
        ("appBaseUrlMapJsonSecretRef", &config.base_url_map_ref),
    ] {
        if secret
            .as_ref()
            .is_some_and(|secret| RESERVED_PREFIXES.iter().any(|prefix| secret.as_str().starts_with(prefix)))
        {
            let detail = format!(
                "{name} must not name a reserved secret of the deployment: {}",
                RESERVED_PREFIXES.join("*, ") + "*"
            );
            return Err(Refusal::field(format!("/bridgeConfig/{name}"), detail));
        }
    }
    Ok(())
}

fn is_word(text: &str) -> bool {
    !is_blank(text) && text.chars().count() <= MAX_WORD_CHARS && !text.chars().any(char::is_control)
}

/// Returns every secret that may contain one of the agent's bridge values.
pub(crate) fn refs(profile: &AgentProfile) -> Vec<SecretRef> {
    let bridge = profile.bridge.as_ref().filter(|bridge| bridge.enabled);
    bridge
        .into_iter()
        .flat_map(|bridge| HYDRATED.map(|field| bridge.refs(field, &profile.key)))
        .flatten()
        .collect()
}

/// Returns the secrets that the bridge of the profile names; none if the bridge is off.
pub(crate) fn named_refs(profile: &AgentProfile) -> Vec<SecretRef> {
    let bridge = profile.bridge.as_ref().filter(|bridge| bridge.enabled);
    let named = bridge.map(|bridge| [bridge.service_key_ref.clone(), bridge.base_url_map_ref.clone()]);
    named.into_iter().flatten().flatten().collect()
}

/// Returns the agent's bridge values; `None` if its bridge is off.
pub(crate) fn runtime(profile: &AgentProfile, secrets: &Values) -> Option<BridgeRuntime> {
    let bridge = profile.bridge.as_ref().filter(|bridge| bridge.enabled)?;
    let found = |field| {
        let own = bridge.value(field).map(|value| (SecretString::from(value), None));
        own.or_else(|| {
            first(&bridge.refs(field, &profile.key), secrets).map(|(name, value)| (value, Some(name)))
        })
    };
    let value = |field| found(field).map(|(value, _)| value);
    let (service_key, service_key_ref) = found(BridgeField::ServiceKey).unzip();
    Some(BridgeRuntime {
        base_url: value(BridgeField::BaseUrl),
        base_url_map_json: value(BridgeField::BaseUrlMapJson),
        service_id: value(BridgeField::ServiceId),
        app_key: value(BridgeField::AppKey),
        service_key,
        service_key_ref: service_key_ref.flatten(),
        bot_identity: profile.bot.as_ref().map(|bot| bot.identity.clone()),
    })
}

/// Returns the first of these secrets with a value. A blank value does not count.
fn first(refs: &[SecretRef], secrets: &Values) -> Option<(SecretRef, SecretString)> {
    let found = refs.iter().filter_map(|name| Some((name.clone(), secrets.get(name)?.clone())));
    found.into_iter().find(|(_, value)| !is_blank(value.expose_secret()))
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Returns the bridge variables of every new worker. They come from the global secrets. If one is missing,
/// the value is used that all agents with a bridge have in common. A worker may serve any agent, so values
/// that differ are not used.
pub(crate) async fn variables(app: &App) -> Result<BTreeMap<String, String>> {
    let globals = VARIABLES.map(|(field, _)| field.global_ref());
    let secrets = app.secrets.get_many(&globals, app.now()).await?;
    let global = |field: BridgeField| first(&[field.global_ref()], &secrets).map(|(_, value)| value);
    let open: Vec<_> =
        VARIABLES.map(|(field, _)| field).into_iter().filter(|f| global(*f).is_none()).collect();
    let common = common(app, &open).await?;
    let value =
        |field| global(field).or_else(|| common.iter().find(|(f, _)| *f == field).map(|(_, v)| v.clone()));
    let variable =
        |(field, name): (_, &str)| Some((name.to_owned(), value(field)?.expose_secret().to_owned()));
    Ok(VARIABLES.into_iter().filter_map(variable).collect())
}

/// Returns those of `fields` for which all agents with a bridge have the same own value.
async fn common(app: &App, fields: &[BridgeField]) -> Result<Vec<(BridgeField, SecretString)>> {
    // No agent has its own secret for linking accounts.
    if fields.iter().all(|field| *field == BridgeField::LinkingSharedSecret) {
        return Ok(Vec::new());
    }
    let Some(agents) = app.store.agents_with_bridge().await?.filter(|found| found.len() <= MAX_COMPARED)
    else {
        tracing::warn!("too many agents to compare; set agent-bridge.serviceId and agent-bridge.serviceKey");
        return Ok(Vec::new());
    };
    let bridges = || agents.iter().filter_map(|agent| Some((agent, agent.bridge.as_ref()?)));
    let own_refs =
        bridges().flat_map(|(agent, bridge)| fields.iter().flat_map(|f| bridge.own_refs(*f, &agent.key)));
    let secrets = app.secrets.get_many(&own_refs.collect::<Vec<_>>(), app.now()).await?;
    let own = |field, agent: &AgentProfile, bridge: &BridgeConfig| {
        let said = bridge.value(field).map(SecretString::from);
        said.or_else(|| first(&bridge.own_refs(field, &agent.key), &secrets).map(|(_, value)| value))
    };
    let agreed = |field: BridgeField| {
        let mut values = bridges().map(|(agent, bridge)| own(field, agent, bridge));
        let one = values.next()??;
        values.all(|v| v.is_some_and(|v| v.expose_secret() == one.expose_secret())).then_some((field, one))
    };
    Ok(fields.iter().filter_map(|field| agreed(*field)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use af_domain::agent::BotName;
    use af_domain::ids::AgentKey;
    use af_domain::time::Timestamp;

    fn name(name: &str) -> SecretRef {
        SecretRef::parse(name).unwrap()
    }

    fn profile(bridge: Option<BridgeConfig>) -> AgentProfile {
        let bot = BotName { identity: BotIdentity::parse("77").unwrap(), username: "b".into() };
        AgentProfile {
            key: AgentKey::parse("support").unwrap(),
            display_name: None,
            version: "1".into(),
            enabled: true,
            secrets_ref: vec![],
            bot: Some(bot),
            bridge,
            updated_at: Timestamp::from_millis(0),
        }
    }

    /// Tests every value from the profile and from each secret, in their order of precedence. The profile
    /// contains the value, or the name of a secret.
    #[test]
    fn each_value_comes_from_the_first_source_that_has_one() {
        type Read = fn(&BridgeRuntime) -> Option<&SecretString>;
        type Say = fn(&mut BridgeConfig);
        let fields: [(&str, Read, Say); 5] = [
            ("baseUrl", |r| r.base_url.as_ref(), |c| c.base_url = Some("profile".into())),
            ("serviceId", |r| r.service_id.as_ref(), |c| c.service_id = Some("profile".into())),
            ("appKey", |r| r.app_key.as_ref(), |c| c.app_key = Some("profile".into())),
            ("serviceKey", |r| r.service_key.as_ref(), |c| c.service_key_ref = Some(name("named"))),
            (
                "baseUrlMapJson",
                |r| r.base_url_map_json.as_ref(),
                |c| c.base_url_map_ref = Some(name("named")),
            ),
        ];
        for (field, read, say) in fields {
            let names = [
                "named".to_owned(),
                format!("agent-bridge.{field}.support"),
                format!("agent-bridge.{field}"),
            ];
            // The bits are: the profile, the named secret, the agent's secret, the global secret.
            for places in 0..16_u8 {
                let has = |n: u8| places & (1 << n) != 0;
                let mut config = BridgeConfig { enabled: true, ..BridgeConfig::default() };
                if has(0) {
                    say(&mut config);
                }
                let present = names.iter().zip(1_u8..).filter(|(_, n)| has(*n));
                let secrets: Values =
                    present.map(|(n, _)| (name(n), SecretString::from(n.as_str()))).collect();
                let takes_value = ["baseUrl", "serviceId", "appKey"].contains(&field);
                let expected = match () {
                    () if has(0) && takes_value => Some("profile"),
                    () if has(0) && has(1) => Some("named"),
                    () if has(2) => Some(names[1].as_str()),
                    () if has(3) => Some(names[2].as_str()),
                    () => None,
                };
                let profile = profile(Some(config));
                let asked = refs(&profile);
                let runtime = runtime(&profile, &secrets).unwrap();
                let value = read(&runtime).map(|value| value.expose_secret());
                assert_eq!(value, expected, "{field}, {places:04b}");
                let is_secret = expected.filter(|e| *e != "profile");
                assert!(is_secret.is_none_or(|e| asked.contains(&name(e))), "{field}: it must be asked for");
                if field == "serviceKey" {
                    assert_eq!(runtime.service_key_ref.as_ref().map(SecretRef::as_str), expected);
                }
            }
        }
    }

    #[test]
    fn a_blank_secret_is_skipped() {
        let config = BridgeConfig { enabled: true, ..BridgeConfig::default() };
        let secrets = [("agent-bridge.appKey.support", " \n"), ("agent-bridge.appKey", "app")];
        let secrets = secrets.map(|(n, value)| (name(n), SecretString::from(value))).into();
        let runtime = runtime(&profile(Some(config)), &secrets).unwrap();
        assert_eq!(runtime.app_key.unwrap().expose_secret(), "app");
        assert_eq!(runtime.bot_identity.unwrap().as_str(), "77");
    }

    #[test]
    fn there_are_no_values_without_a_bridge_or_with_one_that_is_off() {
        for bridge in
            [None, Some(BridgeConfig { base_url: Some("https://a".into()), ..BridgeConfig::default() })]
        {
            let profile = profile(bridge);
            assert!(refs(&profile).is_empty());
            assert!(runtime(&profile, &Values::new()).is_none());
        }
    }
}
