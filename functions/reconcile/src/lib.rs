//! Reconcile, on a schedule and on the table's stream. Every event starts the same run: observe everything, plan,
//! execute. A failed run is an error, so that the stream sends its batch again.

use af_app::pool::reconcile::{Reconciled, reconcile};
use af_app::{App, AppError, Boot, BootError};
use serde_json::{Value, json};

/// The function.
pub struct Reconcile {
    app: App,
}

/// Builds the function.
///
/// # Errors
/// `BootError` that names what the environment lacks.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<Reconcile, BootError> {
    Ok(Reconcile { app: App::from_boot(boot)? })
}

impl Reconcile {
    /// Handles a schedule event or a batch of stream records.
    ///
    /// # Errors
    /// When the table cannot be read or written.
    pub async fn handle(&self, _event: Value) -> Result<Value, AppError> {
        // Boxed: with the runtime around it the future would nest deeper than the compiler lays out.
        match Box::pin(reconcile(&self.app)).await? {
            Reconciled::Ran(report) => {
                for error in &report.errors {
                    tracing::warn!(error, "reconcile lacks something");
                }
                for warning in &report.warnings {
                    tracing::warn!(warning, "reconcile warns");
                }
                let done = report.actions.iter().filter(|a| a.outcome == "done").count();
                Ok(json!({"actions": report.actions.len(), "done": done, "unserved": report.unserved}))
            }
            Reconciled::LeftToAnother => Ok(json!({"leftToAnother": true})),
        }
    }
}
