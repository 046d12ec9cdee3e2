//! Clearing an app of this deployment's machines and volumes: everything that carries our mark, whatever it does.
//! What carries no mark of ours is counted and left alone.

use af_domain::refusal::Refusal;
use af_domain::time::{Millis, Timestamp};
use af_providers::{MachineState, Provider, ProviderError, Scope, Survey, Teardown};
use futures::StreamExt;

use super::{readiness, told, usable};
use crate::{App, AppError};

/// Removals at the same time: enough to hide a provider's latency; its rate limits are kept by the provider.
const AT_ONCE_MAX: usize = 4;
/// Time after which no further removal begins: the API's limit is 29 s, and what is left is looked at once more.
const ENDS_AFTER: Millis = Millis::from_secs(15);
/// Failures that a report names; the rest are counted by what remains.
const ERRORS_MAX: usize = 20;

/// What a cleanup found and did.
#[derive(Debug)]
pub struct Cleanup {
    /// The app that was cleared.
    pub app_name: String,
    /// Machines.
    pub machines: Count,
    /// Volumes.
    pub volumes: Count,
    /// What was left alone, and why.
    pub warnings: Vec<String>,
    /// Removals that failed. Sent again, the call goes on with what remains.
    pub errors: Vec<String>,
}

/// How far a cleanup came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// What there was.
    pub found: usize,
    /// What there is no more.
    pub deleted: usize,
    /// What is still there.
    pub remaining: usize,
}

/// Removes the machines and then the volumes of this deployment from the app, and looks whether they are gone.
///
/// # Errors
/// Refused when `confirm` does not repeat the app's name, nothing is configured, or the provider cannot be asked.
pub async fn cleanup(app: &App, app_name: &str, confirm: &str) -> Result<Cleanup, AppError> {
    if confirm != app_name {
        let detail = "confirm must repeat appName: this removes machines and the files on their volumes";
        return Err(Refusal::field("/confirm", detail).into());
    }
    let place = usable(app).await?;
    let scope = Scope { app_name: app_name.to_owned(), ..place.scope.clone() };
    let provider = place.provider.as_ref();
    let deadline = app.now() + ENDS_AFTER;
    let before = provider.survey(&scope).await.map_err(told)?;
    tracing::warn!(app = app_name, machines = there(&before), "an operator clears the app");
    let mut errors = remove_machines(app, provider, &before, deadline).await;
    errors.extend(remove_volumes(app, provider, &before, deadline).await);
    errors.truncate(ERRORS_MAX);
    let after = provider.survey(&scope).await.map_err(told)?;
    let count =
        |found: usize, remaining: usize| Count { found, deleted: found.saturating_sub(remaining), remaining };
    Ok(Cleanup {
        app_name: app_name.to_owned(),
        machines: count(there(&before), there(&after)),
        volumes: count(before.volumes.ours.len(), after.volumes.ours.len()),
        warnings: readiness::warnings(&before),
        errors,
    })
}

/// Machines that the provider has not removed yet.
fn there(survey: &Survey) -> usize {
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
        .buffer_unordered(AT_ONCE_MAX)
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
        .buffer_unordered(AT_ONCE_MAX)
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
