//! Parity of `infra/template.yaml` with the functions and with what they may know and do.
//!
//! The linters judge the template's form; these tests judge what it says. Each rule is a function from a template to
//! what is wrong with it, and beside it stand a test with a template that breaks it and one on the real template.

mod events;
mod functions;
mod policies;
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

impl Template {
    fn real() -> Self {
        Self::of(&fs::read_to_string(root().join("infra/template.yaml")).expect("the template is there"))
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

    /// The variables that a function is given, its own and those of all.
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
    Template::of(&format!(
        "Resources:\n  Worker:\n    Type: AWS::Serverless::Function\n    \
         Metadata: {{BuildProperties: {{Binary: worker}}}}\n    Properties: {properties}\n"
    ))
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
