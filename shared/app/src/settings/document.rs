//! The stored settings document: the overrides of policies, the message config and the ingress config.

use af_domain::refusal::Refusal;
use af_store::conversation::Commit;

use crate::settings::overrides::Overrides;
use crate::{App, AppError, Result};

/// The name of the document in the table.
pub(crate) const DOCUMENT: &str = "policies";
/// How often a change is decided again because another operator changed other fields at the same time.
const MAX_CHANGE_TRIES: usize = 5;

/// Returns the stored document, strongly consistent.
pub(crate) async fn stored(app: &App) -> Result<Overrides> {
    parsed(app.store.config(DOCUMENT, true).await?.as_deref())
}

/// Changes the document. The change is decided again if another change was faster.
pub(crate) async fn change<T>(
    app: &App,
    decide: impl Fn(Overrides) -> Result<(Overrides, T), Refusal>,
) -> Result<T> {
    for _ in 0..MAX_CHANGE_TRIES {
        let before = app.store.config(DOCUMENT, true).await?;
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

/// Parses the stored document.
pub(crate) fn parsed(json: Option<&str>) -> Result<Overrides> {
    let Some(json) = json else { return Ok(Overrides::new()) };
    serde_json::from_str(json).map_err(|source| AppError::Unreadable { what: "policies", source })
}
