//! Typed ids. Each id is checked once, where it enters the system, and is never a bare string after that.

use std::fmt;

use crate::time::Timestamp;

/// The reason why a text is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {rule}")]
pub struct InvalidId {
    /// The kind of id, as named in the API (`agentKey`).
    pub kind: &'static str,
    /// The rule, in words for an error message.
    pub rule: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps `text`. Returns `InvalidId` with the rule that `text` breaks.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(InvalidId { kind: $kind, rule: $rule }) }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

fn printable(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.chars().count())
        && !text.chars().any(char::is_control)
        && !text.trim().is_empty()
}

/// Whether `text` is a positive number of at most 64 bits, in the one form without leading zeros or a sign.
fn is_telegram_number(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|number| number > 0 && number.to_string() == text)
}

fn token(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        // `.` and `..` mean folders if an id becomes part of a path.
        && text.bytes().any(|b| b != b'.')
}

id!(
    /// A conversation id: `user-agent:<agentKey>:<user>`, `telegram:<bot>:<chat>`, or an id chosen by the
    /// caller.
    ConversationId, "conversationId", "1 to 256 printable characters, not only spaces",
    |t| printable(t, 256) && !t.trim().is_empty()
);
id!(
    /// A message id. It is also the deduplication key: `tg:<bot>:<update>`, a hash of an idempotency key, or
    /// a ULID.
    MessageId, "messageId", "1 to 128 letters, digits, ':', '.', '_' or '-'",
    |t| (1..=128).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'.' | b'_' | b'-'))
);
id!(
    /// The key of an agent profile.
    AgentKey, "agentKey", "1 to 64 letters, digits, '.', '_' or '-'", |t| token(t, 64)
);
id!(
    /// A worker id. A worker is one life of one machine; its id is not used again after the worker has
    /// stopped.
    WorkerId, "workerId", "1 to 64 letters, digits, '.', '_' or '-'", |t| token(t, 64)
);
id!(
    /// A volume id, as its provider names it.
    VolumeId, "volumeId", "1 to 64 letters, digits, '.', '_' or '-'", |t| token(t, 64)
);
id!(
    /// A user id of the consumer app.
    ConsumerUserId, "consumerUserId", "1 to 128 printable characters, without spaces at either end",
    |t| printable(t, 128) && t.trim() == t
);
id!(
    /// The name of a secret.
    SecretRef, "secretRef", "1 to 200 letters, digits, '.', '_' or '-'", |t| token(t, 200)
);
id!(
    /// A lease id. It contains the conversation key and the fence, so that a call that names only a message
    /// finds both.
    LeaseId, "leaseId", "a lease id as returned by a claim",
    |t| t.len() <= 128 && LeaseParts::read(t).is_some()
);
id!(
    /// A snapshot id. It contains the conversation key and the fence, so that a call that names only the
    /// snapshot finds both.
    SnapshotId, "snapshotId", "a snapshot id as returned by prepare",
    |t| t.len() <= 96 && SnapshotParts::read(t).is_some()
);
id!(
    /// The id of a file that an agent made or fetched. It contains the key of the conversation that the file
    /// belongs to.
    StorageId, "storageId", "a storage id as returned by its upload",
    |t| t.split_once('.').is_some_and(|(key, place)| ConversationKey::parse(key).is_ok() && is_ulid(place))
);
id!(
    /// A media type.
    ContentType, "contentType", "a media type such as image/png, at most 100 characters",
    |t| t.len() <= 100 && t.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) && is_media_type(t)
);
id!(
    /// The name of a language model, or of the company that runs it.
    ModelName, "model", "1 to 100 letters, digits, '.', '_', ':', '/', '@', '+' or '-'",
    |t| (1..=100).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'@' | b'+' | b'-'))
);
id!(
    /// The numeric id of a Telegram bot, as text.
    BotIdentity, "botIdentity", "a positive number of at most 64 bits, without leading zeros", is_telegram_number
);
id!(
    /// The user name of a bot, in lower case. Telegram does not distinguish cases.
    BotUsername, "botUsername", "5 to 32 letters in lower case, digits or '_', beginning with a letter and ending in 'bot'",
    |t| (5..=32).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && t.starts_with(|c: char| c.is_ascii_lowercase())
        && t.ends_with("bot")
);
id!(
    /// The numeric id of a person on Telegram, as text. It is also the id of the person's private chat with a
    /// bot. The ids of groups are negative, so no group has such an id.
    TelegramUserId, "the Telegram id of a person",
    "a positive number of at most 64 bits, without leading zeros", is_telegram_number
);
id!(
    /// A pairing code, as a person sends it to a bot after `/start`.
    PairingCode, "pairingCode", "4 to 128 letters, digits, '_' or '-'",
    |t| (4..=128).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
);
id!(
    /// The id of an identity binding, a ULID.
    BindingId, "bindingId", "a ULID", is_ulid
);
id!(
    /// The key of a message template.
    TemplateKey, "templateKey", "1 to 64 lower-case letters, digits or '-'",
    |t| (1..=64).contains(&t.chars().count()) && t.chars().all(|c| c == '-' || c.is_alphanumeric() && !c.is_uppercase())
);
id!(
    /// The company to which an API key, a push template, a push job or a broadcast belongs.
    CompanyId, "companyId", "1 to 64 letters, digits, '.', '_' or '-'", |t| token(t, 64)
);
id!(
    /// A short hash of a conversation id. It is the partition of the conversation's items.
    ConversationKey, "conversationKey", "26 letters and digits of base 32",
    |t| t.len() == 26 && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
);
id!(
    /// The slug of a global skill. It is also the name of the skill's folder on a worker.
    SkillSlug, "slug", "2 to 128 of a-z, 0-9, '-' and '_', beginning with a letter or digit",
    |t| (2..=128).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
        && !t.starts_with(['-', '_'])
);
id!(
    /// A version of a global skill.
    SkillVersion, "version", "a semantic version such as 1.4.0 or 2.0.0-rc.1, at most 64 characters",
    |t| t.len() <= 64 && semver::Version::parse(t).is_ok()
);
id!(
    /// A SHA-256 digest in hex.
    Sha256Hex, "sha256", "64 hex digits in lower case",
    |t| t.len() == 64 && t.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
);

