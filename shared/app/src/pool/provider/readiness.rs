//! Whether workers can run, and what is where they run.

use std::collections::BTreeSet;

use af_providers::{Machine, MachineState, Survey};

use super::config::ProviderConfigView;
use super::{ProviderTarget, config};
use crate::settings::public_url;
use crate::{App, AppError};

/// Whether workers can run.
#[derive(Debug)]
pub struct Readiness {
    /// The configured kind; null without a config.
    pub kind: Option<String>,
    /// The app that machines are in.
    pub app_name: Option<String>,
    /// Whether a worker can be started.
    pub ready: bool,
    /// What is missing or failed, in words that name the fix.
    pub missing: Vec<String>,
    /// Machines of this deployment.
    pub machines: usize,
    /// Volumes of this deployment.
    pub volumes: usize,
    /// What works and yet may be a mistake: an app that others use or that belongs to another organization, machines of
    /// several images.
    pub warnings: Vec<String>,
}

/// Looks at config, secrets and the provider. `reached_at` is the URL by which the caller has reached us.
///
/// # Errors
/// When the table or Secrets Manager cannot answer.
pub async fn readiness(app: &App, reached_at: Option<&str>) -> Result<Readiness, AppError> {
    let view = match config::show(app).await {
        // Told below, with what is missing.
        Err(AppError::Unreadable { .. }) => ProviderConfigView::default(),
        view => view?,
    };
    let organization = view.config.as_ref().and_then(|c| c.organization_slug.clone());
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
        Ok(place) => look_around(&place, organization.as_deref(), &mut found).await,
    }
    if let Err(missing) = public_url::find(app, reached_at).await? {
        found.missing.push(missing);
    }
    found.ready = found.missing.is_empty();
    Ok(found)
}

/// Whether the provider answers, and what is there.
async fn look_around(place: &ProviderTarget, organization: Option<&str>, found: &mut Readiness) {
    let app = &place.scope.app_name;
    match place.provider.survey(&place.scope).await {
        Ok(survey) => {
            found.machines = survey.machines.ours.len();
            found.volumes = survey.volumes.ours.len();
            found.warnings.extend(warnings(&survey));
        }
        Err(error) if error.is_not_found() => {
            let whose = organization.map(|o| format!(" in organization {o}")).unwrap_or_default();
            found.missing.push(format!(
                "App {app} does not exist. Create it{whose}, or correct providerConfig.appName."
            ));
            return;
        }
        Err(error) => return found.missing.push(error.to_string()),
    }
    let Some(expected) = organization else { return };
    match place.provider.organization(&place.scope).await {
        Ok(Some(is)) if is != expected => found.warnings.push(format!(
            "app {app} belongs to organization {is}, and providerConfig.organizationSlug is {expected}"
        )),
        Ok(_) => {}
        // A token may open the app's machines and not the app itself.
        Err(error) => found.warnings.push(format!("the organization of app {app} cannot be told: {error}")),
    }
}

/// What a survey shows that may be a mistake.
pub(super) fn warnings(survey: &Survey) -> Vec<String> {
    let shared = shared(survey.machines.foreign, survey.volumes.foreign);
    shared.into_iter().chain(images(&survey.machines.ours)).collect()
}

/// Said of an app in which so many machines and volumes are not ours.
pub(crate) fn shared(machines: usize, volumes: usize) -> Option<String> {
    (machines + volumes > 0).then(|| {
        format!(
            "the app is shared: {machines} machines and {volumes} volumes in it are not this deployment's, and are left alone"
        )
    })
}

/// Said of machines that do not all run the same image.
pub(crate) fn images(machines: &[Machine]) -> Option<String> {
    let there = machines.iter().filter(|m| m.state != MachineState::Gone);
    let images: BTreeSet<&str> = there.map(|m| m.image.as_str()).collect();
    (images.len() > 1).then(|| {
        let names: Vec<&str> = images.iter().copied().collect();
        format!("machines run {} images: {}", images.len(), names.join(", "))
    })
}
