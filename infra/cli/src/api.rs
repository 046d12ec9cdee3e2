//! The deployment's API, as this program calls it.

use std::time::Duration;

use af_api::problem::ProblemBody;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::profiles::Profile;
use crate::target::{Deployment, Target};
use crate::{input, output};

/// Longest wait for an answer: above the 30 s that an HTTP API gives its functions.
const TIMEOUT: Duration = Duration::from_secs(35);

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("{detail}")]
    Refused {
        status: u16,
        /// The cause, with the fields at fault.
        detail: String,
    },
    /// The deployment could not be reached.
    #[error("{url} cannot be reached")]
    Unreachable { url: String, source: reqwest::Error },
    /// The deployment's answer has another shape than this program expects.
    #[error("the answer of {url} cannot be read: is the deployment of another version?")]
    Unreadable { url: String, source: serde_json::Error },
}

/// An answer of the deployment.
#[derive(Debug)]
pub struct Answer<T> {
    /// The JSON as the deployment sent it, for `--json`.
    pub json: Value,
    /// The same, typed.
    pub body: T,
    /// Whether the command prints JSON.
    as_json: bool,
}

impl<T> Answer<T> {
    /// Prints the JSON of the answer if the command line asks for JSON. If not, `print` prints it for people.
    pub fn print(self, print: impl FnOnce(T)) {
        if self.as_json { output::json(&self.json) } else { print(self.body) }
    }
}

/// A deployment and a key to it.
pub struct Api {
    http: reqwest::Client,
    url: String,
    key: String,
    /// Where the URL and the key come from, for people.
    pub origin: String,
    /// Whether results are printed as JSON.
    pub json: bool,
    /// Whether things are deleted without a question.
    yes: bool,
}

impl Api {
    /// The deployment that the command line names.
    pub fn of(target: &Target) -> anyhow::Result<Self> {
        Self::new(target.deployment()?, target)
    }

    /// A deployment, with the other options of the command line.
    pub fn new(Deployment { profile, origin }: Deployment, target: &Target) -> anyhow::Result<Self> {
        let Profile { url, key } = profile;
        if let Some(host) = foreign_plain_host(&url) {
            output::warning(&format!(
                "http sends the key and all answers to {host} without encryption; use https"
            ));
        }
        // A redirect could lead the key and the body elsewhere.
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build()?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { http, url, key, origin, json: target.json, yes: target.yes })
    }

    /// The public URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks before `what` is deleted; see [`input::confirm`].
    pub fn confirm(&self, what: &str) -> anyhow::Result<()> {
        input::confirm(self.yes, input::Deed::Delete, what)
    }

    /// Asks before `what` is replaced; see [`input::confirm`].
    pub fn confirm_replacement(&self, what: &str) -> anyhow::Result<()> {
        input::confirm(self.yes, input::Deed::Replace, what)
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, ApiError> {
        self.call(self.request(Method::GET, path)).await
    }

    pub async fn find<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<Answer<T>, ApiError> {
        self.call(self.request(Method::GET, path).query(query)).await
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, ApiError> {
        self.call(self.request(Method::POST, path).json(body)).await
    }

    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, ApiError> {
        self.call(self.request(Method::PUT, path).json(body)).await
    }

    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, ApiError> {
        self.call(self.request(Method::PATCH, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<(), ApiError> {
        self.send(self.request(Method::DELETE, path)).await.map(drop)
    }

    /// Deletes something whose removal has an answer.
    pub async fn delete_for<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, ApiError> {
        self.call(self.request(Method::DELETE, path)).await
    }

    /// Calls any route, and returns the body of the answer as it is.
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        idempotency_key: Option<&str>,
    ) -> Result<String, ApiError> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        self.send(request).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<Answer<T>, ApiError> {
        let text = self.send(request).await?;
        let unreadable = |source| ApiError::Unreadable { url: self.url.clone(), source };
        let json: Value = serde_json::from_str(&text).map_err(unreadable)?;
        let body = T::deserialize(&json).map_err(unreadable)?;
        Ok(Answer { json, body, as_json: self.json })
    }

    /// The body of the answer, when the deployment carried the request out.
    async fn send(&self, request: RequestBuilder) -> Result<String, ApiError> {
        let unreachable = |source: reqwest::Error| ApiError::Unreachable { url: self.url.clone(), source };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let text = answer.text().await.map_err(unreachable)?;
        if status.is_success() { Ok(text) } else { Err(refused(&self.url, status, &text)) }
    }
}

/// The host of a URL without TLS, unless it is this machine.
fn foreign_plain_host(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "http")?;
    let host = url.host_str()?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    (!is_here).then(|| host.to_owned())
}

/// The refusal of a deployment. A gateway in front of it refuses without a problem document.
fn refused(url: &str, status: StatusCode, body: &str) -> ApiError {
    let detail = match serde_json::from_str::<ProblemBody>(body) {
        Ok(ProblemBody { detail, errors, .. }) => {
            let fields: Vec<_> = errors.iter().map(|e| e.pointer.as_str()).collect();
            if fields.is_empty() { detail } else { format!("{detail} (at {})", fields.join(", ")) }
        }
        Err(_) if status.is_redirection() => {
            format!("{url} answered {status}, and redirects are not followed: give the URL that it leads to")
        }
        Err(_) => format!("{url} answered {status} without a reason: is this the deployment's public URL?"),
    };
    ApiError::Refused { status: status.as_u16(), detail }
}

/// A path segment, percent-encoded.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::foreign_plain_host;

    #[test]
    fn http_to_a_foreign_host_warns_and_https_or_loopback_does_not() {
        for url in ["http://api.example", "HTTP://api.example:8787/x", "http://10.0.0.1", "http://[::2]:1"] {
            assert!(foreign_plain_host(url).is_some(), "{url}");
        }
        for url in ["https://api.example", "http://localhost:1", "http://127.0.0.1:8787", "http://[::1]:1"] {
            assert_eq!(foreign_plain_host(url), None, "{url}");
        }
    }
}
