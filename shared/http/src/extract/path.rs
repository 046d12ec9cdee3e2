//! Ids in the path, percent-decoded once and checked.

use std::str::FromStr;

use af_domain::ids::{
    AgentKey, BroadcastId, CompanyId, ConsumerUserId, ConversationId, DocumentPath, InvalidId, MessageId,
    PairingCode, PushJobId, PushTemplateKey, SecretRef, SkillSlug, SkillVersion, SnapshotId, StorageId,
    TemplateKey, VolumeId, WorkerId,
};
use af_domain::outbox::Chat;
use af_domain::refusal::{Code, Refusal};
use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use tracing::Span;

use crate::problem::Problem;

/// Path parameters, which the request's span also records: one [`PathParam`], a tuple of them, each found by its name,
/// or a `String` for the only parameter of a route.
#[derive(Clone, Copy, Debug)]
pub struct ApiPath<T>(pub T);

/// The type of a path parameter with a fixed name. It is parsed from text that is percent-decoded already; the error names
/// the rule that the text breaks, and is 422 to the caller.
pub trait PathParam: FromStr<Err = InvalidId> {
    /// The parameter's name in routes (`agentKey`).
    const NAME: &'static str;
}

macro_rules! path_param {
    ($($id:ident = $name:literal),* $(,)?) => {
        $(impl PathParam for $id { const NAME: &'static str = $name; })*
    };
}

path_param! {
    AgentKey = "agentKey",
    BroadcastId = "broadcastId",
    Chat = "chat",
    CompanyId = "companyId",
    ConsumerUserId = "consumerUserId",
    ConversationId = "conversationId",
    DocumentPath = "path",
    MessageId = "messageId",
    PairingCode = "pairingCode",
    PushJobId = "pushJobId",
    PushTemplateKey = "templateKey",
    SecretRef = "secretRef",
    SkillSlug = "slug",
    SkillVersion = "version",
    SnapshotId = "snapshotId",
    StorageId = "storageId",
    TemplateKey = "templateKey",
    VolumeId = "volumeId",
    WorkerId = "workerId",
}

/// What [`ApiPath`] can hold.
pub trait PathParams: Sized {
    /// Takes the parameters out of the route's, as `(name, decoded text)`.
    ///
    /// # Errors
    /// A refusal for a value that its type does not take, or a route that lacks the parameter.
    fn from_params(params: &[(&str, &str)]) -> Result<Self, Refusal>;
}

impl<T: PathParam> PathParams for T {
    fn from_params(params: &[(&str, &str)]) -> Result<Self, Refusal> {
        let found = params.iter().find(|(name, _)| *name == T::NAME).ok_or_else(|| misrouted(T::NAME))?;
        Ok(found.1.parse::<T>()?)
    }
}

impl PathParams for String {
    fn from_params(params: &[(&str, &str)]) -> Result<Self, Refusal> {
        match params {
            [(_, text)] => Ok((*text).to_owned()),
            _ => Err(misrouted("only one")),
        }
    }
}

impl<A: PathParam, B: PathParam> PathParams for (A, B) {
    fn from_params(params: &[(&str, &str)]) -> Result<Self, Refusal> {
        Ok((A::from_params(params)?, B::from_params(params)?))
    }
}

impl<A: PathParam, B: PathParam, C: PathParam> PathParams for (A, B, C) {
    fn from_params(params: &[(&str, &str)]) -> Result<Self, Refusal> {
        Ok((A::from_params(params)?, B::from_params(params)?, C::from_params(params)?))
    }
}

/// The decoded path parameter of this name, before a handler takes it. `None` if the route has none, or the path is not UTF-8.
pub async fn path_parameter(parts: &mut Parts, name: &str) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    params.iter().find(|(known, _)| *known == name).map(|(_, text)| text.to_owned())
}

/// Parameters that the request's span records, and their fields there.
const LOGGED: [(&str, &str); 6] = [
    ("agentKey", "agent_key"),
    ("botIdentity", "bot_identity"),
    ("consumerUserId", "consumer_user_id"),
    ("conversationId", "conversation_id"),
    ("messageId", "message_id"),
    ("workerId", "worker_id"),
];

/// Records the parameters after they are checked, so that an invalid value never reaches the log.
fn log(params: &[(&str, &str)]) {
    for (name, text) in params {
        if let Some((_, field)) = LOGGED.iter().find(|(logged, _)| logged == name) {
            Span::current().record(*field, *text);
        }
    }
}

/// The route and its handler do not match. That is a bug, which the first request finds.
fn misrouted(name: &str) -> Refusal {
    tracing::error!(parameter = name, "the route has no such path parameter");
    Refusal::new(Code::Internal, "the route is miswired")
}

impl<S: Send + Sync, T: PathParams> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| {
            Refusal::new(Code::MalformedRequest, "the path must be UTF-8, percent-encoded once")
        })?;
        let params: Vec<(&str, &str)> = params.iter().collect();
        let taken = T::from_params(&params)?;
        log(&params);
        Ok(Self(taken))
    }
}