mod document;
mod push;

pub use document::DocumentPath;
pub use push::{BroadcastId, PushJobId, PushTemplateId, PushTemplateKey, RunKey};

fn is_ulid(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// RFC 9110, section 8.3.1: two tokens, followed by any parameters.
fn is_media_type(text: &str) -> bool {
    let token = |t: &str| {
        !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    essence.split_once('/').is_some_and(|(kind, of)| token(kind) && token(of))
}

/// A fence: a number that grows by one with every claim of its conversation and never decreases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

impl Fence {
    /// The fence of the next claim.
    #[must_use]
    pub const fn next(self) -> Fence {
        Fence(self.0 + 1)
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The parts of a lease id: `<conversationKey>.<fence>.<firstFence>.<attempt>.<claimedAt>.<nonce>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseParts {
    /// The leased conversation.
    pub conversation: ConversationKey,
    /// The fence of this claim.
    pub fence: Fence,
    /// The fence of the first claim of the message.
    pub first_fence: Fence,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// When the lease was claimed. A completion writes it to the message without reading the lease.
    pub claimed_at: Timestamp,
    /// A random number that makes the id unguessable.
    pub nonce: u64,
}

impl LeaseParts {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let parts = Self {
            conversation: ConversationKey::parse(parts.next()?).ok()?,
            fence: Fence(parts.next()?.parse().ok()?),
            first_fence: Fence(parts.next()?.parse().ok()?),
            attempt: parts.next()?.parse().ok()?,
            claimed_at: Timestamp::from_millis(parts.next()?.parse().ok()?),
            nonce: u64::from_str_radix(parts.next().filter(|_| parts.next().is_none())?, 16).ok()?,
        };
        // A number has other spellings, such as `007` and `+7`, which would be other ids of the same lease.
        (parts.to_string() == text).then_some(parts)
    }
}

impl fmt::Display for LeaseParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { conversation, fence, first_fence, attempt, claimed_at, nonce } = self;
        write!(f, "{conversation}.{fence}.{first_fence}.{attempt}.{claimed_at}.{nonce:016x}")
    }
}

impl LeaseId {
    /// Builds the id of `parts`.
    pub fn of(parts: &LeaseParts) -> Self {
        Self(parts.to_string())
    }

    /// Returns the parts of the id.
    pub fn parts(&self) -> LeaseParts {
        LeaseParts::read(&self.0).expect("checked when the id was made")
    }
}

/// The parts of a snapshot id: `<conversationKey>.<fence>.<place>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotParts {
    /// The conversation whose files the snapshot contains.
    pub conversation: ConversationKey,
    /// The fence of the last claim before the snapshot was prepared.
    pub fence: Fence,
    /// A ULID that orders the snapshots of one fence.
    pub place: String,
}

impl SnapshotParts {
    /// Parses an id.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let parts = Self {
            conversation: ConversationKey::parse(parts.next()?).ok()?,
            fence: Fence(parts.next()?.parse().ok()?),
            place: parts.next()?.to_owned(),
        };
        // The item is found by the number of the fence, and the object by the text of the id. So each snapshot has one id.
        (is_ulid(&parts.place) && parts.to_string() == text).then_some(parts)
    }
}

impl fmt::Display for SnapshotParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.conversation, self.fence, self.place)
    }
}

