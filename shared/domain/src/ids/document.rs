//! The path of a workspace document.

use std::fmt;

use jiff::civil::Date;

use super::InvalidId;

/// The documents that are not the memory of a day.
const NAMES: [&str; 7] =
    ["AGENTS.md", "SOUL.md", "IDENTITY.md", "TOOLS.md", "HEARTBEAT.md", "USER.md", "MEMORY.md"];

id!(
    /// The path of a document in the workspace of an agent. No other path is a document.
    DocumentPath, "path",
    "AGENTS.md, SOUL.md, IDENTITY.md, TOOLS.md, HEARTBEAT.md, USER.md, MEMORY.md or memory/YYYY-MM-DD.md with a real date",
    |t| NAMES.contains(&t) || day_in(t).is_some()
);

impl DocumentPath {
    /// The day of a memory document, as `YYYY-MM-DD`; `None` for other documents.
    pub fn day(&self) -> Option<&str> {
        day_in(&self.0)
    }

    /// Whether the document may belong to one conversation. The others describe the agent itself.
    pub fn is_personal(&self) -> bool {
        self.day().is_some() || matches!(self.as_str(), "USER.md" | "MEMORY.md")
    }
}

fn day_in(path: &str) -> Option<&str> {
    let day = path.strip_prefix("memory/")?.strip_suffix(".md")?;
    // The parser also takes other forms of a date.
    let is_plain = day.len() == 10 && day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date: Date = day.parse().ok()?;
    (is_plain && date.to_string() == day).then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_documents_of_a_workspace_have_a_path() {
        for path in ["AGENTS.md", "MEMORY.md", "memory/2026-11-30.md", "memory/2024-02-29.md"] {
            assert_eq!(DocumentPath::parse(path).unwrap().as_str(), path);
        }
        for path in [
            "",
            "agents.md",
            "AGENTS.MD",
            "README.md",
            "/AGENTS.md",
            "./AGENTS.md",
            "../AGENTS.md",
            "AGENTS.md/",
            "memory/",
            "memory/2026-02-30.md",
            "memory/2023-02-29.md",
            "memory/2026-2-3.md",
            "memory/20261130.md",
            "memory/2026-11-30",
            "memory/../SOUL.md",
            "memory/2026-11-30.md/x",
            "memory//2026-11-30.md",
            "memory/+02026-11-30.md",
            "memory/2026-11-30T00.md",
        ] {
            assert!(DocumentPath::parse(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn the_documents_of_one_conversation_are_its_user_and_its_memory() {
        let personal = |path: &str| DocumentPath::parse(path).unwrap().is_personal();
        assert!(["USER.md", "MEMORY.md", "memory/2026-11-30.md"].into_iter().all(personal));
        assert!(
            !["AGENTS.md", "SOUL.md", "IDENTITY.md", "TOOLS.md", "HEARTBEAT.md"].into_iter().any(personal)
        );
        assert_eq!(DocumentPath::parse("memory/2026-11-30.md").unwrap().day(), Some("2026-11-30"));
        assert_eq!(DocumentPath::parse("MEMORY.md").unwrap().day(), None);
    }
}
