//! The files of a message, in the workspace of the agent, where its tools find them.

use std::path::Path;

use af_api::messages::AttachmentBody;
use reqwest::Client;

use super::{WORKSPACE_DIR, volume};
use crate::engine::pictures::load;
use crate::hydration::ReceivedBundle;

/// The folder of all attachments in the workspace.
const FOLDER: &str = "attachments";
/// Most bytes of one file: bots can download no larger ones.
const MAX_FILE_BYTES: usize = 20 << 20;
/// Longest file name, in characters.
const MAX_NAME_CHARS: usize = 100;

/// Saves the files of the message, and answers a copy of the bundle whose text names them. A file that cannot be loaded is
/// named with the reason, so that the agent can say so.
pub async fn saved(
    client: &Client,
    root: &Path,
    uid: Option<u32>,
    bundle: &ReceivedBundle,
) -> ReceivedBundle {
    let mut asked = bundle.clone();
    let message_id = safe(bundle.raw["messageId"].as_str().unwrap_or_default());
    let mut lines = Vec::new();
    for (number, file) in bundle.payload.attachments.iter().enumerate() {
        let Some(url) = &file.download_url else { continue };
        let name = name(number + 1, file);
        let saved = match load(client, url, MAX_FILE_BYTES).await {
            Ok(content) => {
                let folders = [WORKSPACE_DIR, FOLDER, &message_id];
                volume::replace(root, &folders, &name, &content, uid).map_err(|error| error.to_string())
            }
            Err(reason) => Err(reason),
        };
        lines.push(match saved {
            Ok(()) => format!("- {FOLDER}/{message_id}/{name}"),
            Err(reason) => {
                tracing::warn!(reason, "a file of a message could not be saved");
                format!("- {name} (it could not be loaded)")
            }
        });
    }
    if !lines.is_empty() {
        let text = &mut asked.payload.message_text;
        *text = format!("{text}\n\nFiles of this message, in the workspace:\n{}", lines.join("\n"));
    }
    asked
}

/// A file name. The number makes it unique within the message.
fn name(number: usize, file: &AttachmentBody) -> String {
    let given = file.file_name.as_deref().unwrap_or(&file.kind);
    format!("{number}-{}", safe(given))
}

/// The text as a part of a path: without separators and without other characters that have a meaning.
fn safe(text: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let end = text.chars().count().saturating_sub(MAX_NAME_CHARS);
    text.chars().skip(end).map(|c| if fits(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_stays_in_its_folder() {
        assert_eq!(safe("../../etc/passwd"), ".._.._etc_passwd");
        assert_eq!(safe("Bericht März.pdf"), "Bericht_März.pdf");
        assert!(safe(&"x".repeat(500)).len() <= MAX_NAME_CHARS);
    }
}
