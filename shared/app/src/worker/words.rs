//! What workers say in their own words: errors and progress, which people read.

/// How tokens of workers begin.
const TOKEN_PREFIX: &str = "afw_";
/// What is left of one.
const BLANK: &str = "afw_…";

/// At most `chars_max` characters of what a worker has said, without its token: the error of an HTTP client names the URL,
/// and the URLs of published images carry it.
pub(crate) fn in_words(said: &str, chars_max: usize) -> String {
    let mut parts = said.split(TOKEN_PREFIX);
    let mut words = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        words.push_str(BLANK);
        words.push_str(part.trim_start_matches(is_of_token));
        if words.chars().count() > chars_max {
            break;
        }
    }
    words.chars().take(chars_max).collect()
}

const fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=' | '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_blanked_wherever_they_stand() {
        let said = "POST https://api.example/w/afw_azF8dw.c2ln-X_/api/mutation: 502, then afw_a.b";
        assert_eq!(in_words(said, 100), "POST https://api.example/w/afw_…/api/mutation: 502, then afw_…");
        assert_eq!(in_words("afw_afw_a.b", 100), "afw_…afw_…");
        assert_eq!(in_words("nothing to hide", 100), "nothing to hide");
        assert_eq!(in_words("", 100), "");
    }

    #[test]
    fn what_is_cut_off_leaves_no_part_of_a_token() {
        let said = format!("{}afw_secret", "é".repeat(10));
        assert_eq!(in_words(&said, 13), format!("{}afw", "é".repeat(10)));
        assert_eq!(in_words(&said, 100), format!("{}afw_…", "é".repeat(10)));
        assert_eq!(in_words(&"x".repeat(50), 20).len(), 20);
    }
}
