//! Onboarding: the steps that connect a consumer user with an agent on Telegram.

use crate::managed_bot::BotLinkStatus;
use crate::named_enum;
use crate::pairing::PairingStatus;

named_enum! {
    /// The next step.
    pub enum NextAction {
        /// Configure or enable the agent.
        ConfigureAgent = "configure_agent",
        /// Import the token of the agent's bot.
        ImportToken = "import_token",
        /// The person opens the link for a managed bot and creates the bot.
        CreateBot = "create_bot",
        /// The deployment connects the bot that the person has created.
        ConnectBot = "connect_bot",
        /// Configure the webhook of the bot.
        ConfigureWebhook = "configure_webhook",
        /// Create a pairing code.
        CreatePairing = "create_pairing",
        /// The person sends the code to the bot.
        CompletePairing = "complete_pairing",
        /// The person can chat.
        Ready = "ready",
    }
}

/// How far the onboarding of a user with an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The agent exists and is enabled.
    pub agent_enabled: bool,
    /// The agent has a bot, and the token of the bot is stored.
    pub token_imported: bool,
    /// Telegram sends the updates of the bot to this deployment.
    pub webhook_ready: bool,
    /// The user is bound to the agent, with a Telegram user or chat of this bot.
    pub paired: bool,
    /// The status of the newest pairing code.
    pub pairing: Option<PairingStatus>,
    /// How far the managed bot is that the person creates with a link.
    pub managed_bot: Option<BotLinkStatus>,
}

impl Progress {
    /// The first step that is not done.
    pub fn next_action(self) -> NextAction {
        if !self.agent_enabled {
            NextAction::ConfigureAgent
        } else if self.managed_bot == Some(BotLinkStatus::Connecting) {
            NextAction::ConnectBot
        } else if !self.token_imported {
            match self.managed_bot {
                Some(BotLinkStatus::Pending) => NextAction::CreateBot,
                _ => NextAction::ImportToken,
            }
        } else if !self.webhook_ready {
            NextAction::ConfigureWebhook
        } else if self.paired {
            NextAction::Ready
        } else if self.pairing == Some(PairingStatus::Pending) {
            NextAction::CompletePairing
        } else {
            NextAction::CreatePairing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_action_is_the_first_step_that_is_not_done() {
        let done = Progress {
            agent_enabled: true,
            token_imported: true,
            webhook_ready: true,
            paired: true,
            pairing: Some(PairingStatus::Used),
            managed_bot: None,
        };
        let managed = |status| Progress { managed_bot: Some(status), token_imported: false, ..done };
        let unpaired = |pairing| Progress { paired: false, pairing, ..done };
        for (progress, next) in [
            (Progress { agent_enabled: false, ..done }, NextAction::ConfigureAgent),
            (Progress { token_imported: false, ..done }, NextAction::ImportToken),
            (Progress { webhook_ready: false, ..done }, NextAction::ConfigureWebhook),
            (unpaired(None), NextAction::CreatePairing),
            (unpaired(Some(PairingStatus::Expired)), NextAction::CreatePairing),
            (unpaired(Some(PairingStatus::Used)), NextAction::CreatePairing),
            (unpaired(Some(PairingStatus::Pending)), NextAction::CompletePairing),
            (done, NextAction::Ready),
            (managed(BotLinkStatus::Pending), NextAction::CreateBot),
            (managed(BotLinkStatus::Connecting), NextAction::ConnectBot),
            (managed(BotLinkStatus::Expired), NextAction::ImportToken),
            (managed(BotLinkStatus::Failed), NextAction::ImportToken),
            (Progress { managed_bot: Some(BotLinkStatus::Pending), ..done }, NextAction::Ready),
        ] {
            assert_eq!(progress.next_action(), next, "{progress:?}");
        }
    }
}
