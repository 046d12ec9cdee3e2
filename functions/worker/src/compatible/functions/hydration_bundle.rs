//! `workerHydrationBundle {messageId, workspaceId}` → null or `{messageId, conversationId, agentKey, payload,
//! conversationState, telegramBotToken, bridgeRuntimeConfig}`

use af_app::AppError;
use af_app::worker::bundle::Bundle;
use af_app::worker::{Hydrated, hydrate};
use af_domain::ids::MessageId;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::compatible::call::Call;
use crate::wire::{BridgeBody, EntryBody, ToolCallBody};

/// Images want a token even where they send nothing by it; this one opens nothing.
const NO_TOKEN: &str = "0:this-conversation-has-no-bot";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    message_id: String,
}

/// What the caller needs for its message; `null` when it does not hold the message's lease.
///
/// # Errors
/// When the table or a secret cannot be read.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let args: Args = call.args()?;
    let Ok(message) = MessageId::parse(args.message_id) else { return Ok(Value::Null) };
    let Some(Hydrated { job, bundle }) = hydrate(&call.app, &call.worker, &message, None).await? else {
        return Ok(Value::Null);
    };
    let token = match job.payload.provider.as_str() {
        "telegram" => bundle.telegram_bot_token.as_ref().map(|token| token.expose_secret().to_owned()),
        _ => Some(NO_TOKEN.to_owned()),
    };
    let Bundle { context_history, pending_tool_calls, bridge, .. } = bundle;
    Ok(json!({
        "messageId": message.as_str(),
        "conversationId": job.conversation.id.as_str(),
        "agentKey": job.conversation.agent.as_str(),
        "payload": call.payload(job.payload).await,
        "conversationState": {
            "contextHistory": context_history.into_iter().map(EntryBody::from).collect::<Vec<_>>(),
            "pendingToolCalls": pending_tool_calls.into_iter().map(ToolCallBody::from).collect::<Vec<_>>(),
        },
        "telegramBotToken": token,
        "bridgeRuntimeConfig": bridge.map(BridgeBody::from),
    }))
}
