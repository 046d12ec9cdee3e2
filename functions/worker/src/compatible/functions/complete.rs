//! `workerComplete {workerId, messageId, leaseId}` → boolean

use std::collections::BTreeMap;

use af_api::worker::compatible::{LeaseIds, LeaseRef};
use af_app::AppError;
use af_app::worker::{DeliveredBy, complete, reply_under};
use af_domain::message::{Reply, ReplyFormat};
use af_store::conversation::CompleteWith;

use crate::compatible::call::Call;
use crate::compatible::outcome::is_done;

/// Whether the message is done. Its reply, which apps read, is the entry that the caller appended last. If that entry
/// cannot be read, the message is completed without a reply: the user already has the reply, and the caller does not
/// repeat the call.
pub async fn run(mut call: Call) -> Result<bool, AppError> {
    let Some(LeaseIds { message, lease }) = call.args::<LeaseRef>()?.ids() else { return Ok(false) };
    let reply = reply_under(&call.app, &lease).await.unwrap_or_else(|error| {
        tracing::error!(error = %error, message = %message, "the message is completed without its reply, which cannot be read");
        None
    });
    let with = CompleteWith {
        history: Vec::new(),
        pending_tool_calls: None,
        metadata: BTreeMap::new(),
        reply: reply.map(|text| Reply { text, format: ReplyFormat::Plain }),
        delivery: None,
        usage: None,
    };
    // Published images send the reply themselves, before they call this.
    let completed = complete(&call.app, &call.worker, &message, &lease, with, DeliveredBy::Worker);
    is_done(completed.await)
}