impl SnapshotId {
    /// Builds the id of `parts`; `None` if their place is not a ULID.
    pub fn of(parts: &SnapshotParts) -> Option<Self> {
        Self::parse(parts.to_string()).ok()
    }

    /// Returns the parts of the id.
    pub fn parts(&self) -> SnapshotParts {
        SnapshotParts::read(&self.0).expect("checked when the id was made")
    }
}

impl StorageId {
    /// Builds the id of a file of `conversation`; `None` if `place` is not a ULID.
    pub fn of(conversation: &ConversationKey, place: &str) -> Option<Self> {
        Self::parse(format!("{conversation}.{place}")).ok()
    }

    /// Returns the conversation of the file, and the ULID of the file within it.
    pub fn parts(&self) -> (ConversationKey, &str) {
        let (key, place) = self.0.split_once('.').expect("checked when the id was made");
        (ConversationKey::parse(key).expect("checked when the id was made"), place)
    }
}

/// The end of a conversation's history at the time of a bundle: `<conversationKey>.<fence>.<place>`. History
/// is filed in commit order, so every later entry sorts after the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryCursor {
    /// The conversation.
    pub conversation: ConversationKey,
    /// The claim under which the newest entry was written.
    pub fence: Fence,
    /// The position of that entry among the entries of its claim.
    pub place: String,
}

impl HistoryCursor {
    /// Parses a cursor. Returns `InvalidId` if `text` is not a cursor of a bundle.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let read = || {
            let mut parts = text.splitn(3, '.');
            let conversation = ConversationKey::parse(parts.next()?).ok()?;
            let fence = Fence(parts.next()?.parse().ok()?);
            let place = parts.next().filter(|p| p.len() == 6)?;
            let digits = place.strip_prefix('~').unwrap_or(place);
            let valid = digits.bytes().all(|b| b.is_ascii_digit());
            let cursor = Self { conversation, fence, place: place.to_owned() };
            (valid && cursor.to_string() == text).then_some(cursor)
        };
        read().ok_or(InvalidId { kind: "since", rule: "a cursor as returned in a bundle" })
    }
}

