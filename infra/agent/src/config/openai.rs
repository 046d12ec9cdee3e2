//! The configuration of the `openai` engine.

use secrecy::SecretString;

/// The language model that answers, and the URL of its API.
#[derive(Clone, Debug)]
pub struct OpenAiConfig {
    /// The API's base URL, such as `https://api.openai.com/v1` (`OPENAI_BASE_URL`).
    pub base_url: String,
    /// The model's name in that API (`OPENCLAW_AGENT_MODEL`, else `OPENAI_MODEL`).
    pub model: String,
    /// The API key (`OPENAI_API_KEY`); a self-hosted server may need none.
    pub api_key: Option<SecretString>,
}
