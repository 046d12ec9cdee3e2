//! Where workers run: one trait, one folder for each provider.
//!
//! A provider creates, lists and removes **machines** and their **volumes**. Each machine runs one worker. The provider
//! holds no truth of its own about the pool: the worker's row is written before the first call to the provider. An
//! answer that is lost hides nothing for long, because every machine carries the id of its worker and [`Provider::list`]
//! finds it again.
//!
//! | Kind | Folder | Machines |
//! |---|---|---|
//! | `fly` | `fly/` | Fly Machines |
//! | `local` | `local/` | worker processes on this machine |
//!
//! # Add a provider
//!
//! A provider is one folder and one line. For a provider `acme`:
//!
//! 1. Create the folder `src/acme/` and declare it below (`mod acme;`). The folder owns everything that is specific to
//!    the provider:
//!    - `config.rs`: the stored config (`Serialize`, `Deserialize`, `deny_unknown_fields`) with its validation. Implement
//!      [`PoolConfig`]: which fields are required, which values are refused and with which pointer, what deserves a
//!      warning, and the [`PoolSettings`] that the pool reads.
//!    - `provider.rs`: the type that implements [`Provider`]. Every call must be safe to repeat. Override
//!      [`Provider::readiness`] when the provider can check more than its lists.
//!    - `wiring.rs`: `from_env`, which returns the provider when the environment has its settings, and `None`
//!      otherwise. It reads API tokens by the name of their secret from [`Ports::tokens`].
//!    - `mod.rs`: declares these files and adds the constant `ProviderKind::ACME`.
//! 2. Add one line to the list in `kinds.rs`: `Acme("acme", acme::AcmeConfig, acme::from_env),`. The list makes the variant of
//!    [`ProviderConfig`], and [`Providers::from_env`] uses it.
//! 3. Run the conformance suite on it: add the provider to `tests/tests/pool/providers/mod.rs`, which calls the suite once
//!    for each provider.
//! 4. Add the wire type of the config to `shared/api/src/provider.rs` and its conversion to
//!    `functions/admin-api/src/routes/provider_config/wire.rs`, so that the HTTP API accepts and shows it. The compiler
//!    names the places.
//!
//! CONTRIBUTING.md lists the other places that know the kinds.

mod checks;
mod config;
mod error;
mod fly;
mod kinds;
mod local;
mod machine;
mod ports;
mod provider;
mod readiness;
mod registry;

pub use config::{PoolConfig, PoolSettings};
pub use error::ProviderError;
pub use fly::{FLY_TOKEN_REF, FlyConfig, FlyProvider};
pub use kinds::ProviderConfig;
pub use local::{LocalConfig, LocalOptions, LocalProvider, MACHINE_MARK_ENV, WorkerKind};
pub use machine::{
    Guest, Inventory, Machine, MachineRef, MachineState, Scope, SpawnEnv, SpawnSpec, Survey, Volume,
    VolumeRef, VolumeSpec,
};
pub use ports::{Ports, TokenSource, WiringError};
pub use provider::{Provider, ProviderKind, StopOutcome, Teardown};
pub use readiness::{ProviderReadiness, mixed_images_warning, shared_app_warning, survey_warnings};
pub use registry::Providers;
