//! The errors of a template, each with its place.

use std::fmt;

use crate::gateway::GatewayError;
use crate::stream::filter::PatternError;

/// A place in the template: a resource or section, and the path of a property in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    resource: String,
    property: String,
}

impl Place {
    /// The resource or section with this name.
    pub(super) fn resource(name: &str) -> Self {
        Self { resource: name.to_owned(), property: String::new() }
    }

    /// The property `name` of this place.
    pub(super) fn property(&self, name: impl fmt::Display) -> Self {
        let separator = if self.property.is_empty() { "" } else { "." };
        Self { resource: self.resource.clone(), property: format!("{}{separator}{name}", self.property) }
    }

    /// The error that this place has this problem.
    pub(super) fn problem(&self, problem: Problem) -> TemplateError {
        TemplateError::At { place: self.clone(), problem }
    }

    /// The error that the value at this place has the wrong kind.
    pub(super) fn expected(&self, wanted: &'static str, found: &serde_json::Value) -> TemplateError {
        self.problem(Problem::Expected { wanted, found: found.to_string() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.property.is_empty() {
            return f.write_str(&self.resource);
        }
        write!(f, "{}: {}", self.resource, self.property)
    }
}

/// The reason why a template cannot be run on one machine.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The text is not YAML.
    #[error("the template is not YAML")]
    Yaml(#[source] serde_norway::Error),
    /// The template does not declare a given parameter.
    #[error("the template has no parameter `{0}`")]
    UnknownParameter(String),
    /// A place in the template has a problem.
    #[error("{place}: {problem}")]
    At {
        /// The resource and property.
        place: Place,
        /// The problem.
        problem: Problem,
    },
}

/// The problem of one place in a template.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A required property is absent.
    #[error("it is required")]
    Missing,
    /// The value is of the wrong kind.
    #[error("expected {wanted}, found {found}")]
    Expected {
        /// The expected kind.
        wanted: &'static str,
        /// The value.
        found: String,
    },
    /// A number is outside the range that AWS accepts.
    #[error("{found} is not within {min}..={max}")]
    OutOfRange {
        /// The value.
        found: u64,
        /// The lowest accepted value.
        min: u64,
        /// The highest accepted value.
        max: u64,
    },
    /// The template contains no such name.
    #[error("unknown reference `{0}`")]
    UnknownReference(String),
    /// The resource exists, but the local stack has no counterpart of it.
    #[error("`{name}` is a {kind}, which has no local value")]
    NoLocalValue {
        /// The resource's logical id.
        name: String,
        /// Its type.
        kind: String,
    },
    /// The resource's condition is false.
    #[error("`{0}` does not exist: its condition is false")]
    Inactive(String),
    /// The attribute of `Fn::GetAtt` has no local value.
    #[error("`{resource}` has no attribute `{attribute}` here")]
    UnknownAttribute {
        /// The resource's logical id.
        resource: String,
        /// The attribute.
        attribute: String,
    },
    /// This reader does not evaluate the intrinsic function.
    #[error("unsupported intrinsic function `{0}`")]
    UnsupportedIntrinsic(String),
    /// The intrinsic function has wrong arguments.
    #[error("`{intrinsic}`: {reason}")]
    BadIntrinsic {
        /// Its name.
        intrinsic: &'static str,
        /// The reason.
        reason: String,
    },
    /// The template has no condition with this name.
    #[error("unknown condition `{0}`")]
    UnknownCondition(String),
    /// References or conditions are circular, or nest deeper than any real template.
    #[error("nested deeper than {0} levels, or circular")]
    TooDeep(usize),
    /// The parameter has neither a default nor a given value.
    #[error("the parameter `{0}` has no value")]
    NoParameterValue(String),
    /// The value is not among the parameter's `AllowedValues`.
    #[error("`{0}` is not an allowed value")]
    NotAllowed(String),
    /// The resource type runs on AWS but not in the local stack. Ignoring it would hide the difference.
    #[error("resources of type {0} are not run locally")]
    UnsupportedResource(String),
    /// The local stack does not deliver events of this type.
    #[error("events of type {0} are not delivered locally")]
    UnsupportedEvent(String),
    /// The schedule expression is not a `rate(…)`.
    #[error(
        "`{0}` is not a schedule that runs locally: write rate(n minutes), rate(n hours) or rate(n days)"
    )]
    UnsupportedSchedule(String),
    /// The stream of an event belongs to no table of the template.
    #[error("`{0}` is not the stream of a table in this template")]
    UnknownStream(String),
    /// The URI of an integration names no function of the template.
    #[error("`{0}` does not invoke a function of this template")]
    UnknownFunction(String),
    /// The table has no stream.
    #[error("the table `{0}` has no StreamSpecification")]
    NoStream(String),
    /// The text is not JSON.
    #[error("it is not JSON: {0}")]
    Json(serde_json::Error),
    /// The filter pattern cannot be compiled.
    #[error("it is no filter pattern: {0}")]
    Pattern(PatternError),
    /// The method or path is invalid.
    #[error("it is no route: {0}")]
    Route(GatewayError),
}
