//! The documents of a workspace as the system message of a language model.

use std::fmt::Write;

use serde_json::Value;

/// The documents of the message, in its order. The memory of the last days follows them. HEARTBEAT.md is for runs without a
/// message.
const ORDER: [&str; 6] = ["AGENTS.md", "SOUL.md", "IDENTITY.md", "USER.md", "TOOLS.md", "MEMORY.md"];

/// The system message of a bundle; `None` if its workspace has no text. The memory of the oldest day comes first.
pub fn system_message(bundle: &Value) -> Option<String> {
    let list = |name: &str| bundle["workspace"][name].as_array().map_or(&[][..], Vec::as_slice);
    let documents = list("documents");
    let named = ORDER.iter().filter_map(|path| documents.iter().find(|document| document["path"] == *path));
    let mut message = String::new();
    for document in named.chain(list("memoryWindow").iter().rev()) {
        let (Some(path), Some(content)) = (document["path"].as_str(), document["content"].as_str()) else {
            continue;
        };
        if !content.trim().is_empty() {
            write!(message, "# {path}\n\n{}\n\n", content.trim_end()).expect("a string takes everything");
        }
    }
    let message = message.trim_end();
    (!message.is_empty()).then(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_system_message_has_the_documents_in_order_and_then_the_memory_of_days() {
        let document = |path: &str, content: &str| json!({"path": path, "content": content});
        let memory = |day: &str| json!({"path": format!("memory/{day}.md"), "content": day});
        let bundle = json!({"workspace": {
            "documents": [
                document("AGENTS.md", "be brief\n"), document("HEARTBEAT.md", "look around"),
                document("IDENTITY.md", " "), document("MEMORY.md", "likes tea"), document("SOUL.md", "be kind"),
                document("TOOLS.md", "none"), document("USER.md", "Ann"),
            ],
            "memoryWindow": [memory("2026-11-30"), memory("2026-11-29")],
        }});
        assert_eq!(
            system_message(&bundle).unwrap(),
            "# AGENTS.md\n\nbe brief\n\n# SOUL.md\n\nbe kind\n\n# USER.md\n\nAnn\n\n# TOOLS.md\n\nnone\n\n\
             # MEMORY.md\n\nlikes tea\n\n# memory/2026-11-29.md\n\n2026-11-29\n\n# memory/2026-11-30.md\n\n2026-11-30"
        );
        for nothing in [json!({}), json!({"workspace": {"fingerprint": "f", "documents": []}})] {
            assert_eq!(system_message(&nothing), None);
        }
    }
}
