//! `fly`: Fly Machines, through their HTTP API (<https://docs.machines.dev>).

mod api;
mod config;
mod limits;
mod marks;
mod provider;
mod wire;
mod wiring;

pub use api::FLY_TOKEN_REF;
pub use config::FlyConfig;
pub use provider::FlyProvider;
pub(crate) use wiring::from_env;

use crate::provider::ProviderKind;

impl ProviderKind {
    /// Fly Machines.
    pub const FLY: Self = Self::new("fly");
}
