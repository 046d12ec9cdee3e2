//! Pairing: a person sends a one-time code to a bot, and is bound to the consumer user of the code.

use crate::ids::{AgentKey, BotIdentity, ConsumerUserId, PairingCode, TelegramUserId};
use crate::named_enum;
use crate::time::{Millis, Timestamp};

/// How long a code is valid if its creator does not say.
pub const DEFAULT_TTL: Millis = Millis::from_secs(15 * 60);
/// The shortest validity of a code. A person needs this long to open the link.
pub const MIN_TTL: Millis = Millis::from_secs(60);
/// The longest validity of a code.
pub const MAX_TTL: Millis = Millis::from_days(1);
/// How long an expired code is kept. Its status is shown for this time, and Telegram repeats an update for at most this
/// time.
pub const RETENTION: Millis = Millis::from_days(1);
/// Wrong codes that a person may send to a bot within [`WRONG_CODES_WINDOW`]. After that, no code is accepted from the
/// person until the window ends.
pub const MAX_WRONG_CODES: u32 = 5;
/// The window in which wrong codes are counted. It begins with the first wrong code.
pub const WRONG_CODES_WINDOW: Millis = Millis::from_secs(600);

/// Digits and letters without 0, 1, I and O, which look like each other.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Characters of a code: 60 random bits.
const CODE_CHARS: u32 = 12;

impl PairingCode {
    /// Makes a code of the lower 60 bits of `random`.
    pub fn of(random: u64) -> Self {
        let index = |place: u32| usize::try_from((random >> (5 * place)) % 32).expect("less than 32");
        let code: String = (0..CODE_CHARS).map(|place| char::from(ALPHABET[index(place)])).collect();
        Self::parse(code).expect("the alphabet has letters and digits only")
    }

    /// The link that opens Telegram and sends the code to the bot with this user name.
    pub fn deep_link(&self, username: &str) -> String {
        format!("https://t.me/{username}?start={self}")
    }
}

/// A pairing code and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// The code.
    pub code: PairingCode,
    /// The user that the person is bound to.
    pub user: ConsumerUserId,
    /// The agent that the user talks to.
    pub agent: AgentKey,
    /// The bot that accepts the code.
    pub bot: BotIdentity,
    /// When the code was made.
    pub created_at: Timestamp,
    /// When the code expires. A newer code for the same user and agent expires it at once.
    pub expires_at: Timestamp,
    /// Who has used it.
    pub used: Option<PairingUse>,
}

/// The use of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingUse {
    /// When the code was used.
    pub at: Timestamp,
    /// The person who sent it.
    pub user: TelegramUserId,
    /// The private chat of the person with the bot.
    pub chat: TelegramUserId,
}

named_enum! {
    /// The status of a pairing code.
    pub enum PairingStatus {
        /// The code can be used.
        Pending = "pending",
        /// A person has used it.
        Used = "used",
        /// It has expired, or a newer code has replaced it.
        Expired = "expired",
    }
}

impl Pairing {
    /// The status at `now`.
    pub fn status(&self, now: Timestamp) -> PairingStatus {
        match self.used {
            Some(_) => PairingStatus::Used,
            None if now < self.expires_at => PairingStatus::Pending,
            None => PairingStatus::Expired,
        }
    }
}

/// The wrong codes that a person has sent to a bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongCodes {
    /// Their number in the current window.
    pub count: u32,
    /// When the window ends.
    pub until: Timestamp,
    /// The update with the last one.
    pub last_update: u64,
}

impl WrongCodes {
    /// Whether no code is accepted at `now`.
    pub fn is_locked(&self, now: Timestamp) -> bool {
        self.count >= MAX_WRONG_CODES && now < self.until
    }
}

/// An update with a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeUpdate {
    /// The number of the update.
    pub update: u64,
    /// The bot that received it.
    pub bot: BotIdentity,
    /// The person who sent it.
    pub user: TelegramUserId,
}

/// What follows from an update with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The code is valid: bind the person.
    Pair,
    /// This person has used the code before. The update is a repetition.
    AlreadyPaired,
    /// The code is wrong: count it.
    Wrong,
    /// The code is wrong, and this update is counted already.
    CountedAsWrong,
    /// The person has sent too many wrong codes. No code is accepted.
    Locked,
}

