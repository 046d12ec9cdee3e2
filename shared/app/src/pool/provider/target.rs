//! The provider that the config names, ready to be used.

use std::sync::Arc;

use af_domain::worker::Worker;
use af_providers::{PoolConfig, PoolSettings, Provider, ProviderError, Scope};

use super::config;
use crate::settings::prerequisite::Prerequisite;
use crate::{App, AppError, Result};

/// A usable provider, and how it is used.
pub(crate) struct ProviderTarget {
    pub provider: Arc<dyn Provider>,
    pub scope: Scope,
    pub settings: PoolSettings,
}

/// The provider that has a worker's machine and volume, and their scope.
pub(crate) struct WorkerHome {
    pub provider: Arc<dyn Provider>,
    pub scope: Scope,
}

impl ProviderTarget {
    /// The provider that runs `worker`, and its scope. The config may name another provider or app by now.
    pub(crate) fn of_worker(&self, app: &App, worker: &Worker) -> Result<WorkerHome, ProviderError> {
        let app_name = worker.app().map(str::to_owned);
        if worker.provider == self.provider.kind().as_str() {
            let app_name = app_name.unwrap_or_else(|| self.scope.app_name.clone());
            let scope = Scope { app_name, ..self.scope.clone() };
            return Ok(WorkerHome { provider: self.provider.clone(), scope });
        }
        let provider = app.providers.get(&worker.provider)?;
        let app_name = app_name.unwrap_or_else(|| worker.provider.clone());
        Ok(WorkerHome { provider, scope: Scope { app_name, ..self.scope.clone() } })
    }
}

/// The configured provider, when everything that it needs is there.
pub(crate) async fn find_target(app: &App) -> Result<Prerequisite<ProviderTarget>> {
    let missing = |text: String| Ok(Prerequisite::Missing(text));
    let config = match config::stored(app).await {
        Ok(Some(config)) => config,
        Ok(None) => return missing("Missing providerConfig.kind.".to_owned()),
        // For example, a later version has written it. The rest of the run goes on as without a config.
        Err(AppError::Unreadable { source, .. }) => {
            return missing(format!("providerConfig cannot be read: {source}. Set it again."));
        }
        Err(error) => return Err(error),
    };
    let kind = config.kind().as_str();
    let provider = match app.providers.get(kind) {
        Ok(provider) => provider,
        Err(error) => return missing(error.to_string()),
    };
    if let Some(field) = config.missing_field() {
        return missing(config::missing_field_text(field));
    }
    if let Err(error) = provider.check_credentials().await {
        return missing(error.to_string());
    }
    let settings = config.settings();
    let scope = Scope {
        app_name: settings.app_name.clone().unwrap_or_else(|| kind.to_owned()),
        deployment_id: app.deployment_id.clone(),
        volume_name: settings.volume_name.clone(),
    };
    Ok(Prerequisite::Present(ProviderTarget { provider, scope, settings }))
}
