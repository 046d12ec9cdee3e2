//! Access: API keys and their scopes, sessions of the console, user tokens, worker tokens, and links to files.

pub mod api_keys;
pub mod auth;
pub mod console_session;
pub mod file_token;
pub(crate) mod opening_secret_cache;
pub(crate) mod opening_secrets;
pub(crate) mod signed;
pub(crate) mod signing_keys;
pub mod user_token;
pub mod worker_token;
