//! The worker token in the path.

use std::str::FromStr;

use af_app::AppError;
use af_app::access::worker_token::{self, Signed};
use af_domain::ids::{InvalidId, WorkerId};
use af_http::PathParam;
use secrecy::{ExposeSecret, SecretString};

use crate::SharedApp;

/// A worker token from the path. Redacted in `Debug`.
#[derive(Clone, Debug)]
pub struct PathToken(SecretString);

impl PathParam for PathToken {
    const NAME: &'static str = "token";
}

impl FromStr for PathToken {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Ok(Self(text.into()))
    }
}

impl PathToken {
    /// The worker that the token was made for.
    ///
    /// # Errors
    /// 401 when this deployment did not sign the token, or when it has expired.
    pub async fn worker(&self, app: &SharedApp) -> Result<WorkerId, AppError> {
        worker_token::verify(app, self.0.expose_secret()).await
    }

    /// The worker that the token was made for, and whether the token has expired.
    ///
    /// # Errors
    /// 401 when this deployment did not sign the token.
    pub async fn examine(&self, app: &SharedApp) -> Result<Signed, AppError> {
        worker_token::examine(app, self.0.expose_secret()).await
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}
