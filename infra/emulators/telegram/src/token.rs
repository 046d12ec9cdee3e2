//! The form of a bot token: `<bot id>:<letters, digits, _ or ->`.

/// Digits of a bot id; real ones have ten.
const MAX_ID_DIGITS: usize = 20;
/// Characters after the colon; real tokens have 35.
const MAX_SECRET_CHARS: usize = 128;

/// The bot id in a token; `None` when the text does not have the form of a token.
pub(crate) fn id_of(token: &str) -> Option<i64> {
    let (id, secret) = token.split_once(':')?;
    let is_id = (1..=MAX_ID_DIGITS).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
    let is_secret = (1..=MAX_SECRET_CHARS).contains(&secret.len())
        && secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    id.parse().ok().filter(|id| is_id && is_secret && *id > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_a_positive_id_a_colon_and_a_url_safe_secret() {
        assert_eq!(id_of("4242:AbC_d-9"), Some(4_242));
        for text in
            ["", "4242", ":secret", "4242:", "-1:secret", "+1:secret", "0:secret", "a:secret", "1:se/cret"]
        {
            assert_eq!(id_of(text), None, "{text}");
        }
        assert_eq!(id_of(&format!("1:{}", "s".repeat(MAX_SECRET_CHARS + 1))), None);
    }
}
