//! Where workers run: the provider config, the place it makes, and what an operator does there.

pub mod cleanup;
pub mod config;
pub(crate) mod deadline;
pub mod fly_token;
pub mod readiness;
pub mod volume;

use std::collections::BTreeMap;
use std::sync::Arc;

use af_domain::refusal::{Code, Refusal};
use af_domain::time::Millis;
use af_domain::worker::Worker;
use af_providers::{Guest, Provider, ProviderError, ProviderKind, Scope};

use crate::{App, AppError};

pub use config::{GuestConfig, ProviderConfig, configure};

/// Size of a volume in GB, unless the config says otherwise.
const VOLUME_SIZE_GB: u32 = 1;

/// A usable provider, and how it is used.
pub(crate) struct ProviderTarget {
    pub provider: Arc<dyn Provider>,
    pub scope: Scope,
    pub image: String,
    pub region: String,
    pub guest: Option<Guest>,
    pub volume_size_gb: u32,
    pub volume_path: String,
    pub env: BTreeMap<String, String>,
}

impl ProviderTarget {
    /// The provider that runs `worker`, and where: the configured one, and its app, may be others by now.
    ///
    /// # Errors
    /// When this function cannot use that provider.
    pub(crate) fn of_worker(
        &self,
        app: &App,
        worker: &Worker,
    ) -> Result<(Arc<dyn Provider>, Scope), ProviderError> {
        let app_name = worker.app().map(str::to_owned);
        if worker.provider == self.provider.kind().as_str() {
            let app_name = app_name.unwrap_or_else(|| self.scope.app_name.clone());
            return Ok((self.provider.clone(), Scope { app_name, ..self.scope.clone() }));
        }
        let kind: ProviderKind = worker.provider.parse().map_err(|_| ProviderError::Rejected {
            reason: format!("unknown provider {}", worker.provider),
        })?;
        let app_name = app_name.unwrap_or_else(|| kind.as_str().to_owned());
        Ok((app.providers.get(kind)?, Scope { app_name, ..self.scope.clone() }))
    }
}

/// The place where workers run, or what is missing, in words that name the fix.
pub(crate) async fn place(app: &App) -> Result<Result<ProviderTarget, String>, AppError> {
    let config = match config::stored(app).await {
        Ok(Some(config)) => config,
        Ok(None) => return Ok(Err("Missing providerConfig.kind.".to_owned())),
        // A later version's, say: it is as good as missing, and must stop nothing else.
        Err(AppError::Unreadable { source, .. }) => {
            return Ok(Err(format!("providerConfig cannot be read: {source}. Set it again.")));
        }
        Err(error) => return Err(error),
    };
    let kind: ProviderKind = match config.kind.parse() {
        Ok(kind) => kind,
        Err(unknown) => return Ok(Err(format!("providerConfig.kind: {unknown}"))),
    };
    let provider = match app.providers.get(kind) {
        Ok(provider) => provider,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if let Some(field) = config.missing(&provider.capabilities()) {
        return Ok(Err(format!("Missing providerConfig.{field}.")));
    }
    if let Err(error) = provider.ready().await {
        return Ok(Err(error.to_string()));
    }
    let volume_path = config.volume_path().to_owned();
    let scope = Scope {
        app_name: config.app_name.unwrap_or_else(|| kind.as_str().to_owned()),
        deployment_id: app.deployment_id.clone(),
        volume_name: config.volume_name.unwrap_or_default(),
    };
    Ok(Ok(ProviderTarget {
        volume_path,
        provider,
        scope,
        image: config.image.unwrap_or_default(),
        region: config.region.unwrap_or_default(),
        guest: config.guest.map(Into::into),
        volume_size_gb: config.volume_size_gb.unwrap_or(VOLUME_SIZE_GB),
        env: config.env,
    }))
}

/// The place, for an operator's call: what is missing is a refusal.
async fn usable(app: &App) -> Result<ProviderTarget, AppError> {
    place(app).await?.map_err(|missing| Refusal::new(Code::NotConfigured, missing).into())
}

/// What a provider answered, as an operator is told.
fn told(error: ProviderError) -> AppError {
    let detail = error.to_string();
    match error {
        ProviderError::NotFound { .. } => Refusal::new(Code::NotFound, detail),
        ProviderError::Precondition { .. } | ProviderError::Rejected { .. } => {
            Refusal::new(Code::Conflict, detail)
        }
        ProviderError::RateLimited { retry_after } => {
            let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
            Refusal::new(Code::RateLimited, detail).after(Millis::new(millis))
        }
        ProviderError::Auth { .. } | ProviderError::NoToken | ProviderError::NotAvailableYet { .. } => {
            Refusal::new(Code::NotConfigured, detail)
        }
        ProviderError::Unavailable { .. } => {
            tracing::warn!(%error, "the provider cannot be reached");
            Refusal::new(Code::Unavailable, detail)
        }
    }
    .into()
}
