//! A call of a function by a known worker.

use af_api::id::Id;
use af_api::messages::PayloadBody;
use af_app::AppError;
use af_app::settings::public_url;
use af_app::worker::assignment;
use af_aws::objects::Objects;
use af_domain::ids::{ConversationId, WorkerId};
use af_domain::message::Payload;
use af_domain::refusal::Refusal;
use af_http::{PublicUrl, parse_value};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::token::PathToken;
use crate::SharedApp;
use crate::download_links;

/// A call of a function by a known worker.
pub struct Call {
    pub app: SharedApp,
    pub objects: Objects,
    pub worker: WorkerId,
    pub token: PathToken,
    /// The URL at which the caller reaches this API.
    pub url: PublicUrl,
    /// The arguments by name.
    pub args: Map<String, Value>,
}

impl Call {
    /// Checks that the arguments have a `workerId`. The dispatcher has already checked that it is the caller's own.
    ///
    /// # Errors
    /// A refusal when there is none.
    pub fn require_worker_id(&self) -> Result<(), Refusal> {
        let missing = || Refusal::field("/workerId", "workerId is needed");
        self.args.get("workerId").filter(|named| !named.is_null()).map(drop).ok_or_else(missing)
    }

    /// Takes the arguments as a `T`.
    ///
    /// # Errors
    /// A refusal that names the invalid argument.
    pub fn args<T: DeserializeOwned>(&mut self) -> Result<T, AppError> {
        Ok(parse_value(Value::Object(std::mem::take(&mut self.args)))?)
    }

    /// The conversation in the arguments, else the one that the caller is assigned to: an image that has claimed nothing
    /// yet sends no conversation.
    ///
    /// # Errors
    /// 401 when the caller has stopped.
    pub async fn conversation(
        &self,
        named: Option<Id<ConversationId>>,
    ) -> Result<Option<ConversationId>, AppError> {
        match named {
            Some(named) => Ok(Some(named.0)),
            None => Ok(assignment(&self.app, &self.worker).await?.map(|assignment| assignment.conversation)),
        }
    }

    /// A URL that answers a plain GET with an object of the bucket, for a limited time and without a worker token.
    ///
    /// # Errors
    /// When no setting and no header says at which URL this API is reached.
    pub async fn link(&self, object_key: &str) -> Result<String, AppError> {
        download_links::link(&self.app, &self.url, object_key, None).await
    }

    /// Such a URL, by which the caller restores its files.
    ///
    /// # Errors
    /// When no setting and no header says at which URL this API is reached.
    pub async fn restore_link(&self, object_key: &str) -> Result<String, AppError> {
        download_links::link(&self.app, &self.url, object_key, Some(&self.worker)).await
    }

    /// A URL for an upload by the caller.
    pub async fn upload_url(&self, path: &str) -> Result<String, AppError> {
        let base = public_url::required(&self.app, self.url.0.as_deref()).await?;
        Ok(format!("{base}/w/{}/{path}", self.token.expose()))
    }

    /// A message's payload, with links to its attachments.
    pub async fn payload(&self, payload: Payload) -> PayloadBody {
        download_links::payload_with_links(&self.app, &self.url, payload).await
    }
}
