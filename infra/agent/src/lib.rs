//! The reference worker: speaks the native contract, runs an engine.
//!
//! ```text
//! poll ──► job + bundle ──► engine ──► one more heartbeat ──► Telegram ──► complete | fail ──► poll …
//!                             └─ heartbeats beside it, a watchdog over both
//! ```
//!
//! **Invariants**
//! - Nothing is sent, to anybody, after the trust in the lease has ended: `leaseMs − 2 × heartbeat interval` after
//!   the *start* of the last heartbeat request that succeeded. The engine is stopped at that moment.
//! - A reply goes to Telegram only right after a heartbeat that was answered `held`.
//! - A reply whose sending has begun is sent to its end while the trust lasts, a shutdown or not.
//! - A reply that was delivered is not made and sent again by the same process: when its message is handed out once
//!   more, only `complete` is called, under the new lease.
//! - The data folder holds one conversation's files or nobody's. The engine begins when they are restored; a snapshot is
//!   made while no engine runs, before the conversation is let go and before the worker ends.
//! - The worker's token is in no log line and in no `Debug` output.
//!
//! **Failures**: a call that failed or whose answer was lost is repeated with the same lease for as long as the
//! trust lasts (the server recognises its own lease, so a repeated call changes nothing). A lease that was lost is
//! given up quietly: the server has long given the message to somebody else. A server that cannot be reached for
//! [`UNREACHABLE_EXIT`] ends the worker, so that no process is left behind.

mod api;
mod backoff;
mod bridge;
mod config;
mod delivered;
mod engine;
mod http;
mod job;
mod lease;
mod reply;
mod skills;
mod snapshot;
mod wire;
mod worker;

pub use config::{Config, ConfigError, EngineConfig};
pub use engine::openai::OpenAiConfig;
pub use skills::{BadManifest, SkillsConfig, SkillsError};
pub use snapshot::FilesError;
pub use worker::{AgentError, Exit, UNREACHABLE_EXIT, run};
