//! The errors of a template, each with its place.

use std::fmt;

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
    pub(super) fn problem(&self, problem: impl Into<String>) -> TemplateError {
        TemplateError::At { place: self.clone(), problem: problem.into() }
    }

    /// The error that the value at this place has the wrong kind.
    pub(super) fn expected(&self, wanted: &str, found: &serde_json::Value) -> TemplateError {
        self.problem(format!("expected {wanted}, found {found}"))
    }

    /// The error that this reader does not evaluate the intrinsic function at this place.
    pub(super) fn unsupported_intrinsic(&self, name: impl fmt::Display) -> TemplateError {
        self.problem(format!("unsupported intrinsic function `{name}`"))
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
        problem: String,
    },
}
