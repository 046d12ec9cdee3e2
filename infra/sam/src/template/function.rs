//! `AWS::Serverless::Function`: its binary, environment, timeout, policies and events.

use std::collections::BTreeMap;

use af_domain::time::Millis;
use serde_json::Value;

use super::error::{Place, TemplateError};
use super::event::event;
use super::policy::statements;
use super::property::Properties;
use super::scope::{Resource, Scope};
use super::{EventDef, FunctionDef};

/// Lambda's default timeout.
const TIMEOUT_DEFAULT_SECS: u64 = 3;
/// The only supported mode of a function URL. Buffered answers belong to the HTTP API.
const STREAMED: &str = "RESPONSE_STREAM";
/// Lambda's longest timeout.
const TIMEOUT_MAX_SECS: u64 = 900;

pub(super) fn function<'t>(
    scope: &'t Scope<'t>,
    resource: &Resource<'t>,
) -> Result<FunctionDef, TemplateError> {
    let properties = Properties::of(scope, resource, "Properties")?;
    let globals = globals(scope)?;
    let timeout = match properties.integer("Timeout", 1..=TIMEOUT_MAX_SECS)? {
        Some(own) => own,
        None => globals.integer("Timeout", 1..=TIMEOUT_MAX_SECS)?.unwrap_or(TIMEOUT_DEFAULT_SECS),
    };
    let mut events = Vec::new();
    if let Some(declared) = properties.mapping("Events")? {
        for name in declared.names() {
            events.extend(event(scope, resource, name, &declared.required_mapping(name)?)?);
        }
    }
    if let Some(url) = properties.mapping("FunctionUrlConfig")? {
        let mode = url.required_text("InvokeMode")?;
        if mode != STREAMED {
            return Err(url.at("InvokeMode").expected(STREAMED, &mode.into()));
        }
        events.push(EventDef::FunctionUrl);
    }
    Ok(FunctionDef {
        logical_id: resource.logical_id.to_owned(),
        binary: binary(scope, resource)?,
        environment: environment(scope, resource, &properties, &globals)?,
        timeout: Millis::from_secs(timeout),
        statements: statements(&properties)?,
        events,
    })
}

fn globals<'t>(scope: &'t Scope<'t>) -> Result<Properties<'t>, TemplateError> {
    let place = Place::resource("Globals").property("Function");
    let entries = match scope.section("Globals")?.find(|(name, _)| *name == "Function") {
        None => Default::default(),
        Some((_, Value::Object(entries))) => entries.clone(),
        Some((_, other)) => return Err(place.expected("a mapping", other)),
    };
    Ok(Properties::new(scope, place, entries))
}

fn binary<'t>(scope: &'t Scope<'t>, resource: &Resource<'t>) -> Result<String, TemplateError> {
    let metadata = Properties::of(scope, resource, "Metadata")?;
    metadata.required_mapping("BuildProperties")?.required_text("Binary")
}

/// The variables of all functions, overridden by those of this function. As in SAM, both are joined before they are
/// resolved, so a variable that the function sets to `AWS::NoValue` is absent.
fn environment<'t>(
    scope: &'t Scope<'t>,
    resource: &Resource<'t>,
    properties: &Properties<'t>,
    globals: &Properties<'t>,
) -> Result<BTreeMap<String, String>, TemplateError> {
    let mut joined = serde_json::Map::new();
    for declared in [globals, properties] {
        if let Some(environment) = declared.mapping("Environment")?
            && let Some(variables) = environment.mapping("Variables")?
        {
            joined.extend(variables.into_entries());
        }
    }
    let variables = Properties::new(scope, resource.place().property("Environment.Variables"), joined);
    let mut environment = BTreeMap::new();
    for name in variables.names() {
        if let Some(value) = variables.text(name)? {
            environment.insert(name.to_owned(), value);
        }
    }
    Ok(environment)
}
