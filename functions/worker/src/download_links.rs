//! Download links for files of the bucket, and a message's payload with a link for each attachment.

use af_api::messages::PayloadBody;
use af_app::access::file_token;
use af_app::files::media;
use af_app::settings::public_url;
use af_app::{App, AppError};
use af_domain::ids::StorageId;
use af_domain::message::Payload;
use af_http::PublicUrl;

/// A URL that answers a plain GET with the object, for a limited time and without a worker token.
///
/// # Errors
/// When no setting and no header says at which URL this API is reached.
pub async fn link(app: &App, url: &PublicUrl, object_key: &str) -> Result<String, AppError> {
    let base = public_url::required(app, url.0.as_deref()).await?;
    Ok(format!("{base}/f/{}", file_token::mint(app, object_key).await?))
}

/// The payload for a worker. It has the attachments that were fetched: a ready one has a link, an expired one has none.
/// The message is already claimed at this point, so an attachment whose link cannot be made is handed out without it,
/// and the worker still gets its message.
pub async fn payload_with_links(app: &App, url: &PublicUrl, payload: Payload) -> PayloadBody {
    let mut body = PayloadBody::new(payload, app.now());
    body.attachments.retain(|attachment| attachment.storage_id.is_some());
    for attachment in body.attachments.iter_mut().filter(|attachment| attachment.status == "ready") {
        let Some(Ok(id)) = attachment.storage_id.clone().map(StorageId::parse) else { continue };
        match link(app, url, &media::object_key(&id)).await {
            Ok(link) => attachment.download_url = Some(link),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, storage_id = id.as_str(), "an attachment has no download link");
            }
        }
    }
    body
}
