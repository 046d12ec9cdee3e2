//! What must be set up before workers can run.

use af_domain::refusal::{Code, Refusal};

use crate::Result;

/// Something that workers need: it is there, or a text names what is missing and how to fix it.
#[derive(Debug)]
pub(crate) enum Prerequisite<T> {
    /// It is there.
    Present(T),
    /// It is missing.
    Missing(String),
}

impl<T> Prerequisite<T> {
    /// The value, for a call that cannot be answered without it. If it is missing, the refusal contains the text.
    pub(crate) fn required(self) -> Result<T> {
        match self {
            Self::Present(value) => Ok(value),
            Self::Missing(text) => Err(Refusal::new(Code::NotConfigured, text).into()),
        }
    }

    /// The value. If it is missing, the text goes to `errors`.
    pub(crate) fn or_note(self, errors: &mut Vec<String>) -> Option<T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Missing(text) => {
                errors.push(text);
                None
            }
        }
    }
}
