//! Whether workers can run: the config, the secrets and the provider.

use af_api::provider::Readiness;
use af_providers::PoolConfig;

use super::config::{self, ProviderConfigView};
use super::target::find_target;
use crate::settings::prerequisite::Prerequisite;
use crate::settings::public_url;
use crate::{App, AppError};

/// Checks the config, the secrets and the provider. `reached_at` is the URL by which the caller has reached us.
pub async fn readiness(app: &App, reached_at: Option<&str>) -> Result<Readiness, AppError> {
    let view = match config::show(app).await {
        // `find_target` reports it among the missing settings.
        Err(AppError::Unreadable { .. }) => ProviderConfigView::default(),
        view => view?,
    };
    let config = view.config.as_ref();
    let mut readiness = Readiness {
        kind: config.map(|c| c.kind().to_string()),
        app_name: config.and_then(|c| c.settings().app_name),
        ready: false,
        missing: Vec::new(),
        machines: 0,
        volumes: 0,
        warnings: view.warnings,
    };
    match find_target(app).await? {
        Prerequisite::Missing(text) => readiness.missing.push(text),
        Prerequisite::Present(target) => {
            let answer = target.provider.readiness(&target.scope, &target.settings).await;
            readiness.machines = answer.machines;
            readiness.volumes = answer.volumes;
            readiness.missing.extend(answer.missing);
            readiness.warnings.extend(answer.warnings);
        }
    }
    public_url::find(app, reached_at).await?.or_note(&mut readiness.missing);
    readiness.ready = readiness.missing.is_empty();
    Ok(readiness)
}
