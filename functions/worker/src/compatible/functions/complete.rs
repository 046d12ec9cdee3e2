//! `workerComplete {workerId, messageId, leaseId}` → boolean

use std::collections::BTreeMap;

use af_app::AppError;
use af_app::worker::{complete, reply_under};
use af_store::conversation::CompleteWith;
use serde_json::{Value, json};

use super::{Held, done};
use crate::compatible::call::Call;

/// Whether the message is done. Its reply, which apps read, is what the caller has appended last; it ends without one
/// that cannot be read, because the person has it already and the caller does not ask again.
///
/// # Errors
/// When the table cannot answer.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let Some((message, lease)) = call.args::<Held>()?.ids() else { return Ok(json!(false)) };
    let reply = reply_under(&call.app, &lease).await.unwrap_or_else(|error| {
        tracing::error!(error = %error, message = %message, "a reply cannot be read; its message ends without it");
        None
    });
    let with =
        CompleteWith { history: Vec::new(), pending_tool_calls: None, metadata: BTreeMap::new(), reply };
    done(complete(&call.app, &call.worker, &message, &lease, with).await)
}
