//! Policies: stored overrides of the defaults in the code.

use std::sync::Arc;

use af_api::policies::{FieldView, PoliciesView};
use af_domain::ids::AgentKey;
use af_domain::policy::{FIELDS, Given, Policies, PolicyError, Setting};
use af_domain::refusal::Refusal;
use serde_json::Value;

use crate::settings::document::{DOCUMENT, change, parsed, stored};
use crate::settings::ingress_settings::{self, IngressSettings};
use crate::settings::message_settings::{GROUP, MessageConfig, Settings};
pub use crate::settings::overrides::Overrides;
use crate::settings::prices;
use crate::{App, AppError};

/// Most characters of an unknown name in an error message. The longest valid name has half as many.
const MAX_NAME_CHARS: usize = 64;
/// Returns the policies in force.
pub async fn in_force(app: &App) -> Result<Policies, AppError> {
    Ok(settings(app).await?.policies)
}

/// Returns the policies in force for `agent`. Every use case that knows the agent calls this. Today an agent has the
/// policies of its deployment.
pub async fn for_agent(app: &App, agent: &AgentKey) -> Result<Policies, AppError> {
    let _ = agent;
    in_force(app).await
}

/// Returns all settings in force.
pub(crate) async fn settings(app: &App) -> Result<Settings, AppError> {
    let now = app.now();
    if let Some(settings) = app.settings.get(&(), now) {
        return Ok(settings);
    }
    // On the heap: most calls find the settings in the cache, so their futures need no room for this read.
    let json = Box::pin(app.store.config(DOCUMENT, false)).await?;
    let stored = parsed(json.as_deref())?;
    let settings = Settings {
        policies: with_overrides(&stored)?,
        message: MessageConfig::of(&stored),
        ingress: Arc::new(IngressSettings::of(&stored)),
        prices: Arc::new(prices::of(&stored)),
    };
    app.settings.put((), settings.clone(), now);
    Ok(settings)
}

/// Returns every field with its value, its default and its accepted values.
pub async fn view(app: &App) -> Result<PoliciesView, AppError> {
    Ok(view_of(&with_overrides(&stored(app).await?)?))
}

/// Sets fields; `null` removes an override. Nothing is written if one of the changes is invalid.
///
/// # Errors
/// Returns a refusal with the first invalid field and its accepted values.
pub async fn set(app: &App, changes: Overrides) -> Result<PoliciesView, AppError> {
    check_names(&changes)?;
    change(app, |stored| {
        let in_force = with_overrides(&stored)?;
        let overrides = changed(stored, &changes);
        let policies = with_overrides(&overrides)?;
        policies.check()?;
        check_shards(&in_force, &policies)?;
        Ok((overrides, view_of(&policies)))
    })
    .await
}

/// Refuses to reduce the number of shards: a conversation in a shard that no worker reads would wait forever.
fn check_shards(before: &Policies, after: &Policies) -> Result<(), PolicyError> {
    let shards = before.queue.ready_shards;
    if after.queue.ready_shards >= shards {
        return Ok(());
    }
    let accepts = format!("at least {shards}, its current value: shards can be added but not removed");
    Err(PolicyError::OutOfBounds { field: "queue.readyShards".to_owned(), accepts })
}

/// Checks that every name is in the catalogue, even if its override is removed.
fn check_names(changes: &Overrides) -> Result<(), PolicyError> {
    for (group, fields) in changes {
        if !FIELDS.iter().any(|f| f.group == group) {
            return Err(PolicyError::Unknown(shortened(group)));
        }
        if let Some(name) =
            fields.keys().find(|name| !FIELDS.iter().any(|f| f.group == group && f.name == *name))
        {
            return Err(PolicyError::Unknown(format!("{group}.{}", shortened(name))));
        }
    }
    Ok(())
}

/// Truncates a name from a request, which may be as long as the body.
fn shortened(name: &str) -> String {
    name.chars().take(MAX_NAME_CHARS).collect()
}

fn changed(mut overrides: Overrides, changes: &Overrides) -> Overrides {
    for (group, fields) in changes {
        let stored = overrides.entry(group.clone()).or_default();
        for (name, value) in fields {
            if value.is_null() {
                stored.remove(name);
            } else {
                stored.insert(name.clone(), value.clone());
            }
        }
    }
    overrides
}

/// Applies the stored overrides to the defaults. A name that this version does not know was written by a
/// newer version before a rollback. It stays stored and has no effect, so that it does not stop the system.
/// Names in changes are checked earlier.
fn with_overrides(overrides: &Overrides) -> Result<Policies, Refusal> {
    let mut policies = Policies::default();
    let others = [GROUP, ingress_settings::GROUP, prices::GROUP];
    for (group, fields) in overrides.iter().filter(|(group, _)| !others.contains(&group.as_str())) {
        for (name, value) in fields {
            let given = match value {
                Value::Number(n) => n.as_f64().map_or(Given::Other, Given::Number),
                Value::String(text) => Given::Text(text),
                _ => Given::Other,
            };
            match policies.set(group, name, &given) {
                Err(PolicyError::Unknown(name)) => {
                    tracing::warn!(name, "a stored policy is unknown to this version")
                }
                set => set?,
            }
        }
    }
    Ok(policies)
}

fn view_of(policies: &Policies) -> PoliciesView {
    let defaults = Policies::default();
    let mut view = PoliciesView::new();
    for field in FIELDS {
        let shown = FieldView {
            value: json((field.get)(policies)),
            default: json((field.get)(&defaults)),
            accepts: field.bounds.describe(),
        };
        view.entry(field.group.to_owned()).or_default().insert(field.name.to_owned(), shown);
    }
    view
}

fn json(setting: Setting) -> Value {
    match setting {
        Setting::Number(number) => number.into(),
        Setting::Ratio(ratio) => ratio.into(),
        Setting::Word(word) => word.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_replace_defaults_field_by_field() {
        let overrides =
            serde_json::from_str(r#"{"queue": {"onRetry": "overtake"}, "scaling": {"maxWorkers": 8}}"#);
        let policies = with_overrides(&overrides.unwrap()).unwrap();
        assert_eq!(policies.scaling.max_workers, 8);
        assert_eq!(policies.scaling.spawn_step, Policies::default().scaling.spawn_step);
        let view = view_of(&policies);
        assert_eq!(view["queue"]["onRetry"].value, "overtake");
        assert_eq!(view["queue"]["onRetry"].default, "block");
    }

    #[test]
    fn shards_can_be_added_but_not_removed() {
        let with = |shards: u64| {
            let mut policies = Policies::default();
            policies.queue.ready_shards = shards;
            policies
        };
        assert!(check_shards(&with(4), &with(16)).is_ok());
        let refused = check_shards(&with(16), &with(4)).unwrap_err();
        assert!(refused.to_string().contains("queue.readyShards must be at least 16"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_field() {
        let overrides = serde_json::from_str(r#"{"scaling": {"maxWorkers": true}}"#);
        let refusal = with_overrides(&overrides.unwrap()).unwrap_err();
        assert_eq!(refusal.pointer.as_deref(), Some("/scaling/maxWorkers"));
        assert!(refusal.detail.contains("from 0 to 1000"));
    }
}
