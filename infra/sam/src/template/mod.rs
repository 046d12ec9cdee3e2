//! `infra/template.yaml` as a value: its tables, buckets and functions with their events. All parameters, conditions
//! and intrinsic functions in them are resolved.
//!
//! The local stack runs exactly this, so resources that are not in the template do not exist in it. Only the
//! properties below are interpreted; alarms and dashboards are not evaluated. A resource that runs on AWS
//! but cannot run in the local stack is an error, and so is an invalid value in an interpreted place. The error names
//! the place.
//!
//! | resource | interpreted |
//! |---|---|
//! | `AWS::DynamoDB::Table` | name, keys, indexes, billing, stream, time to live |
//! | `AWS::S3::Bucket` | name |
//! | `AWS::Serverless::Function` | binary, environment and timeout (own and of `Globals`), policies, events, URL with `RESPONSE_STREAM` |
//! | events | `Schedule`, `ScheduleV2`, `DynamoDB` |
//! | `AWS::Serverless::HttpApi` | the paths, integrations and CORS rules of `DefinitionBody` |

use std::collections::BTreeMap;

use af_domain::time::Millis;
use serde_json::Value;

mod error;
mod event;
mod function;
mod http_api;
mod intrinsic;
mod policy;
mod property;
mod scope;
mod table;
mod yaml;

pub use error::{Place, TemplateError};

use crate::cors::CorsDef;
use crate::gateway::RouteMethod;
use crate::schedule::ScheduleDef;
use crate::stream::Mapping;
use scope::Scope;

/// Resource types that run or store something on AWS and that the local stack does not support.
const UNSUPPORTED: [&str; 15] = [
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Route",
    "AWS::CloudFormation::Stack",
    "AWS::DynamoDB::GlobalTable",
    "AWS::Events::Rule",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Scheduler::Schedule",
    "AWS::Serverless::Api",
    "AWS::Serverless::Application",
    "AWS::Serverless::Connector",
    "AWS::Serverless::SimpleTable",
    "AWS::Serverless::StateMachine",
    "AWS::StepFunctions::StateMachine",
];

/// The interpreted content of a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Its tables.
    pub tables: Vec<TableDef>,
    /// The names of its buckets in S3.
    pub buckets: Vec<String>,
    /// Its functions.
    pub functions: Vec<FunctionDef>,
    /// The CORS rules of its HTTP API.
    pub cors: Option<CorsDef>,
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableDef {
    /// Its name in DynamoDB.
    pub name: String,
    /// The body of DynamoDB's CreateTable request.
    pub create_table: Value,
    /// The attribute that holds the moment an item expires, in seconds since the epoch.
    pub ttl_attribute: Option<String>,
}

/// A function.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionDef {
    /// Its name in the template.
    pub logical_id: String,
    /// The binary of the workspace from which it is built.
    pub binary: String,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
    /// The time limit of one invocation.
    pub timeout: Millis,
    /// The statements of its policies. SAM adds others, for its events and its log.
    pub statements: Vec<StatementDef>,
    /// Its events.
    pub events: Vec<EventDef>,
}

/// A statement of a policy, which allows actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementDef {
    /// The actions, such as `dynamodb:GetItem`.
    pub actions: Vec<String>,
    /// The ARNs of resources. They may contain `*` and `?`.
    pub resources: Vec<String>,
}

/// An event that calls a function.
#[derive(Clone, Debug, PartialEq)]
pub enum EventDef {
    /// A route that the HTTP API declares for the function.
    HttpApi {
        /// Its method.
        method: RouteMethod,
        /// Its path in API Gateway's syntax.
        path: String,
    },
    /// The URL of the function itself, whose answers are streamed.
    FunctionUrl,
    /// A schedule.
    Schedule(ScheduleDef),
    /// A table's stream. A mapping that the template disables is not listed at all.
    Stream(Mapping),
}

impl Template {
    /// Reads a template. `parameters` replace the defaults of its parameters.
    ///
    /// A parameter without a value is an error only if an interpreted property refers to it.
    pub fn parse(yaml: &str, parameters: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let document = yaml::read(yaml)?;
        let scope = Scope::new(&document, parameters)?;
        let mut template =
            Self { tables: Vec::new(), buckets: Vec::new(), functions: Vec::new(), cors: None };
        let mut routes = Vec::new();
        for resource in scope.resources()? {
            match resource.kind {
                "AWS::DynamoDB::Table" => template.tables.push(table::table(&scope, &resource)?),
                "AWS::S3::Bucket" => template.buckets.push(scope.name_of(&resource, &resource.place(), 0)?),
                "AWS::Serverless::Function" => {
                    template.functions.push(function::function(&scope, &resource)?)
                }
                "AWS::Serverless::HttpApi" => {
                    routes.extend(http_api::routes(&scope, &resource)?);
                    template.cors = http_api::cors(&scope, &resource)?;
                }
                kind if UNSUPPORTED.contains(&kind) => {
                    let unsupported = format!("resources of type {kind} are not run locally");
                    return Err(resource.place().problem(unsupported));
                }
                _ => {}
            }
        }
        for function in &mut template.functions {
            let own = routes.iter().filter(|route| route.function == function.logical_id);
            function.events.extend(own.map(|route| route.route.clone()));
        }
        Ok(template)
    }
}

#[cfg(test)]
mod tests;
