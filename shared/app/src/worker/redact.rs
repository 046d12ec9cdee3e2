//! Redaction of texts that workers send, errors and progress, before they are stored and shown.

/// How worker tokens begin.
const TOKEN_PREFIX: &str = "afw_";
/// What replaces a token.
const REDACTED: &str = "afw_…";

/// At most `max_chars` characters of `text`, without worker tokens. The error of an HTTP client names the URL, and the URLs
/// of published images carry the token.
pub(crate) fn redact(text: &str, max_chars: usize) -> String {
    let mut parts = text.split(TOKEN_PREFIX);
    let mut redacted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        redacted.push_str(REDACTED);
        redacted.push_str(part.trim_start_matches(is_of_token));
        if redacted.chars().count() > max_chars {
            break;
        }
    }
    redacted.chars().take(max_chars).collect()
}

const fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=' | '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_redacted_anywhere_in_the_text() {
        let text = "POST https://api.example/w/afw_azF8dw.c2ln-X_/api/mutation: 502, then afw_a.b";
        assert_eq!(redact(text, 100), "POST https://api.example/w/afw_…/api/mutation: 502, then afw_…");
        assert_eq!(redact("afw_afw_a.b", 100), "afw_…afw_…");
        assert_eq!(redact("nothing to hide", 100), "nothing to hide");
        assert_eq!(redact("", 100), "");
    }

    #[test]
    fn a_text_that_is_cut_contains_no_part_of_a_token() {
        let text = format!("{}afw_secret", "é".repeat(10));
        assert_eq!(redact(&text, 13), format!("{}afw", "é".repeat(10)));
        assert_eq!(redact(&text, 100), format!("{}afw_…", "é".repeat(10)));
        assert_eq!(redact(&"x".repeat(50), 20).len(), 20);
    }
}
