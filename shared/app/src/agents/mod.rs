//! Agents: their profiles, the users bound to them, and the bridge to the tools of an app.

pub mod bindings;
pub mod bridge;
pub mod profiles;
