//! What can be wrong with a template, and where.

use std::fmt;

use crate::gateway::GatewayError;
use crate::stream::filter::PatternError;

/// A place in the template: a resource (or section) and the path of a property in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    resource: String,
    property: String,
}

impl Place {
    /// The resource, or the section, of this name.
    pub(super) fn resource(name: &str) -> Self {
        Self { resource: name.to_owned(), property: String::new() }
    }

    /// The property `name` of this place.
    pub(super) fn property(&self, name: impl fmt::Display) -> Self {
        let separator = if self.property.is_empty() { "" } else { "." };
        Self { resource: self.resource.clone(), property: format!("{}{separator}{name}", self.property) }
    }

    /// This place has this problem.
    pub(super) fn problem(&self, problem: Problem) -> TemplateError {
        TemplateError::At { place: self.clone(), problem }
    }

    /// Something of another kind was wanted here.
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

/// Why a template cannot be run on one machine.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The text is not YAML.
    #[error("the template is not YAML")]
    Yaml(#[source] serde_norway::Error),
    /// A parameter was given that the template does not declare.
    #[error("the template has no parameter `{0}`")]
    UnknownParameter(String),
    /// A place in the template cannot be understood.
    #[error("{place}: {problem}")]
    At {
        /// The resource and property.
        place: Place,
        /// What is wrong there.
        problem: Problem,
    },
}

/// What is wrong with one place of a template.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A required property is absent.
    #[error("it is required")]
    Missing,
    /// The value is of the wrong kind.
    #[error("expected {wanted}, found {found}")]
    Expected {
        /// What was wanted.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
    /// A number lies outside what AWS accepts.
    #[error("{found} is not within {min}..={max}")]
    OutOfRange {
        /// The value.
        found: u64,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// Nothing in the template has this name.
    #[error("unknown reference `{0}`")]
    UnknownReference(String),
    /// The resource exists, but nothing on one machine stands for it.
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
    /// The intrinsic function is not one that this reader evaluates.
    #[error("unsupported intrinsic function `{0}`")]
    UnsupportedIntrinsic(String),
    /// The intrinsic function has wrong arguments.
    #[error("`{intrinsic}`: {reason}")]
    BadIntrinsic {
        /// Its name.
        intrinsic: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No condition has this name.
    #[error("unknown condition `{0}`")]
    UnknownCondition(String),
    /// References or conditions go round in a circle, or deeper than any real template.
    #[error("nested deeper than {0} levels, or a circle")]
    TooDeep(usize),
    /// The parameter has neither a default nor a given value.
    #[error("the parameter `{0}` has no value")]
    NoParameterValue(String),
    /// The value is not among the parameter's `AllowedValues`.
    #[error("`{0}` is not an allowed value")]
    NotAllowed(String),
    /// A resource type that runs something on AWS and that nothing here runs: leaving it out silently would lie.
    #[error("resources of type {0} are not run locally")]
    UnsupportedResource(String),
    /// An event type of a function that nothing here delivers.
    #[error("events of type {0} are not delivered locally")]
    UnsupportedEvent(String),
    /// A schedule expression that is no `rate(…)`.
    #[error(
        "`{0}` is not a schedule that runs locally: write rate(n minutes), rate(n hours) or rate(n days)"
    )]
    UnsupportedSchedule(String),
    /// The stream of an event is none of the template's tables'.
    #[error("`{0}` is not the stream of a table in this template")]
    UnknownStream(String),
    /// The URI of an integration names no function of the template.
    #[error("`{0}` does not invoke a function of this template")]
    UnknownFunction(String),
    /// The table has no stream.
    #[error("the table `{0}` has no StreamSpecification")]
    NoStream(String),
    /// Text that must be JSON is not.
    #[error("it is not JSON: {0}")]
    Json(serde_json::Error),
    /// A filter pattern that cannot be compiled.
    #[error("it is no filter pattern: {0}")]
    Pattern(PatternError),
    /// A method or path that is not one.
    #[error("it is no route: {0}")]
    Route(GatewayError),
}
