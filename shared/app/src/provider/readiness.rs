//! Whether workers can run, and what is where they run.

use std::collections::BTreeSet;

use af_providers::Survey;
use serde::Serialize;
use utoipa::ToSchema;

use super::config;
use crate::{App, AppError};

/// Whether workers can run.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// The configured kind; null without a config.
    pub kind: Option<String>,
    /// The app that machines are in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_name: Option<String>,
    /// Whether a worker can be started.
    pub ready: bool,
    /// What is missing or failed, in words that name the fix.
    pub missing: Vec<String>,
    /// Machines of this deployment.
    pub machines: usize,
    /// Volumes of this deployment.
    pub volumes: usize,
    /// What works and yet may be a mistake: an app that others use, machines of several images.
    pub warnings: Vec<String>,
}

/// Looks at config, secrets and the provider. `reached_at` is the URL by which the caller has reached us.
///
/// # Errors
/// When the table or Secrets Manager cannot answer.
pub async fn readiness(app: &App, reached_at: Option<&str>) -> Result<Readiness, AppError> {
    let view = config::show(app).await?;
    let mut found = Readiness {
        kind: view.config.as_ref().map(|c| c.kind.clone()),
        app_name: view.config.and_then(|c| c.app_name),
        ready: false,
        missing: Vec::new(),
        machines: 0,
        volumes: 0,
        warnings: view.warnings,
    };
    match super::place(app).await? {
        Err(missing) => found.missing.push(missing),
        Ok(place) => match place.provider.survey(&place.scope).await {
            Ok(survey) => {
                found.machines = survey.machines.ours.len();
                found.volumes = survey.volumes.ours.len();
                found.warnings.extend(warnings(&survey));
            }
            Err(error) => found.missing.push(error.to_string()),
        },
    }
    if let Err(missing) = super::public_url(app, reached_at).await? {
        found.missing.push(missing);
    }
    found.ready = found.missing.is_empty();
    Ok(found)
}

/// What a survey shows that may be a mistake.
pub(super) fn warnings(survey: &Survey) -> Vec<String> {
    let mut warnings = Vec::new();
    let (machines, volumes) = (survey.machines.foreign, survey.volumes.foreign);
    if machines + volumes > 0 {
        warnings.push(format!(
            "the app is shared: {machines} machines and {volumes} volumes in it are not this deployment's, and are left alone"
        ));
    }
    let images: BTreeSet<&str> = survey.machines.ours.iter().map(|m| m.image.as_str()).collect();
    if images.len() > 1 {
        let images: Vec<&str> = images.into_iter().collect();
        warnings.push(format!("machines run {} images: {}", images.len(), images.join(", ")));
    }
    warnings
}