impl fmt::Display for HistoryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.conversation, self.fence, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_the_rule_they_break() {
        assert_eq!(
            AgentKey::parse("").unwrap_err().to_string(),
            "agentKey must be 1 to 64 letters, digits, '.', '_' or '-'"
        );
        assert!(AgentKey::parse("a/b").is_err() && WorkerId::parse("..").is_err());
        assert!(ConversationId::parse("user-agent:support:ünal").is_ok());
        assert!(ConversationId::parse("line\nbreak").is_err());
        assert!(BotIdentity::parse("12a").is_err());
    }

    #[test]
    fn a_telegram_id_has_one_form_and_is_no_group() {
        for valid in ["1", "5006", "9223372036854775807"] {
            assert!(TelegramUserId::parse(valid).is_ok() && BotIdentity::parse(valid).is_ok(), "{valid}");
        }
        let long = "1".repeat(20);
        for bad in ["", "0", "005006", "+5", "-4001", " 5", "5x", "9223372036854775808", &long] {
            assert!(TelegramUserId::parse(bad).is_err() && BotIdentity::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_user_or_conversation_of_blanks_is_refused() {
        assert!(ConsumerUserId::parse(" ").is_err() && ConversationId::parse(" \u{a0}").is_err());
        assert!(ConsumerUserId::parse("ann b").is_ok());
        for padded in [" ann", "ann ", "\u{a0}ann"] {
            assert!(ConsumerUserId::parse(padded).is_err(), "{padded:?} would be a second ann");
        }
    }

    #[test]
    fn a_skill_has_a_slug_and_semantic_versions() {
        for valid in ["ab", "9-lives", "web_search-2"] {
            assert!(SkillSlug::parse(valid).is_ok(), "{valid}");
        }
        for bad in ["a", "-ab", "_ab", "Ab", "a.b", "a/b", "..", "", &"a".repeat(129)] {
            assert!(SkillSlug::parse(bad).is_err(), "{bad}");
        }
        for valid in ["1.0.0", "0.1.2-rc.1+build.7"] {
            assert!(SkillVersion::parse(valid).is_ok(), "{valid}");
        }
        for bad in ["1", "1.0", "v1.0.0", "1.0.0 ", "01.0.0", "", &format!("1.0.0-{}", "a".repeat(64))] {
            assert!(SkillVersion::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lease_ids_contain_their_conversation_and_fence() {
        let key = ConversationKey::parse("abcdefghijklmnopqrstuvwx23").unwrap();
        let parts = LeaseParts {
            conversation: key,
            fence: Fence(7),
            first_fence: Fence(5),
            attempt: 2,
            claimed_at: Timestamp::from_millis(1_000),
            nonce: 0xabc,
        };
        let lease = LeaseId::of(&parts);
        assert_eq!(LeaseId::parse(lease.as_str()).unwrap().parts(), parts);
        assert!(LeaseId::parse(format!("{lease}.1")).is_err());
        assert!(LeaseId::parse("nonsense").is_err());
        for (number, other) in [(".7.", ".007."), (".7.", ".+7."), (".2.", ".02."), ("0abc", "0ABC")] {
            assert!(LeaseId::parse(lease.as_str().replacen(number, other, 1)).is_err(), "{other}");
        }
    }

    #[test]
    fn snapshot_ids_contain_their_conversation_and_fence() {
        let conversation = ConversationKey::parse("abcdefghijklmnopqrstuvwx23").unwrap();
        let place = "01KE3N4AZ0000000000000000A".to_owned();
        let parts = SnapshotParts { conversation, fence: Fence(7), place };
        let id = SnapshotId::of(&parts).unwrap();
        assert_eq!(SnapshotId::parse(id.as_str()).unwrap().parts(), parts);
        assert!(SnapshotId::parse(format!("{id}.1")).is_err());
        for other in [".007.", ".+7.", ".07."] {
            assert!(SnapshotId::parse(id.as_str().replace(".7.", other)).is_err(), "{other}");
        }
        assert!(SnapshotId::of(&SnapshotParts { place: "../x".into(), ..parts }).is_none());
        assert!(Sha256Hex::parse("AB".repeat(32)).is_err() && Sha256Hex::parse("ab".repeat(32)).is_ok());
    }

    #[test]
    fn storage_ids_contain_their_conversation() {
        let conversation = ConversationKey::parse("abcdefghijklmnopqrstuvwx23").unwrap();
        let place = "01KE3N4AZ0000000000000000A";
        let id = StorageId::of(&conversation, place).unwrap();
        assert_eq!(StorageId::parse(id.as_str()).unwrap().parts(), (conversation.clone(), place));
        assert!(StorageId::of(&conversation, "../x").is_none());
        assert!(StorageId::parse(format!("{id}.1")).is_err() && StorageId::parse(place).is_err());
    }

    #[test]
    fn a_content_type_must_be_valid_in_a_header() {
        for valid in ["image/png", "text/plain; charset=utf-8", "application/vnd.api+json"] {
            assert!(ContentType::parse(valid).is_ok(), "{valid}");
        }
        for bad in ["", "png", "image/", "/png", "image/png\r\nx: y", "im age/png", "text/plain; a=ü"] {
            assert!(ContentType::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_history_cursor_round_trips_and_other_texts_are_rejected() {
        for place in ["000001", "~00001"] {
            let text = format!("abcdefghijklmnopqrstuvwx23.7.{place}");
            assert_eq!(HistoryCursor::parse(&text).unwrap().to_string(), text);
        }
        for text in ["", "H#1#2", "abcdefghijklmnopqrstuvwx23.7", "abcdefghijklmnopqrstuvwx23.7.00000z"] {
            assert!(HistoryCursor::parse(text).is_err(), "{text}");
        }
    }
}
