//! The reference worker: it uses the native worker contract and runs an engine.
//!
//! ```text
//! poll ──► job + bundle ──► engine ──► complete | fail ──► poll …
//!                             └─ heartbeats at the same time, a watchdog over both
//! ```
//!
//! The worker never talks to the person: the deployment sends the reply that `complete` carries.
//!
//! **Invariants**
//! - The worker reports nothing after its trust in the lease has ended. The trust ends `leaseMs − 2 × heartbeat interval`
//!   after the *start* of the last heartbeat request that succeeded. The engine is stopped at that moment.
//! - A reply that was made is not made again by the same process. When the server hands out its message again, the worker
//!   only calls `complete`, under the new lease.
//! - The data folder holds the files of at most one conversation. The engine starts after they are restored. A snapshot is
//!   taken while no engine runs, before the conversation is released and before the worker ends.
//! - The worker's token is in no log line and in no `Debug` output.
//!
//! **Failures**: a call that failed, or whose answer was lost, is repeated with the same lease while the trust lasts. The
//! server recognises the lease, so a repeated call changes nothing. After a lost lease the worker gives up the message
//! and reports nothing, because the server has already handed out the message again. If the server cannot be reached for
//! [`UNREACHABLE_EXIT`], the worker ends, so that no orphan process remains.

mod api;
mod backoff;
mod bridge;
mod config;
mod documents;
mod engine;
mod http;
mod hydration;
mod job;
mod lease;
mod skills;
mod snapshot;
mod tree;
#[cfg(test)]
mod unprivileged;
mod unreported;
mod worker;

pub use config::{Config, ConfigError, EngineConfig, ModelRef, OpenAiConfig, OpenClawConfig, SkillsConfig};
pub use skills::{BadManifest, SkillsError};
pub use snapshot::FilesError;
pub use worker::{AgentError, Exit, UNREACHABLE_EXIT, run};
