//! A message's payload as it is handed to a worker: with links to the files that came with it.

use af_app::access::file_token;
use af_app::files::media;
use af_app::settings::public_url;
use af_app::wire::PayloadBody;
use af_app::{App, AppError};
use af_domain::ids::StorageId;
use af_domain::message::Payload;
use af_http::PublicUrl;

/// Where a file of the bucket is downloaded, for as long as the link is good.
pub async fn link(app: &App, url: &PublicUrl, object_key: &str) -> Result<String, AppError> {
    let base = public_url::required(app, url.0.as_deref()).await?;
    Ok(format!("{base}/f/{}", file_token::mint(app, object_key).await?))
}

/// The payload with the attachments that were fetched: those that lie in the bucket, each with a link, and those whose
/// time is over. The message is claimed by then, so that a link which cannot be made is left out and keeps nobody from it.
pub async fn handed_out(app: &App, url: &PublicUrl, payload: Payload) -> PayloadBody {
    let mut body = PayloadBody::new(payload, app.now());
    body.attachments.retain(|attachment| attachment.storage_id.is_some());
    for attachment in body.attachments.iter_mut().filter(|attachment| attachment.status == "ready") {
        let Some(Ok(id)) = attachment.storage_id.clone().map(StorageId::parse) else { continue };
        match link(app, url, &media::object_key(&id)).await {
            Ok(link) => attachment.download_url = Some(link),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "an attachment has no link");
            }
        }
    }
    body
}
