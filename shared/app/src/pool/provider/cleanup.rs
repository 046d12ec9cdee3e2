//! An operator removes this deployment's machines and volumes from an app: everything that carries our mark, in any state.
//! Machines and volumes without our mark are counted and left alone.

use af_api::provider::{Cleanup, CleanupCount, CleanupRequest};
use af_domain::refusal::Refusal;
use af_domain::time::{Millis, Timestamp};
use af_providers::{MachineState, Provider, ProviderError, Survey, Teardown, survey_warnings};
use futures::StreamExt;

use super::refusal::refused;
use super::target::find_target;
use crate::{App, AppError};

/// The most removals at the same time: enough to hide the provider's latency. The provider keeps its own rate limits.
const MAX_CONCURRENT: usize = 4;
/// The time after which no further removal begins. The API's limit is 29 s, and the rest is for the second survey.
const REMOVAL_TIME: Millis = Millis::from_secs(15);
/// The most failures in a report. The others are part of the number that remains.
const MAX_ERRORS: usize = 20;

/// Removes the machines and then the volumes of this deployment from the app, and counts what remains. A dry run only
/// counts.
///
/// # Errors
/// Refused when the names in `request` are not that of the configured app, when nothing is configured, or when the
/// provider cannot answer.
pub async fn cleanup(app: &App, request: &CleanupRequest) -> Result<Cleanup, AppError> {
    let app_name = request.app_name.as_str();
    if request.confirm != app_name {
        let detail = "confirm must repeat appName: this removes machines and the files on their volumes";
        return Err(Refusal::field("/confirm", detail).into());
    }
    let target = find_target(app).await?.required()?;
    let scope = &target.scope;
    if app_name != scope.app_name {
        let detail =
            format!("the configured app is {}; a cleanup removes nothing of another app", scope.app_name);
        return Err(Refusal::field("/appName", detail).into());
    }
    let provider = target.provider.as_ref();
    let deadline = app.now() + REMOVAL_TIME;
    let before = provider.survey(scope).await.map_err(refused)?;
    let mut errors = Vec::new();
    if !request.dry_run {
        tracing::warn!(app = app_name, machines = existing(&before), "an operator clears the app");
        errors.extend(remove_machines(app, provider, &before, deadline).await);
        errors.extend(remove_volumes(app, provider, &before, deadline).await);
        errors.truncate(MAX_ERRORS);
    }
    let after =
        if request.dry_run { before.clone() } else { provider.survey(scope).await.map_err(refused)? };
    let count = |found: usize, remaining: usize| CleanupCount {
        found,
        deleted: found.saturating_sub(remaining),
        remaining,
    };
    Ok(Cleanup {
        app_name: app_name.to_owned(),
        machines: count(existing(&before), existing(&after)),
        volumes: count(before.volumes.ours.len(), after.volumes.ours.len()),
        warnings: survey_warnings(&before),
        errors,
    })
}

/// The number of machines that the provider has not removed yet.
fn existing(survey: &Survey) -> usize {
    survey.machines.ours.iter().filter(|m| m.state != MachineState::Gone).count()
}

async fn remove_machines(
    app: &App,
    provider: &dyn Provider,
    found: &Survey,
    deadline: Timestamp,
) -> Vec<String> {
    let machines = found.machines.ours.iter().filter(|m| m.state != MachineState::Gone);
    let removals: Vec<_> = machines
        .map(|machine| async move {
            if app.now() >= deadline {
                return None;
            }
            let removed = provider.terminate(&machine.machine, Teardown::Force).await;
            failed("machine", &machine.machine.machine_id, removed)
        })
        .collect();
    futures::stream::iter(removals)
        .buffer_unordered(MAX_CONCURRENT)
        .filter_map(std::future::ready)
        .collect()
        .await
}

async fn remove_volumes(
    app: &App,
    provider: &dyn Provider,
    found: &Survey,
    deadline: Timestamp,
) -> Vec<String> {
    let removals: Vec<_> = found
        .volumes
        .ours
        .iter()
        .map(|volume| async move {
            if app.now() >= deadline {
                return None;
            }
            let removed = provider.delete_volume(&volume.volume).await;
            failed("volume", &volume.volume.volume_id, removed)
        })
        .collect();
    futures::stream::iter(removals)
        .buffer_unordered(MAX_CONCURRENT)
        .filter_map(std::future::ready)
        .collect()
        .await
}

fn failed(what: &str, id: &str, answer: Result<(), ProviderError>) -> Option<String> {
    match answer {
        Ok(()) => None,
        Err(error) if error.is_not_found() => None,
        Err(error) => Some(format!("{what} {id}: {error}")),
    }
}
