//! `api`: a call of any route.

use std::io;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use crate::api::Api;
use crate::{input, output};

/// A call of a route.
#[derive(Debug, Args)]
pub struct Call {
    /// The method: GET, POST, PUT, PATCH or DELETE
    #[arg(value_parser = method)]
    method: Method,
    /// The path with its query, as in /v1/agents?limit=5
    #[arg(value_parser = path)]
    path: String,
    /// The body: JSON, @FILE, or - for standard input; give a secret as a file or on standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    data: Option<String>,
    /// The idempotency key, with which a repetition of the call has no second effect
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Call {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        let body = self.data.as_deref().map(body).transpose()?;
        let key = self.idempotency_key.as_deref();
        let answer = api.raw(self.method, &self.path, body.as_ref(), key).await?;
        match serde_json::from_str(&answer) {
            Ok(json) => output::json(&json),
            Err(_) if answer.is_empty() => {}
            Err(_) => output::line(&answer),
        }
        Ok(())
    }
}

fn body(data: &str) -> anyhow::Result<Value> {
    let text = match data.strip_prefix('@') {
        Some(file) => input::read(Some(PathBuf::from(file)), "the body")?,
        None if data == "-" => io::read_to_string(io::stdin())?,
        None => data.to_owned(),
    };
    serde_json::from_str(&text).context("--data is not JSON")
}

fn method(text: &str) -> Result<Method, String> {
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let same = |method: &Method| method.as_str().eq_ignore_ascii_case(text);
    known.into_iter().find(same).ok_or_else(|| "use GET, POST, PUT, PATCH or DELETE".to_owned())
}

fn path(text: &str) -> Result<String, String> {
    // A text without the slash would continue the host of the deployment, and send the key elsewhere.
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("the path begins with /".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_a_method_and_a_path_of_the_deployment() {
        assert_eq!(method("get"), Ok(Method::GET));
        assert!(method("TRACE").is_err());
        assert!(path("/v1/agents").is_ok() && path("@evil.example/v1").is_err() && path("").is_err());
    }

    #[test]
    fn a_body_is_json_or_a_file_with_json() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("body.json");
        std::fs::write(&file, r#"{"a": 1}"#).unwrap();
        let from_file = body(&format!("@{}", file.display())).unwrap();
        assert_eq!((from_file, body("[2]").unwrap()), (serde_json::json!({"a": 1}), serde_json::json!([2])));
        assert!(body("{").is_err() && body("@/does/not/exist").is_err());
    }
}
