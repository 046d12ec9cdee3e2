//! Where workers run: one trait, one file a provider.
//!
//! A provider creates, lists and tears down **machines** (each runs one worker) and their **volumes**. It holds
//! no truth of its own about the pool: the worker's row is written before the first call here, and whatever a
//! lost answer hides is found again by [`Provider::list`], because every machine carries its worker's id.
//!
//! | kind | file | state |
//! |---|---|---|
//! | `local` | `local.rs` | worker processes on this machine |
//! | `fly` | `fly.rs` | Fly Machines |
//! | `ecs`, `runpod` | – | asked for by name, answered with [`ProviderError::NotAvailableYet`] |

mod error;
mod fly;
mod local;
mod machine;
mod provider;
mod registry;

pub use error::ProviderError;
pub use fly::{FlyProvider, Time, TokenSource, TokioTime};
pub use local::{LocalConfig, LocalProvider, MACHINE_MARK_ENV};
pub use machine::{
    Guest, Inventory, Machine, MachineRef, MachineState, Scope, SpawnEnv, SpawnSpec, Survey, Volume,
    VolumeRef, VolumeSpec,
};
pub use provider::{Capabilities, Provider, ProviderKind, StopOutcome, Teardown, UnknownProviderKind};
pub use registry::Providers;
