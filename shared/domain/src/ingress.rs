//! Ingress: the rules by which the updates of a bot become messages.

use crate::ids::AgentKey;
use crate::named_enum;
use crate::notice::NoticeTexts;
use crate::time::{Millis, Timestamp};

const MINUTE_MS: u64 = 60_000;

named_enum! {
    /// Which messages of a group are for the agent.
    pub enum GroupTrigger {
        /// All of them.
        All = "all",
        /// A mention of the bot, a reply to one of its messages, and a command. What else is said is context.
        Mention = "mention",
    }
}

named_enum! {
    /// What has a conversation of its own in a forum, which is a group with topics.
    pub enum ConversationPer {
        /// The group.
        Chat = "chat",
        /// Each topic.
        Topic = "topic",
    }
}

/// How many messages a chat may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderLimit {
    /// Messages per minute, in the long run.
    pub per_minute: u64,
    /// Messages at once, after a pause.
    pub burst: u64,
}

impl SenderLimit {
    /// The time in which the allowance of one message comes back.
    pub fn interval(&self) -> Millis {
        Millis::new((MINUTE_MS / self.per_minute.max(1)).max(1))
    }

    /// The latest moment at which the allowance may be full again, so that another message is accepted at `now`.
    pub fn latest_full(&self, now: Timestamp) -> Timestamp {
        now + self.burst_time()
    }

    /// When a sender is accepted again, whose allowance is full at `full`.
    pub fn accepted_from(&self, full: Timestamp) -> Timestamp {
        Timestamp::from_millis(full.as_millis().saturating_sub(self.burst_time().as_millis()))
    }

    /// The time in which a used allowance comes back, except for one message.
    fn burst_time(&self) -> Millis {
        Millis::new(self.interval().as_millis().saturating_mul(self.burst.saturating_sub(1)))
    }
}

/// A sender that has used its allowance.
#[derive(Clone, Copy, Debug)]
pub struct LimitedSender {
    /// The first update of Telegram that was rejected.
    pub since_update: u64,
    /// When the next message is accepted.
    pub until: Timestamp,
    /// The limit that was in force.
    pub limit: SenderLimit,
}

impl LimitedSender {
    /// Whether `update` is rejected at `now`. An earlier update may belong to a message that was accepted, and another limit
    /// may accept it.
    pub fn is_limited(&self, update: u64, limit: SenderLimit, now: Timestamp) -> bool {
        update >= self.since_update && now < self.until && limit == self.limit
    }
}

/// The rules in force for the updates of one bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressRules {
    /// Which messages of a group are for the agent.
    pub group_trigger: GroupTrigger,
    /// What has a conversation of its own in a forum.
    pub conversation_per: ConversationPer,
    /// Whether only bound users may write. A group has no bound user.
    pub require_binding: bool,
    /// The agent that receives the messages of a bot whose own agent does not exist.
    pub fallback_agent: AgentKey,
    /// Whether the binding of a person decides on agent and conversation. Otherwise each chat has its own conversation
    /// with the bot's agent.
    pub resolve_agent_from_binding: bool,
    /// Whether people see that the agent is at work.
    pub show_activity: bool,
    /// How many messages a chat may send.
    pub limit: SenderLimit,
    /// The texts of notices.
    pub texts: NoticeTexts,
}

impl Default for IngressRules {
    fn default() -> Self {
        Self {
            group_trigger: GroupTrigger::Mention,
            conversation_per: ConversationPer::Topic,
            require_binding: false,
            fallback_agent: AgentKey::parse("default").expect("a word is an agent key"),
            resolve_agent_from_binding: true,
            show_activity: true,
            limit: SenderLimit { per_minute: 20, burst: 10 },
            texts: NoticeTexts::default(),
        }
    }
}
