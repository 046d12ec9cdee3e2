//! `workerComplete {workerId, messageId, leaseId}` → boolean

use std::collections::BTreeMap;

use af_app::AppError;
use af_app::worker::{complete, reply_under};
use af_store::conversation::CompleteWith;
use serde_json::{Value, json};

use super::{Held, done};
use crate::compatible::call::Call;

/// Whether the message is done. Its reply, which apps read, is what the caller has appended last.
///
/// # Errors
/// When the table cannot answer.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let Some((message, lease)) = call.args::<Held>()?.ids() else { return Ok(json!(false)) };
    let with = CompleteWith {
        history: Vec::new(),
        pending_tool_calls: None,
        metadata: BTreeMap::new(),
        reply: reply_under(&call.app, &lease).await?,
    };
    done(complete(&call.app, &call.worker, &message, &lease, with).await)
}
