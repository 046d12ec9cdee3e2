//! The files for `cargo lambda watch` beside `dev --no-functions`: the variables of all functions, and the routes of the
//! template.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use af_emulator_aws::{Credentials, REGION};
use af_sam::template::{EventDef, Template};
use serde_json::json;

use crate::functions::{streamed_paths, variables_of_all};

/// Where `cargo lambda watch` serves the functions: its default port, on loopback.
const ADDRESS: &str = "127.0.0.1";
const PORT: u16 = 9000;

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
        let public_url = format!("http://{ADDRESS}:{PORT}");
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
    let mut config =
        format!("[watch]\ninvoke_address = {ADDRESS:?}\ninvoke_port = {PORT}\n\n[watch.router]\n");
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
    use super::*;

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