/// Decides what follows from `sent`, with the stored code and the wrong codes of the person.
pub fn decide(
    pairing: Option<&Pairing>,
    wrong: Option<&WrongCodes>,
    sent: &CodeUpdate,
    now: Timestamp,
) -> Decision {
    let pairing = pairing.filter(|pairing| pairing.bot == sent.bot);
    let used_by = pairing.and_then(|pairing| pairing.used.as_ref()).map(|used| &used.user);
    if used_by == Some(&sent.user) {
        return Decision::AlreadyPaired;
    }
    if wrong.is_some_and(|wrong| wrong.last_update == sent.update && now < wrong.until) {
        return Decision::CountedAsWrong;
    }
    if wrong.is_some_and(|wrong| wrong.is_locked(now)) {
        return Decision::Locked;
    }
    match pairing.map(|pairing| pairing.status(now)) {
        Some(PairingStatus::Pending) => Decision::Pair,
        _ => Decision::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000);

    fn pairing() -> Pairing {
        Pairing {
            code: PairingCode::of(7),
            user: ConsumerUserId::parse("ann").unwrap(),
            agent: AgentKey::parse("support").unwrap(),
            bot: BotIdentity::parse("77").unwrap(),
            created_at: START,
            expires_at: START + DEFAULT_TTL,
            used: None,
        }
    }

    fn sent(update: u64, user: &str) -> CodeUpdate {
        let (bot, user) = (BotIdentity::parse("77").unwrap(), TelegramUserId::parse(user).unwrap());
        CodeUpdate { update, bot, user }
    }

    #[test]
    fn a_code_has_60_bits_and_no_character_that_looks_like_another() {
        assert_eq!(PairingCode::of(0).as_str(), "222222222222");
        assert_eq!(PairingCode::of(u64::MAX).as_str(), "ZZZZZZZZZZZZ");
        let codes: std::collections::BTreeSet<_> = (0..60).map(|bit| PairingCode::of(1 << bit)).collect();
        assert_eq!(codes.len(), 60, "every bit counts");
        assert!(!ALPHABET.iter().any(|c| b"01IOilo".contains(c)));
    }

    #[test]
    fn a_pending_code_pairs_until_it_expires() {
        let at = |now| decide(Some(&pairing()), None, &sent(1, "5"), now);
        assert_eq!(at(START + Millis::new(DEFAULT_TTL.as_millis() - 1)), Decision::Pair);
        assert_eq!(at(START + DEFAULT_TTL), Decision::Wrong);
    }

    #[test]
    fn an_unknown_used_or_foreign_code_is_wrong_and_its_user_gets_the_same_answer_again() {
        assert_eq!(decide(None, None, &sent(1, "5"), START), Decision::Wrong);
        let foreign = Pairing { bot: BotIdentity::parse("78").unwrap(), ..pairing() };
        assert_eq!(decide(Some(&foreign), None, &sent(1, "5"), START), Decision::Wrong);
        let person = TelegramUserId::parse("5").unwrap();
        let used = Some(PairingUse { at: START, user: person.clone(), chat: person });
        let used = Pairing { used, ..pairing() };
        let late = START + RETENTION;
        assert_eq!(decide(Some(&used), None, &sent(1, "5"), late), Decision::AlreadyPaired);
        assert_eq!(decide(Some(&used), None, &sent(1, "6"), START), Decision::Wrong);
    }

    #[test]
    fn five_wrong_codes_lock_a_person_until_the_window_ends() {
        let until = START + WRONG_CODES_WINDOW;
        let wrong = |count| WrongCodes { count, until, last_update: 9 };
        let at = |count, now| decide(Some(&pairing()), Some(&wrong(count)), &sent(10, "5"), now);
        assert_eq!(at(MAX_WRONG_CODES - 1, START), Decision::Pair);
        assert_eq!(at(MAX_WRONG_CODES, START), Decision::Locked);
        assert_eq!(at(MAX_WRONG_CODES, until), Decision::Pair);
        let again = decide(None, Some(&wrong(MAX_WRONG_CODES)), &sent(9, "5"), START);
        assert_eq!(again, Decision::CountedAsWrong, "a repetition of the fifth wrong code");
    }
}
