//! The keys of the ledger.

use af_domain::ids::{AgentKey, ConsumerUserId, ModelName};
use af_domain::push::Day;

use super::{Key, ONLY};

/// The partition of the rows of the deployment.
pub const LEDGER_OF_DEPLOYMENT: &str = "L#D";
/// The partition of the rows of models.
pub const LEDGER_OF_MODELS: &str = "L#M";
/// The partition of the rows of agents in the index of messages.
pub const LEDGER_OF_AGENTS: &str = "L#A";
/// The partition of the rows of users in the index of messages.
pub const LEDGER_OF_USERS: &str = "L#U";

/// What the deployment has used on a day.
pub fn ledger_of_deployment(day: Day) -> Key {
    Key::new(LEDGER_OF_DEPLOYMENT, day.to_string())
}

/// What a model was used for on a day.
pub fn ledger_of_model(model: &ModelName, day: Day) -> Key {
    Key::new(LEDGER_OF_MODELS, format!("{day}#{model}"))
}

/// What an agent has used on a day.
pub fn ledger_of_agent(agent: &AgentKey, day: Day) -> Key {
    Key::new(format!("{LEDGER_OF_AGENTS}#{agent}"), day.to_string())
}

/// What a user has used with an agent on a day.
pub fn ledger_of_user(user: &ConsumerUserId, agent: &AgentKey, day: Day) -> Key {
    Key::new(format!("{LEDGER_OF_USERS}#{user}"), format!("{day}#{agent}"))
}

/// Returns the partition of the rows of a user.
pub fn ledger_partition_of_user(user: &ConsumerUserId) -> String {
    format!("{LEDGER_OF_USERS}#{user}")
}

/// The mark of a batch of the stream, or of a part of it, that the ledger has counted.
pub fn ledger_batch(hash: &str) -> Key {
    Key::new(format!("LB#{hash}"), ONLY)
}
