//! Message templates: texts that consumer apps send often.

use std::collections::BTreeSet;

use crate::ids::TemplateKey;
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Most templates of a deployment. A list reads all of them, because it begins with those that are used most.
pub const MAX_TEMPLATES: u64 = 500;
/// Most characters of a title.
const MAX_TITLE_CHARS: usize = 100;
/// Most characters of a text: what a Telegram message holds. With 500 templates, a list reads 8 MB at most.
const MAX_CONTENT_CHARS: usize = 4_096;
/// Most tags of a template, and most characters of a tag.
const MAX_TAGS: usize = 20;
const MAX_TAG_CHARS: usize = 40;
/// Most characters of a key.
const MAX_KEY_CHARS: usize = 64;

/// The content of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateContent {
    /// The title, for people.
    pub title: String,
    /// The text of the message.
    pub content: String,
    /// Tags in lower case, sorted and each once.
    pub tags: Vec<String>,
}

/// A message template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageTemplate {
    /// The key. It follows from the first title and never changes.
    pub key: TemplateKey,
    /// The content.
    pub content: TemplateContent,
    /// How many messages were sent with it.
    pub used: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its content was last changed.
    pub updated_at: Timestamp,
}

impl TemplateContent {
    /// Checks the content, trims the title and the tags, and sorts the tags. Returns a refusal with the invalid field.
    pub fn new(title: &str, content: String, tags: &[String]) -> Result<Self, Refusal> {
        let title = title.trim();
        if !(1..=MAX_TITLE_CHARS).contains(&title.chars().count()) || title.chars().any(char::is_control) {
            let detail = format!("title must be 1 to {MAX_TITLE_CHARS} printable characters");
            return Err(Refusal::field("/title", detail));
        }
        if content.trim().is_empty() || content.chars().count() > MAX_CONTENT_CHARS {
            let detail = format!("content must be 1 to {MAX_CONTENT_CHARS} characters, not only spaces");
            return Err(Refusal::field("/content", detail));
        }
        if tags.len() > MAX_TAGS {
            return Err(Refusal::field("/tags", format!("a template has at most {MAX_TAGS} tags")));
        }
        let mut sorted = BTreeSet::new();
        for (i, tag) in tags.iter().enumerate() {
            let tag = tag.trim().to_lowercase();
            if !(1..=MAX_TAG_CHARS).contains(&tag.chars().count()) || tag.chars().any(char::is_control) {
                let detail = format!("a tag must be 1 to {MAX_TAG_CHARS} printable characters");
                return Err(Refusal::field(format!("/tags/{i}"), detail));
            }
            sorted.insert(tag);
        }
        Ok(Self { title: title.to_owned(), content, tags: sorted.into_iter().collect() })
    }

    /// The key that follows from the title: its letters and digits in lower case, with `-` for everything between them.
    pub fn key(&self) -> Result<TemplateKey, Refusal> {
        let lower = self.title.to_lowercase();
        let words =
            lower.split(|c: char| !c.is_alphanumeric() || c.is_uppercase()).filter(|word| !word.is_empty());
        let key: String = words.collect::<Vec<_>>().join("-").chars().take(MAX_KEY_CHARS).collect();
        let none = |_| {
            Refusal::field("/title", "title must have a letter or digit, because the key follows from it")
        };
        TemplateKey::parse(key.trim_end_matches('-')).map_err(none)
    }
}

/// Sorts templates: the most used first, then by key.
pub fn sort_by_use(templates: &mut [MessageTemplate]) {
    templates.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.key.cmp(&b.key)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(title: &str, tags: &[&str]) -> Result<TemplateContent, Refusal> {
        let tags: Vec<_> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        TemplateContent::new(title, "text".to_owned(), &tags)
    }

    #[test]
    fn the_key_of_a_template_follows_from_its_title() {
        for (title, key) in [
            ("Good morning", "good-morning"),
            ("  Where is my parcel?! ", "where-is-my-parcel"),
            ("Città: più", "città-più"),
            ("Доброе утро", "доброе-утро"),
            ("A-1", "a-1"),
        ] {
            assert_eq!(content(title, &[]).unwrap().key().unwrap().as_str(), key);
        }
        let long = content(&"ab ".repeat(33), &[]).unwrap().key().unwrap();
        assert_eq!(long.as_str().chars().count(), 64);
        assert_eq!(content("?!", &[]).unwrap().key().unwrap_err().pointer.as_deref(), Some("/title"));
    }

    #[test]
    fn tags_are_trimmed_in_lower_case_sorted_and_each_once() {
        let tags = content("t", &[" Zeta", "alpha ", "ALPHA", "Über"]).unwrap().tags;
        assert_eq!(tags, ["alpha", "zeta", "über"]);
        assert_eq!(content("t", &["a", " "]).unwrap_err().pointer.as_deref(), Some("/tags/1"));
        assert_eq!(content(" ", &[]).unwrap_err().pointer.as_deref(), Some("/title"));
        assert!(TemplateContent::new("t", " ".to_owned(), &[]).is_err());
        assert!(TemplateContent::new("t", "x".repeat(4_097), &[]).is_err());
        assert!(content("t", &["x"; 21]).is_err());
    }

    #[test]
    fn the_most_used_template_is_first() {
        let template = |title: &str, used| {
            let content = content(title, &[]).unwrap();
            let (created_at, updated_at) = (Timestamp::default(), Timestamp::default());
            MessageTemplate { key: content.key().unwrap(), content, used, created_at, updated_at }
        };
        let mut templates = [template("c", 1), template("b", 0), template("d", 7), template("a", 0)];
        sort_by_use(&mut templates);
        let keys: Vec<_> = templates.iter().map(|template| template.key.as_str()).collect();
        assert_eq!(keys, ["d", "c", "a", "b"]);
    }
}
