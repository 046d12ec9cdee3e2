//! The ingress config: how updates of Telegram become messages.

use std::collections::BTreeMap;

use af_domain::ids::AgentKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::Id;

/// The ingress config of the deployment. An answer has every field, with its default where none is set.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressConfig {
    /// Which messages of a group are for the agent: `mention` (a mention of the bot, a reply to it, or a command; what
    /// else is said is context) or `all`.
    pub group_trigger: Option<String>,
    /// What has its own conversation in a group with topics: each `topic`, or the whole `chat`.
    pub conversation_per: Option<String>,
    /// Whether only bound users may write. Messages of others, and of groups, are not accepted then.
    pub require_binding: Option<bool>,
    /// The agent that gets the messages of a bot whose own agent does not exist.
    #[schema(value_type = Option<String>)]
    pub fallback_agent_key: Option<Id<AgentKey>>,
    /// Whether the binding of a person decides on agent and conversation. Otherwise each chat has its own conversation
    /// with the bot's agent.
    pub resolve_agent_key_from_binding: Option<bool>,
    /// Whether people see that the agent is at work: "Thinking…" in a private chat, "typing…" in a group.
    pub show_activity: Option<bool>,
    /// How many messages a chat may send per minute, in the long run.
    pub max_per_minute: Option<u64>,
    /// How many messages a chat may send at once, after a pause.
    pub max_burst: Option<u64>,
    /// The texts of notices.
    pub texts: Option<NoticeTextsBody>,
    /// The agent whose bot manages the bots that people create with `POST …/managed-bot`.
    #[schema(value_type = Option<String>)]
    pub manager_agent_key: Option<Id<AgentKey>>,
    /// Other values for the bots of single agents, by agent key.
    #[schema(value_type = Option<BTreeMap<String, AgentIngressConfig>>)]
    pub agents: Option<BTreeMap<Id<AgentKey>, AgentIngressConfig>>,
}

/// The ingress config of one agent's bot. A field that is left out has the value of the deployment.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentIngressConfig {
    /// `mention` or `all`.
    pub group_trigger: Option<String>,
    /// `topic` or `chat`.
    pub conversation_per: Option<String>,
    /// Whether only bound users may write.
    pub require_binding: Option<bool>,
    /// The agent that gets the messages of a bot whose own agent does not exist.
    #[schema(value_type = Option<String>)]
    pub fallback_agent_key: Option<Id<AgentKey>>,
    /// Whether the binding of a person decides on agent and conversation.
    pub resolve_agent_key_from_binding: Option<bool>,
    /// Whether people see that the agent is at work.
    pub show_activity: Option<bool>,
    /// How many messages a chat may send per minute, in the long run.
    pub max_per_minute: Option<u64>,
    /// How many messages a chat may send at once, after a pause.
    pub max_burst: Option<u64>,
    /// The texts of notices.
    pub texts: Option<NoticeTextsBody>,
}

/// The texts of notices, which are short messages of the system to people. Each has at most 500 characters. An empty text
/// sends no notice. `{agent}` in a text is replaced by the display name of the agent.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoticeTextsBody {
    /// The answer to `/start` of a person who is bound.
    pub greeting: Option<String>,
    /// The answer to `/start` of a person who is not bound.
    pub unknown_greeting: Option<String>,
    /// The answer to a pairing code that has bound the person.
    pub paired: Option<String>,
    /// The answer to a pairing code that is not valid.
    pub wrong_code: Option<String>,
    /// The answer to the wrong pairing code after which the person must wait.
    pub too_many_wrong_codes: Option<String>,
    /// The notice for a person who may not write without a binding, at most once an hour.
    pub unbound: Option<String>,
    /// The notice for a chat that sends too many messages, at most once a minute.
    pub rate_limit: Option<String>,
    /// The answer to `/stop` that has cancelled messages.
    pub stopped: Option<String>,
    /// The answer to `/stop` that has found nothing to cancel.
    pub nothing_to_stop: Option<String>,
    /// The notice for a person whose message has become a dead letter.
    pub failure: Option<String>,
    /// The notice for a person whose message goes on without a file, once for each message.
    pub missing_file: Option<String>,
}
