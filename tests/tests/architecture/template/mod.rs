//! Parity of `infra/template.yaml` with the functions, their variables and their permissions.
//!
//! The linters check the form of the template; these tests check its content. Each rule is a function from a template
//! to its faults. It has a test with a template that breaks it and a test with the real template.

mod cors;
mod deployment;
mod events;
mod expansion;
mod functions;
mod limits;
mod observability;
mod policies;
mod routes;
mod timeouts;

use std::collections::BTreeSet;
use std::fs;

use af_tests::workspace::root;
use serde_norway::{Mapping, Value};

struct Template(Value);

struct Function<'a> {
    id: &'a str,
    binary: &'a str,
    properties: &'a Value,
}

/// A route of the HTTP API.
struct Route<'a> {
    method: String,
    path: &'a str,
    /// The logical id in the URI of its integration.
    function: Option<&'a str>,
    operation: &'a Value,
}

impl Template {
    fn real() -> Self {
        Self::of(&Self::real_text())
    }

    fn real_text() -> String {
        fs::read_to_string(root().join("infra/template.yaml")).expect("the template is there")
    }

    /// The real template with one part of its text replaced.
    fn real_with(from: &str, to: &str) -> Self {
        let text = Self::real_text();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        Self::of(&text.replace(from, to))
    }

    fn of(text: &str) -> Self {
        Self(serde_norway::from_str(text).expect("the template is YAML"))
    }

    fn resources(&self) -> impl Iterator<Item = (&str, &Value)> {
        let resources = self.0["Resources"].as_mapping().expect("the template has resources");
        resources.iter().map(|(id, resource)| (id.as_str().expect("ids are text"), resource))
    }

    fn functions(&self) -> Vec<Function<'_>> {
        let functions =
            self.resources().filter(|(_, r)| r["Type"].as_str() == Some("AWS::Serverless::Function"));
        functions
            .map(|(id, resource)| Function {
                id,
                binary: resource["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap_or_default(),
                properties: &resource["Properties"],
            })
            .collect()
    }

    /// The integrations of the HTTP API, by name.
    fn integrations(&self) -> &Value {
        &self.http_api()["components"]["x-amazon-apigateway-integrations"]
    }

    fn routes(&self) -> Vec<Route<'_>> {
        let mut routes = Vec::new();
        for (path, operations) in self.http_api()["paths"].as_mapping().into_iter().flatten() {
            for (method, operation) in operations.as_mapping().into_iter().flatten() {
                routes.push(Route {
                    method: method.as_str().expect("a method is text").to_uppercase(),
                    path: path.as_str().expect("a path is text"),
                    function: self.function_of(operation),
                    operation,
                });
            }
        }
        routes
    }

    fn function_of(&self, operation: &Value) -> Option<&str> {
        let reference = operation["x-amazon-apigateway-integration"]["$ref"].as_str()?;
        let name = reference.strip_prefix("#/components/x-amazon-apigateway-integrations/")?;
        let Value::Tagged(uri) = &self.integrations()[name]["uri"] else { return None };
        let (_, function) = uri.value.as_str()?.split_once("functions/${")?;
        function.strip_suffix(".Arn}/invocations")
    }

    fn is_behind_http(&self, function: &Function<'_>) -> bool {
        self.routes().iter().any(|route| route.function == Some(function.id))
    }

    /// The OpenAPI document of the HTTP API; null when the template has none.
    fn http_api(&self) -> &Value {
        &self.0["Resources"]["HttpApi"]["Properties"]["DefinitionBody"]
    }

    /// The variables of a function: its own and the global ones.
    fn environment_of(&self, function: &Function<'_>) -> BTreeSet<String> {
        let all = &self.0["Globals"]["Function"]["Environment"]["Variables"];
        let own = &function.properties["Environment"]["Variables"];
        [all, own].into_iter().flat_map(keys).collect()
    }
}

impl Function<'_> {
    fn events(&self, of_type: &str) -> Vec<&Value> {
        let events = self.properties["Events"].as_mapping().into_iter().flat_map(Mapping::values);
        events.filter(|e| e["Type"].as_str() == Some(of_type)).map(|e| &e["Properties"]).collect()
    }
}

/// A template with one function, `properties` in flow style.
fn one_function(properties: &str) -> Template {
    Template::of(&one_function_text(properties))
}

/// The same with these paths of an HTTP API. `$Worker` in them is the integration of the function.
fn one_function_with_paths(properties: &str, paths: &str) -> Template {
    let reference = "{$ref: '#/components/x-amazon-apigateway-integrations/Worker'}";
    let paths = paths.replace("$Worker", &format!("{{x-amazon-apigateway-integration: {reference}}}"));
    let text = one_function_text(properties);
    Template::of(&format!(
        "{text}  HttpApi:\n    Type: AWS::Serverless::HttpApi\n    Properties: {{DefinitionBody: {{paths: {paths}, components: \
         {{x-amazon-apigateway-integrations: {{Worker: {{uri: !Sub 'functions/${{Worker.Arn}}/invocations'}}}}}}}}}}\n"
    ))
}

fn one_function_behind_http(properties: &str) -> Template {
    one_function_with_paths(properties, "{/a: {get: $Worker}}")
}

fn one_function_text(properties: &str) -> String {
    format!(
        "Resources:\n  Worker:\n    Type: AWS::Serverless::Function\n    \
         Metadata: {{BuildProperties: {{Binary: worker}}}}\n    Properties: {properties}\n"
    )
}

/// The path with `replacement` for each of its parameters.
fn without_parameters(path: &str, replacement: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { replacement } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn keys(value: &Value) -> Vec<String> {
    value
        .as_mapping()
        .into_iter()
        .flat_map(Mapping::keys)
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
