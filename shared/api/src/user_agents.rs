//! The agents of a user.

use af_domain::named_enum;
use af_domain::pairing::PairingStatus;
use af_domain::user_agent::{BindingState, UserAgent, UserAgentStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::pages::Limit;
use crate::usage::LedgerFigures;

/// Which agents of a user, and which page of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserAgentsQuery {
    /// Whether the page has agents with the status `disabled`, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include_disabled: bool,
    /// Agents on the page, 1 to 200.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// An agent of a user: one to which the user is or was bound, or for which the user has a pairing code.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserAgentBody {
    /// The user.
    pub consumer_user_id: String,
    /// The agent.
    pub agent_key: String,
    /// The name that people see.
    pub display_name: Option<String>,
    /// The user name of the agent's bot, without `@`.
    #[schema(example = "support_bot")]
    pub telegram_username: Option<String>,
    /// The version of the agent's profile. An agent whose profile was deleted has none.
    pub version: Option<String>,
    /// What the user has with the agent.
    #[schema(inline)]
    pub status: AgentStatus,
    /// The state of the newest binding of the user to the agent.
    #[schema(inline)]
    pub binding_status: Option<BindingStatus>,
    /// The status of the newest pairing code of the user for the agent, until one day after its end.
    #[schema(inline)]
    pub pairing_status: Option<CodeStatus>,
    /// The conversation of the user with the agent. It may have no messages yet.
    pub conversation_id: String,
    /// Whether the user has no active agent.
    pub can_create_new_agent: bool,
    /// Whether the user can end the binding to this agent.
    pub can_disable: bool,
    /// Whether the user can send messages to this agent.
    pub can_chat: bool,
    /// Whether the user can manage push jobs of this agent.
    pub can_manage_push_jobs: bool,
}

/// The agents of a user at a glance.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserAgentsOverview {
    /// One page of the agents, by key.
    pub agents: Vec<UserAgentBody>,
    /// Where the next page begins; none after the last.
    pub next_cursor: Option<String>,
    /// The agent to which the user is bound.
    pub active_agent_key: Option<String>,
    /// Whether the user has no active agent.
    pub can_create_new_agent: bool,
}

/// The figures of a user with an agent. Times are epoch ms.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageStats {
    /// Push jobs of the user for the agent.
    pub total_push_jobs: u64,
    /// Push jobs that are active.
    pub active_push_jobs: u64,
    /// Dispatches of all push jobs.
    pub total_dispatches: u64,
    /// When the newest dispatch was made.
    pub latest_dispatch_at: Option<u64>,
    /// Entries of the history.
    pub context_messages: u64,
    /// Messages that wait.
    pub queued_messages: u64,
    /// Dead letters.
    pub failed_messages: u64,
    /// What the last 30 days have used, with today, from the ledger.
    pub recent: LedgerFigures,
}

named_enum! {
    /// The status of an agent of a user: `active` when the user is bound to it, `failed` when the bound agent accepts no
    /// messages, `pairing` when a pairing code waits for its use, `disabled` when the binding has ended or the agent accepts
    /// no messages, otherwise `draft`.
    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum AgentStatus {
        /// The user is bound to the agent.
        Active = "active",
        /// The user is bound, and the agent accepts no messages.
        Failed = "failed",
        /// A pairing code waits for its use.
        Pairing = "pairing",
        /// The binding has ended, or the agent accepts no messages.
        Disabled = "disabled",
        /// The user is not bound yet.
        Draft = "draft",
    }
}

named_enum! {
    /// The state of a binding.
    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum BindingStatus {
        /// It is in force.
        Active = "active",
        /// It was revoked or replaced.
        Revoked = "revoked",
    }
}

named_enum! {
    /// The status of a pairing code.
    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum CodeStatus {
        /// It can be used.
        Pending = "pending",
        /// A person has used it.
        Used = "used",
        /// It has expired, or a newer code has replaced it.
        Expired = "expired",
    }
}

impl UserAgentBody {
    /// The agent as its user sees it. `conversation` is the id of their conversation.
    pub fn new(agent: UserAgent, conversation: String, can_create_new_agent: bool) -> Self {
        let status = agent.status();
        let is_active = status == UserAgentStatus::Active;
        let (display_name, username, version) = match agent.profile {
            Some(profile) => {
                (profile.display_name, profile.bot.map(|bot| bot.username), Some(profile.version))
            }
            None => (None, None, None),
        };
        Self {
            consumer_user_id: agent.user.to_string(),
            agent_key: agent.agent.to_string(),
            display_name,
            telegram_username: username,
            version,
            status: status.into(),
            binding_status: agent.binding.map(Into::into),
            pairing_status: agent.pairing.map(Into::into),
            conversation_id: conversation,
            can_create_new_agent,
            can_disable: is_active,
            can_chat: is_active,
            can_manage_push_jobs: is_active,
        }
    }
}

impl From<UserAgentStatus> for AgentStatus {
    fn from(status: UserAgentStatus) -> Self {
        match status {
            UserAgentStatus::Active => Self::Active,
            UserAgentStatus::Failed => Self::Failed,
            UserAgentStatus::Pairing => Self::Pairing,
            UserAgentStatus::Disabled => Self::Disabled,
            UserAgentStatus::Draft => Self::Draft,
        }
    }
}

impl From<BindingState> for BindingStatus {
    fn from(state: BindingState) -> Self {
        match state {
            BindingState::Active => Self::Active,
            BindingState::Revoked => Self::Revoked,
        }
    }
}

impl From<PairingStatus> for CodeStatus {
    fn from(status: PairingStatus) -> Self {
        match status {
            PairingStatus::Pending => Self::Pending,
            PairingStatus::Used => Self::Used,
            PairingStatus::Expired => Self::Expired,
        }
    }
}
