//! Download links for files of the bucket, and a message's payload with a link for each attachment.

use af_api::messages::PayloadBody;
use af_api::worker::hydration::Bundle;
use af_app::access::file_token;
use af_app::files::media;
use af_app::settings::public_url;
use af_app::{App, AppError, worker};
use af_domain::ids::{DocumentPath, StorageId, WorkerId};
use af_domain::message::Payload;
use af_http::PublicUrl;

use crate::conversions;

/// A URL that answers a plain GET with the object, for a limited time and without a worker token. `restorer` is the worker
/// that restores its files with it.
///
/// # Errors
/// When no setting and no header says at which URL this API is reached.
pub async fn link(
    app: &App,
    url: &PublicUrl,
    object_key: &str,
    restorer: Option<&WorkerId>,
) -> Result<String, AppError> {
    let base = public_url::required(app, url.0.as_deref()).await?;
    Ok(format!("{base}/f/{}", file_token::mint(app, object_key, restorer).await?))
}

/// The hydration bundle of a claimed message, with a link for each document that does not fit into it. `payload` is the
/// message's payload with its links. A document whose link cannot be made has none, and the worker still gets its message.
pub async fn bundle_with_links(
    app: &App,
    url: &PublicUrl,
    job: &worker::bundle::Job,
    payload: PayloadBody,
    mut made: worker::bundle::Bundle,
) -> Bundle {
    let Some(workspace) = made.workspace.take() else {
        return conversions::bundle(job, payload, made, None);
    };
    let has_links =
        workspace.content.iter().any(|content| content.documents.iter().any(|d| d.text.is_none()));
    let base = if has_links { public_url::required(app, url.0.as_deref()).await.ok() } else { None };
    let message = &job.lease.entry.message;
    // Message ids and paths have no characters with a meaning in a query.
    let link = |path: &DocumentPath| {
        Some(format!("{}/v1/worker/documents?messageId={message}&path={path}", base.as_ref()?))
    };
    let workspace = conversions::workspace(workspace, link);
    conversions::bundle(job, payload, made, Some(workspace))
}

/// The payload for a worker. It has the attachments that were fetched: a ready one has a link, an expired one has none.
/// The message is already claimed at this point, so an attachment whose link cannot be made is handed out without it,
/// and the worker still gets its message.
pub async fn payload_with_links(app: &App, url: &PublicUrl, payload: Payload) -> PayloadBody {
    let mut body = PayloadBody::new(payload, app.now());
    body.attachments.retain(|attachment| attachment.storage_id.is_some());
    for attachment in body.attachments.iter_mut().filter(|attachment| attachment.status == "ready") {
        let Some(Ok(id)) = attachment.storage_id.clone().map(StorageId::parse) else { continue };
        match link(app, url, &media::object_key(&id), None).await {
            Ok(link) => attachment.download_url = Some(link),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, storage_id = id.as_str(), "an attachment has no download link");
            }
        }
    }
    body
}
