//! `AWS::Serverless::HttpApi`: its routes, each with its function.
//!
//! The routes are the operations of `DefinitionBody`, an OpenAPI document. As on AWS, an operation refers to an
//! integration of the document, and the URI of the integration names the function.

use std::collections::BTreeMap;

use serde_json::Value;

use super::EventDef;
use super::error::TemplateError;
use super::property::Properties;
use super::scope::{Resource, Scope, invocation_uri, text};
use crate::cors::CorsDef;
use crate::gateway::{GatewayError, RouteMethod, check_path};

/// The key of an operation that serves all methods.
const ANY_METHOD: &str = "x-amazon-apigateway-any-method";
/// The key of the integration in an operation, and of all integrations in the components.
const INTEGRATION: &str = "x-amazon-apigateway-integration";
const INTEGRATIONS: &str = "x-amazon-apigateway-integrations";
/// The key of the CORS rules.
const CORS: &str = "x-amazon-apigateway-cors";
/// The only supported type of integration: the function gets the whole request.
const LAMBDA_PROXY: &str = "aws_proxy";

/// A route and the logical id of its function.
pub(super) struct FunctionRoute {
    pub(super) function: String,
    pub(super) route: EventDef,
}

pub(super) fn routes<'t>(
    scope: &'t Scope<'t>,
    resource: &Resource<'t>,
) -> Result<Vec<FunctionRoute>, TemplateError> {
    let properties = Properties::of(scope, resource, "Properties")?;
    let body = properties.required_mapping("DefinitionBody")?;
    let functions = functions_by_reference(scope, &body)?;
    let paths = body.required_mapping("paths")?;
    let mut routes = Vec::new();
    for path in paths.names() {
        let refuse = |refused: GatewayError| paths.at(path).problem(format!("it is no route: {refused}"));
        check_path(path).map_err(refuse)?;
        let operations = paths.required_mapping(path)?;
        for key in operations.names() {
            let method = method(key).map_err(refuse)?;
            let integration = operations.required_mapping(key)?.required_mapping(INTEGRATION)?;
            let reference = integration.required_text("$ref")?;
            let Some(function) = functions.get(&reference) else {
                return Err(integration.at("$ref").problem(format!("unknown reference `{reference}`")));
            };
            let route = EventDef::HttpApi { method, path: path.to_owned() };
            routes.push(FunctionRoute { function: function.clone(), route });
        }
    }
    Ok(routes)
}

/// The CORS rules.
pub(super) fn cors<'t>(
    scope: &'t Scope<'t>,
    resource: &Resource<'t>,
) -> Result<Option<CorsDef>, TemplateError> {
    let body = Properties::of(scope, resource, "Properties")?.required_mapping("DefinitionBody")?;
    let Some(rules) = body.mapping(CORS)? else { return Ok(None) };
    let texts = |name: &str| -> Result<Vec<String>, TemplateError> {
        let items = rules.list(name)?.unwrap_or_default();
        let item = |item: Value| text(&item).ok_or_else(|| rules.at(name).expected("a text", &item));
        items.into_iter().map(item).collect()
    };
    let cors = CorsDef {
        origins: texts("allowOrigins")?,
        methods: texts("allowMethods")?,
        headers: texts("allowHeaders")?,
        exposed: texts("exposeHeaders")?,
        max_age_secs: rules.integer("maxAge", 0..=86_400)?.unwrap_or_default(),
    };
    cors.layer().map(drop).map_err(|problem| body.at(CORS).problem(problem))?;
    Ok(Some(cors))
}

/// The function of each integration, by the reference that operations use.
fn functions_by_reference<'t>(
    scope: &'t Scope<'t>,
    body: &Properties<'t>,
) -> Result<BTreeMap<String, String>, TemplateError> {
    let mut functions = BTreeMap::new();
    if let Some(components) = body.mapping("components")?
        && let Some(integrations) = components.mapping(INTEGRATIONS)?
    {
        for name in integrations.names() {
            let function = function_of(scope, &integrations.required_mapping(name)?)?;
            functions.insert(format!("#/components/{INTEGRATIONS}/{name}"), function);
        }
    }
    Ok(functions)
}

/// The logical id of the function that an integration calls.
fn function_of<'t>(scope: &'t Scope<'t>, integration: &Properties<'t>) -> Result<String, TemplateError> {
    let kind = integration.required_text("type")?;
    if kind != LAMBDA_PROXY {
        return Err(integration.at("type").expected(LAMBDA_PROXY, &kind.into()));
    }
    let uri = integration.required_text("uri")?;
    let at = integration.at("uri");
    for function in scope.resources()?.iter().filter(|resource| resource.kind == "AWS::Serverless::Function")
    {
        if invocation_uri(&scope.attribute(function.logical_id, "Arn", &at, 0)?) == uri {
            return Ok(function.logical_id.to_owned());
        }
    }
    Err(at.problem(format!("`{uri}` does not invoke a function of this template")))
}

/// Parses a method, which OpenAPI writes in lower case.
fn method(key: &str) -> Result<RouteMethod, GatewayError> {
    match key.parse() {
        _ if key == ANY_METHOD => Ok(RouteMethod::Any),
        Ok(RouteMethod::One(method)) if method.as_str().to_ascii_lowercase() == key => {
            Ok(RouteMethod::One(method))
        }
        _ => Err(GatewayError::no_method(key)),
    }
}
