//! Agents: their profiles, the users bound to them, pairing, and the bridge to the tools of an app.

pub mod bindings;
pub mod bridge;
pub mod onboarding;
pub mod pairing;
pub mod profiles;
pub mod usage;
pub mod users;
