//! Pure rules of the system: ids, conversations, leases, workers, policies and the pool planner.
//!
//! Nothing here reads a clock, draws a random number, serialises or talks to anybody: the present time and
//! every random choice come in as parameters, and a decision goes out as a value.

pub mod agent;
pub mod attachment;
pub mod attempt;
pub mod bridge;
pub mod context;
pub mod conversation;
pub mod ids;
pub mod media;
pub mod message;
pub mod policy;
pub mod pool;
pub mod refusal;
pub mod skill;
pub mod snapshot;
pub mod time;
pub mod transcript;
pub mod upload;
pub mod worker;
