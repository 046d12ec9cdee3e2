//! Pictures that a person sent, as a language model takes them: inside of the request, for its server cannot follow our
//! links. What cannot be loaded is left out.

use data_encoding::BASE64;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::wire::Bundle;

/// What models read.
const CONTENT_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
/// Bytes of all pictures of one message: a request holds a third more, and most servers take no more than that.
const PICTURES_BYTES_MAX: usize = 12 * 1024 * 1024;

/// An attachment of the payload, as far as it may be a picture.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    download_url: Option<String>,
}

/// The pictures of the message in `bundle`, each as a part of a message's content.
pub async fn pictures(client: &Client, bundle: &Bundle) -> Vec<Value> {
    let attachments = bundle.raw["payload"]["attachments"].as_array();
    let attachments = attachments.into_iter().flatten().filter_map(|a| Attachment::deserialize(a).ok());
    let (mut parts, mut left) = (Vec::new(), PICTURES_BYTES_MAX);
    for attachment in attachments.filter(|a| CONTENT_TYPES.contains(&&*a.mime_type)) {
        let Some(url) = attachment.download_url else { continue };
        match load(client, &url, left).await {
            Ok(picture) => {
                left -= picture.len();
                let url = format!("data:{};base64,{}", attachment.mime_type, BASE64.encode(&picture));
                parts.push(json!({"type": "image_url", "image_url": {"url": url}}));
            }
            Err(reason) => tracing::warn!(reason, "a picture is not shown to the model"),
        }
    }
    parts
}

async fn load(client: &Client, url: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
    // The URL opens the file, so it is in no error.
    let without_url = |error: reqwest::Error| error.without_url().to_string();
    let mut response = client.get(url).send().await.map_err(without_url)?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("its link answered {}", status.as_u16()));
    }
    let mut picture = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(without_url)? {
        if picture.len() + chunk.len() > bytes_max {
            return Err(format!("it has more than {bytes_max} bytes"));
        }
        picture.extend_from_slice(&chunk);
    }
    Ok(picture)
}
