//! Policies: stored overrides over the defaults of the code.

use std::collections::BTreeMap;

use af_domain::policy::{FIELDS, Given, Policies, PolicyError, Setting};
use af_domain::refusal::Refusal;
use af_store::conversation::Commit;
use serde_json::Value;

use crate::settings::message_config::{self, MessageConfig};
use crate::{App, AppError};

const DOCUMENT: &str = "policies";
/// How much of an unknown name is repeated to the caller; the longest of ours has half as many characters.
const MAX_NAME_CHARS: usize = 64;
/// Times a change is made anew because somebody else changed other fields meanwhile; operators are few.
const MAX_CHANGE_TRIES: usize = 5;

/// Overrides as they are stored and sent: group → field → value.
pub type Overrides = BTreeMap<String, BTreeMap<String, Value>>;

/// One field, as it is shown.
#[derive(Debug)]
pub struct FieldView {
    /// The value in force.
    pub value: Setting,
    /// The value when nothing overrides it.
    pub default: Setting,
    /// What it accepts.
    pub accepts: String,
}

/// All fields, group by group.
pub type PoliciesView = BTreeMap<&'static str, BTreeMap<&'static str, FieldView>>;

/// What stands in the document.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The policies in force.
    pub policies: Policies,
    /// What messages are handed out with.
    pub message: MessageConfig,
}

/// The policies in force.
///
/// # Errors
/// When they cannot be read.
pub async fn in_force(app: &App) -> Result<Policies, AppError> {
    Ok(settings(app).await?.policies)
}

/// All settings in force.
pub(crate) async fn settings(app: &App) -> Result<Settings, AppError> {
    let now = app.now();
    if let Some(settings) = app.settings.get(&(), now) {
        return Ok(settings);
    }
    let stored = parsed(app.store.config(DOCUMENT).await?.as_deref())?;
    let settings = Settings { policies: with_overrides(&stored)?, message: MessageConfig::of(&stored) };
    app.settings.put((), settings.clone(), now);
    Ok(settings)
}

/// The document as it is now.
pub(crate) async fn stored(app: &App) -> Result<Overrides, AppError> {
    parsed(app.store.config_to_change(DOCUMENT).await?.as_deref())
}

/// Every field with its value, its default and what it accepts.
///
/// # Errors
/// When they cannot be read.
pub async fn view(app: &App) -> Result<PoliciesView, AppError> {
    Ok(view_of(&with_overrides(&stored(app).await?)?))
}

/// Sets fields; `null` takes an override back. Nothing is written unless all of it is acceptable.
///
/// # Errors
/// A refusal that names the first field at fault and what it accepts.
pub async fn set(app: &App, changes: Overrides) -> Result<PoliciesView, AppError> {
    check_names(&changes)?;
    change(app, |stored| {
        let in_force = with_overrides(&stored)?;
        let overrides = changed(stored, &changes);
        let policies = with_overrides(&overrides)?;
        policies.check()?;
        keeps_its_shards(&in_force, &policies)?;
        Ok((overrides, view_of(&policies)))
    })
    .await
}

/// Changes the document; decided anew when somebody else was faster.
pub(crate) async fn change<T>(
    app: &App,
    decide: impl Fn(Overrides) -> Result<(Overrides, T), Refusal>,
) -> Result<T, AppError> {
    for _ in 0..MAX_CHANGE_TRIES {
        let before = app.store.config_to_change(DOCUMENT).await?;
        let (after, decided) = decide(parsed(before.as_deref())?)?;
        let json = serde_json::to_string(&after)
            .map_err(|source| AppError::Unreadable { what: "policies", source })?;
        if let Commit::Done = app.store.change_config_if_unchanged(DOCUMENT, before.as_deref(), &json).await?
        {
            app.settings.forget(&());
            return Ok(decided);
        }
    }
    Err(AppError::Overtaken("the change of policies"))
}

/// Conversations that wait in a shard which nobody reads any more would wait for ever.
fn keeps_its_shards(before: &Policies, after: &Policies) -> Result<(), PolicyError> {
    let shards = before.queue.ready_shards;
    if after.queue.ready_shards >= shards {
        return Ok(());
    }
    let accepts = format!("at least {shards}, as it is now: shards can be added but not taken away");
    Err(PolicyError::OutOfBounds { field: "queue.readyShards".to_owned(), accepts })
}

/// Every name must be in the catalogue, also where its override is taken back.
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

/// A name that the caller made up, and that may be as long as the body.
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

fn parsed(json: Option<&str>) -> Result<Overrides, AppError> {
    let Some(json) = json else { return Ok(Overrides::new()) };
    serde_json::from_str(json).map_err(|source| AppError::Unreadable { what: "policies", source })
}

/// What is stored, over the defaults. A name that this version does not know is a later one's, which was rolled back: it
/// stays stored and has no effect, so that it stops nobody. Changes are checked for names before.
fn with_overrides(overrides: &Overrides) -> Result<Policies, Refusal> {
    let mut policies = Policies::default();
    for (group, fields) in overrides.iter().filter(|(group, _)| *group != message_config::GROUP) {
        for (name, value) in fields {
            let given = match value {
                Value::Number(n) => n.as_f64().map_or(Given::Other, Given::Number),
                Value::String(text) => Given::Text(text),
                _ => Given::Other,
            };
            match policies.set(group, name, &given) {
                Err(PolicyError::Unknown(name)) => tracing::warn!(name, "a stored policy is not known here"),
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
            value: (field.get)(policies),
            default: (field.get)(&defaults),
            accepts: field.bounds.describe(),
        };
        view.entry(field.group).or_default().insert(field.name, shown);
    }
    view
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
        assert_eq!(view["queue"]["onRetry"].value, Setting::Word("overtake"));
        assert_eq!(view["queue"]["onRetry"].default, Setting::Word("block"));
    }

    #[test]
    fn shards_are_added_and_never_taken_away() {
        let with = |shards: u64| {
            let mut policies = Policies::default();
            policies.queue.ready_shards = shards;
            policies
        };
        assert!(keeps_its_shards(&with(4), &with(16)).is_ok());
        let refused = keeps_its_shards(&with(16), &with(4)).unwrap_err();
        assert!(refused.to_string().contains("queue.readyShards must be at least 16"));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_by_name() {
        let overrides = serde_json::from_str(r#"{"scaling": {"maxWorkers": true}}"#);
        let refusal = with_overrides(&overrides.unwrap()).unwrap_err();
        assert_eq!(refusal.pointer.as_deref(), Some("/scaling/maxWorkers"));
        assert!(refusal.detail.contains("from 0 to 1000"));
    }
}
