//! Errors as pages. A refusal shows its text; every other error is logged here, and the page shows only that it happened.

use af_app::AppError;
use af_domain::ids::InvalidId;
use af_domain::refusal::{Code, Refusal};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::html;

use crate::ui;

/// An error of a page.
#[derive(Debug)]
pub(crate) struct PageError {
    status: StatusCode,
    text: String,
}

impl From<Refusal> for PageError {
    fn from(refusal: Refusal) -> Self {
        Self { status: af_http::status(refusal.code), text: refusal.detail }
    }
}

impl From<InvalidId> for PageError {
    fn from(invalid: InvalidId) -> Self {
        Refusal::from(invalid).into()
    }
}

impl From<AppError> for PageError {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Refused(refusal) => refusal.into(),
            error => {
                tracing::error!(error = %af_http::Chain(&error), "a page failed");
                let text = "Something went wrong on our side. The log of the function console has the cause.";
                Self { status: StatusCode::INTERNAL_SERVER_ERROR, text: text.to_owned() }
            }
        }
    }
}

impl PageError {
    /// The refusal of a form whose session does not allow it.
    pub fn forbidden(text: &str) -> Self {
        Refusal::new(Code::Forbidden, text).into()
    }

    /// The refusal of a form that cannot be read.
    pub fn unreadable() -> Self {
        Refusal::new(Code::MalformedRequest, "This form cannot be read. Open its page again.").into()
    }

    /// The status of its answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The text for the operator.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = html! {
            p.error role="alert" { (self.text) }
            p { a href="/console" { "Back to the start" } }
        };
        (self.status, ui::bare_page(title, &body)).into_response()
    }
}
