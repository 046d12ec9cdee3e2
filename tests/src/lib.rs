//! End to end, contract, simulation, costs, template parity and architecture rules.

pub mod bundle;
pub mod calls;
pub mod messages;
pub mod telegram;
pub mod workspace;
pub mod world;
