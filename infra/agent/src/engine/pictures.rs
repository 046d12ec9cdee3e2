//! Pictures of a message, inside the request to a language model, because its server cannot follow the deployment's
//! links. A picture that cannot be loaded is left out.

use data_encoding::BASE64;
use reqwest::Client;
use serde_json::{Value, json};

use crate::http;
use crate::hydration::ReceivedBundle;

/// The picture formats that models read.
const CONTENT_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
/// Most bytes of all pictures of one message. In a request they take a third more, and most servers accept no more.
const MAX_PICTURES_BYTES: usize = 12 * 1024 * 1024;

/// The pictures of the message in `bundle`, each as one part of the content of a chat message.
pub async fn pictures(client: &Client, bundle: &ReceivedBundle) -> Vec<Value> {
    let (mut parts, mut left) = (Vec::new(), MAX_PICTURES_BYTES);
    for attachment in &bundle.payload.attachments {
        let content_type = attachment.mime_type.as_deref().unwrap_or_default();
        let Some(url) = &attachment.download_url else { continue };
        if !CONTENT_TYPES.contains(&content_type) {
            continue;
        }
        match load(client, url, left).await {
            Ok(picture) => {
                left -= picture.len();
                let url = format!("data:{content_type};base64,{}", BASE64.encode(&picture));
                parts.push(json!({"type": "image_url", "image_url": {"url": url}}));
            }
            Err(reason) => tracing::warn!(reason, "a picture could not be loaded and is left out"),
        }
    }
    parts
}

/// Loads the file at a download link.
pub async fn load(client: &Client, url: &str, max_bytes: usize) -> Result<Vec<u8>, String> {
    // The URL gives access to the file, so no error has it.
    let without_url = |error: reqwest::Error| error.without_url().to_string();
    let response = client.get(url).send().await.map_err(without_url)?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("its link answered {}", status.as_u16()));
    }
    let picture = http::read_whole(response, max_bytes).await.map_err(without_url)?;
    picture.ok_or_else(|| format!("it has more than {max_bytes} bytes"))
}
