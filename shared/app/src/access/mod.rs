//! Who may call: API keys and the scopes they open, workers' tokens, and links to files.

pub mod api_keys;
pub mod auth;
pub mod file_token;
pub mod worker_token;
