//! The version of the queue: whether a list of it may have changed.

use af_domain::time::Millis;

use crate::{App, Result};

/// The longest time for which a version stays the same. What does not count as a change of a message, such as the state of a
/// worker, is seen after this time.
pub(crate) const LONGEST: Millis = Millis::from_secs(10);

/// Returns a text that changes when a message of the deployment changes its state, and every ten seconds. It takes one
/// request.
pub async fn version(app: &App) -> Result<String> {
    let counters = app.store.counters().await?;
    let period = app.now().as_millis() / LONGEST.as_millis();
    let as_of = counters.as_of.map(|at| at.as_millis()).unwrap_or_default();
    let counts =
        [counters.queued_ready, counters.queued_scheduled, counters.processing, counters.dead_letter];
    Ok(format!("{period}-{as_of}-{}", counts.map(|count| count.to_string()).join("-")))
}
