//! The front matter of `SKILL.md`: YAML between two lines `---`. Agents list no skill without it.

use af_domain::refusal::Refusal;
use serde::Deserialize;

/// The line before and after the front matter.
const FENCE: &str = "---";

/// What the front matter says of the skill. Other fields are the agent's own.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct FrontMatter {
    name: String,
    /// The purpose of the skill.
    pub(super) description: String,
}

/// Reads the front matter of the text of `SKILL.md`, which is the file at `pointer` of the request.
///
/// # Errors
/// A refusal that says how to mend the file.
pub(super) fn read(pointer: &str, text: &str) -> Result<FrontMatter, Refusal> {
    let parsed = yaml(text).ok_or("it has none".to_owned());
    let parsed =
        parsed.and_then(|yaml| serde_norway::from_str::<FrontMatter>(&yaml).map_err(|e| e.to_string()));
    let fault = match parsed {
        Ok(found) if found.name.trim().is_empty() => "name is blank".to_owned(),
        Ok(found) if found.description.trim().is_empty() => "description is blank".to_owned(),
        Ok(found) => return Ok(found),
        Err(fault) => fault,
    };
    let detail = format!(
        "SKILL.md must begin with front matter, because agents list no skill without it: a line ---, the lines \
         name: <name> and description: <purpose>, and a line ---; {fault}"
    );
    Err(Refusal::field(pointer, detail))
}

fn yaml(text: &str) -> Option<String> {
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
    if lines.next()?.trim_end() != FENCE {
        return None;
    }
    let mut yaml = String::new();
    for line in lines {
        if line.trim_end() == FENCE {
            return Some(yaml);
        }
        yaml.push_str(line);
        yaml.push('\n');
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_description_are_read_from_the_front_matter() {
        for (text, description) in [
            ("---\nname: hello\ndescription: Greets.\n---\n# Hello\n", "Greets."),
            ("\u{feff}---\r\nname: a\r\ndescription: \"a: b\"\r\nmetadata: {x: 1}\r\n--- \r\n", "a: b"),
            ("---\ndescription: >\n  Greets\n  people.\nname: hello\n---", "Greets people.\n"),
        ] {
            assert_eq!(read("/p", text).unwrap().description, description);
        }
    }

    #[test]
    fn a_skill_file_without_usable_front_matter_is_refused_with_the_fix() {
        for (text, fault) in [
            ("# Hello\n", "it has none"),
            ("", "it has none"),
            ("\n---\nname: a\ndescription: b\n---\n", "it has none"),
            ("---\nname: a\ndescription: b\n", "it has none"),
            ("---\nname: a\n---\n", "missing field `description`"),
            ("---\ndescription: b\n---\n", "missing field `name`"),
            ("---\nname: ' '\ndescription: b\n---\n", "name is blank"),
            ("---\nname: a\ndescription: ''\n---\n", "description is blank"),
            ("---\nname: [a]\ndescription: b\n---\n", "name: invalid type"),
            ("---\nname: a: b\n---\n", "mapping values"),
        ] {
            let refusal = read("/files/0/content", text).unwrap_err();
            assert_eq!(refusal.pointer.as_deref(), Some("/files/0/content"));
            assert!(refusal.detail.contains("description: <purpose>"), "{}", refusal.detail);
            assert!(refusal.detail.contains(fault), "{text:?}: {}", refusal.detail);
        }
    }
}
