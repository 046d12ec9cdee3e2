//! `cargo lambda watch` beside `dev --no-functions`: its files with the variables of all functions and the routes of the
//! template, and its functions as the streams and schedules of the stack call them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use af_domain::time::Millis;
use af_emulator_aws::{Credentials, REGION};
use af_sam::invoke::EventFunction;
use af_sam::template::{EventDef, FunctionDef, Template};
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::functions::{streamed_paths, variables_of_all};

/// Where `cargo lambda watch` serves the functions: its default port, on loopback.
const ADDRESS: &str = "127.0.0.1";
const PORT: u16 = 9000;
/// What an event source adds to the timeout of the function: the start of its process, after a build if it is not built.
const START_ALLOWANCE: Millis = Millis::from_secs(20);

/// The URL at which the routes of all functions are.
pub(crate) fn public_url() -> String {
    format!("http://{ADDRESS}:{PORT}")
}

/// The function for streams and schedules.
pub(crate) fn event_function(def: &FunctionDef) -> EventFunction {
    let url = format!("{}/2015-03-31/functions/{}/invocations", public_url(), def.binary);
    let timeout = Millis::new(def.timeout.as_millis() + START_ALLOWANCE.as_millis());
    let http = reqwest::Client::builder().no_proxy().build();
    EventFunction::new(&def.logical_id, timeout, move |event| {
        let (http, url) = (http.as_ref().cloned().map_err(ToString::to_string), url.clone());
        async move { invoke(&http.map_err(anyhow::Error::msg)?, &url, &event).await }
    })
}

async fn invoke(http: &reqwest::Client, url: &str, event: &Value) -> anyhow::Result<Value> {
    let response = http.post(url).json(event).send().await;
    let response =
        response.with_context(|| format!("`cargo lambda watch` does not answer at {ADDRESS}:{PORT}"))?;
    let (status, answer) = (response.status(), response.text().await?);
    ensure!(status.is_success(), "the function failed: {status} {answer}");
    serde_json::from_str(&answer).context("the answer is not JSON")
}

/// The content of the files.
#[derive(Clone, Debug)]
pub(crate) struct CargoLambda {
    /// The variables, one in a line.
    pub variables: String,
    /// The config of Cargo Lambda.
    pub config: String,
}

impl CargoLambda {
    /// The files for a stack with this template.
    pub fn of(template: &Template, aws_url: &str, aws_credentials: &Credentials) -> Self {
        let mut variables = variables_of_all(template);
        let public_url = public_url();
        let own = [
            ("PUBLIC_URL", public_url.as_str()),
            ("AWS_ENDPOINT_URL", aws_url),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", aws_credentials.access_key_id()),
            ("AWS_SECRET_ACCESS_KEY", aws_credentials.secret_access_key()),
        ];
        variables.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let lines =
            variables.iter().fold(String::new(), |lines, (name, value)| format!("{lines}{name}={value}\n"));
        Self { variables: lines, config: config(template) }
    }
}

/// The routes as a router of Cargo Lambda. JSON strings are also strings of TOML.
fn config(template: &Template) -> String {
    let mut routes: BTreeMap<&str, Vec<(String, &str)>> = BTreeMap::new();
    let streamed: Vec<_> = streamed_paths().collect();
    for function in &template.functions {
        for event in &function.events {
            match event {
                EventDef::HttpApi { method, path } => {
                    routes.entry(path).or_default().push((method.to_string(), &function.binary));
                }
                EventDef::FunctionUrl => {
                    for path in &streamed {
                        routes.entry(path).or_default().push(("GET".to_owned(), &function.binary));
                    }
                }
                EventDef::Schedule(_) | EventDef::Stream(_) => {}
            }
        }
    }
    let mut config = "[watch.router]\n".to_owned();
    for (path, functions) in routes {
        let targets: Vec<_> = functions
            .iter()
            .map(|(method, function)| {
                format!("{{ method = {}, function = {} }}", json!(method), json!(function))
            })
            .collect();
        let _ = writeln!(config, "{} = [{}]", json!(path), targets.join(", "));
    }
    config
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::post;
    use http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn an_answer_returns_and_a_failed_or_unreachable_function_is_an_error() {
        let router = Router::new()
            .route("/works", post(async |event: String| event))
            .route("/fails", post((StatusCode::INTERNAL_SERVER_ERROR, "no table")));
        let listener = tokio::net::TcpListener::bind((ADDRESS, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let event = json!({"Records": [1]});
        assert_eq!(invoke(&http, &format!("{url}/works"), &event).await.unwrap(), event);
        let failed = invoke(&http, &format!("{url}/fails"), &event).await.unwrap_err().to_string();
        assert!(failed.contains("500") && failed.contains("no table"), "{failed}");
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        // A new client, because the other one may keep its connection.
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let refused = invoke(&http, &format!("{url}/works"), &event).await.unwrap_err().to_string();
        assert!(refused.contains("`cargo lambda watch` does not answer"), "{refused}");
    }

    #[test]
    fn the_files_have_each_variable_and_each_route_of_the_template() {
        let yaml = include_str!("../../template.yaml");
        let template = Template::parse(yaml, &BTreeMap::new()).unwrap();
        let credentials = Credentials::new("id", "secret", None, None, "test");
        let files = CargoLambda::of(&template, "http://127.0.0.1:1", &credentials);
        let mut routes = 0;
        for function in &template.functions {
            for name in function.environment.keys() {
                let set = files.variables.lines().filter(|line| line.starts_with(&format!("{name}=")));
                assert_eq!(set.count(), 1, "{name}");
            }
            for event in &function.events {
                let EventDef::HttpApi { method, path } = event else { continue };
                let line =
                    files.config.lines().find(|line| line.starts_with(&format!("{path:?} = "))).unwrap();
                let target = format!("{{ method = \"{method}\", function = {:?} }}", function.binary);
                assert!(line.contains(&target), "{line}");
                routes += 1;
            }
        }
        assert!(routes > 100, "{routes}");
        assert!(files.config.contains("/stream\" = [{ method = \"GET\", function = \"stream\" }]"));
        assert!(files.variables.contains("PUBLIC_URL=http://127.0.0.1:9000\n"));
    }
}
