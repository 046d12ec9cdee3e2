//! `workerHydrationBundle {messageId, workspaceId}` → null or `{messageId, conversationId, agentKey, payload,
//! conversationState, telegramBotToken, bridgeRuntimeConfig}`

use af_api::worker::compatible::{HydrationBundle, HydrationBundleArgs};
use af_app::AppError;
use af_app::documents::WorkspaceWanted;
use af_app::worker::{Hydrated, hydrate};
use af_domain::ids::MessageId;
use secrecy::ExposeSecret;

use crate::compatible::call::Call;
use crate::conversions::{bridge, conversation_state};

/// Images require a token even where they do not use it. This one is not valid for any bot.
const NO_TOKEN: &str = "0:this-conversation-has-no-bot";

/// Everything that the caller needs for its message; `null` when it does not hold the message's lease.
///
/// # Errors
/// When the table or a secret cannot be read.
pub async fn run(mut call: Call) -> Result<Option<HydrationBundle>, AppError> {
    let args: HydrationBundleArgs = call.args()?;
    let Ok(message) = MessageId::parse(args.message_id) else { return Ok(None) };
    let Some(Hydrated { job, bundle }) =
        hydrate(&call.app, &call.worker, &message, None, &WorkspaceWanted::Nothing).await?
    else {
        return Ok(None);
    };
    let telegram_bot_token = match job.payload.provider.as_str() {
        "telegram" => bundle.telegram_bot_token.as_ref().map(|token| token.expose_secret().to_owned()),
        _ => Some(NO_TOKEN.to_owned()),
    };
    Ok(Some(HydrationBundle {
        message_id: message.to_string(),
        conversation_id: job.conversation.id.to_string(),
        agent_key: job.conversation.agent.to_string(),
        payload: call.payload(job.payload).await,
        conversation_state: conversation_state(bundle.context_history, bundle.pending_tool_calls),
        telegram_bot_token,
        bridge_runtime_config: bundle.bridge.map(bridge),
    }))
}
