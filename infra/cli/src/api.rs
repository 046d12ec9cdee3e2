//! The deployment's API, as this program calls it.

use std::time::Duration;

use af_local::DevFile;
use anyhow::Context;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::Target;

const NO_DEPLOYMENT: &str =
    "no deployment: give --url and --key (AGENT_FACTORY_API_URL, AGENT_FACTORY_API_KEY), or";

/// Longest wait for an answer: above the 30 s that an HTTP API gives its functions.
const TIMEOUT: Duration = Duration::from_secs(35);

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The deployment refused.
    #[error("{detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why, with the fields at fault.
        detail: String,
    },
    /// The deployment could not be reached.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
}

/// A deployment and a key to it.
pub struct Api {
    http: reqwest::Client,
    url: String,
    key: String,
    /// Whether results are printed as JSON.
    pub json: bool,
}

impl Api {
    /// The deployment that the command line names, or the `dev` that runs on the data folder.
    pub fn of(target: &Target) -> anyhow::Result<Self> {
        let (url, key) = match (&target.url, &target.key) {
            (Some(url), Some(key)) => (url.trim_end_matches('/').to_owned(), key.clone()),
            _ => {
                let dev = DevFile::read(&target.data_dir).context(NO_DEPLOYMENT)?;
                (dev.url, dev.admin_key)
            }
        };
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { http, url, key, json: target.json })
    }

    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value, ApiError> {
        self.call(Method::DELETE, path, None).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let unreachable = |source: reqwest::Error| ApiError::Unreachable { url: self.url.clone(), source };
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let text = answer.text().await.map_err(unreachable)?;
        let value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() { Ok(value) } else { Err(refused(&self.url, status, &value)) }
    }
}

/// What a deployment refused with a problem+json; or somebody before it, such as a gateway, without one.
fn refused(url: &str, status: StatusCode, problem: &Value) -> ApiError {
    let detail = problem["detail"].as_str().map_or_else(
        || format!("{url} answered {status} without a reason: is this the deployment's public URL?"),
        str::to_owned,
    );
    let fields = problem["errors"].as_array().into_iter().flatten();
    let fields: Vec<_> = fields.filter_map(|e| e["pointer"].as_str()).collect();
    let at = if fields.is_empty() { String::new() } else { format!(" (at {})", fields.join(", ")) };
    ApiError::Refused { status: status.as_u16(), detail: format!("{detail}{at}") }
}

/// A path segment, percent-encoded.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A field of an answer as text; a dash when there is none.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
