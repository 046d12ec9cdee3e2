//! `local`: worker processes on this machine.

mod config;
mod home;
mod machines;
mod options;
mod process;
mod provider;
mod wiring;

pub use config::LocalConfig;
pub use options::{LocalOptions, WorkerKind};
pub use process::MACHINE_MARK_ENV;
pub use provider::LocalProvider;
pub(crate) use wiring::from_env;

use crate::provider::ProviderKind;

impl ProviderKind {
    /// Worker processes on this machine.
    pub const LOCAL: Self = Self::new("local");
}
