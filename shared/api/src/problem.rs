//! Errors as callers see them: RFC 9457 problem details.

use af_domain::refusal::Code;
use serde::{Deserialize, Serialize};
use utoipa::openapi::Object;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};

/// The media type of a problem (RFC 9457, section 3).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request was not carried out (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `urn:agent-factory:problem:` and the code.
    pub r#type: String,
    /// The same text for every problem of a code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The cause and the fix, for people.
    pub detail: String,
    /// The cause, for programs: one of a closed list.
    #[schema(schema_with = codes)]
    pub code: String,
    /// The id under which the log has the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Fields at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// A field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where the field is: a JSON pointer into the body, or `/<name>` of a path or query parameter.
    pub pointer: String,
    /// What is wrong with it.
    pub message: String,
}

/// The header `Idempotency-Key`, as the OpenAPI document describes it.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyHeader {
    /// 1 to 255 visible ASCII characters. For a day, calls with the same key run once and get the same answer; a call with
    /// the same key and another body is refused. The key of a message is kept as long as the message.
    #[param(rename = "Idempotency-Key")]
    pub idempotency_key: Option<String>,
}

fn codes() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Code::ALL.map(Code::as_str))).build()
}
