//! The text of what a caller has seen:
//! `format;at;version;changedAt;from;others;message=state,message=state;progress`.

use std::fmt;

use super::{Followed, Seen, State};
use crate::ids::MessageId;
use crate::time::Timestamp;

/// The present format.
const FORMAT: &str = "1";
/// The parts of the text. The progress is the last one, because it is free text.
const PARTS: usize = 8;

impl Followed {
    fn parse(text: &str) -> Option<Self> {
        let (message, state) = text.split_once('=')?;
        let (kind, value) = state.split_at_checked(1)?;
        let state = match kind {
            "q" => State::Queued(value.parse().ok()?),
            "p" => State::Processing(value.parse().ok()?),
            "d" => State::Delivering,
            "e" => State::Ended(Timestamp::from_millis(value.parse().ok()?)),
            _ => return None,
        };
        Some(Self { message: MessageId::parse(message).ok()?, state })
    }
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.message)?;
        match self.state {
            State::Queued(attempts) => write!(f, "q{attempts}"),
            State::Processing(attempts) => write!(f, "p{attempts}"),
            State::Delivering => f.write_str("d"),
            State::Ended(at) => write!(f, "e{at}"),
        }
    }
}

impl Seen {
    /// Parses the text of a value. `None` for another format.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(PARTS, ';');
        let mut next = || parts.next();
        let format = next()?;
        let mut number = || next()?.parse::<u64>().ok();
        let (at, version, changed_at) = (number()?, number()?, number()?);
        let (from, others) = (number()?, number()?);
        let list = parts.next()?;
        let progress = parts.next()?;
        let followed = list.split(',').filter(|text| !text.is_empty()).map(Followed::parse);
        (format == FORMAT).then_some(())?;
        Some(Self {
            at: Timestamp::from_millis(at),
            version,
            changed_at: Timestamp::from_millis(changed_at),
            from: Timestamp::from_millis(from),
            others: usize::try_from(others).ok()?,
            followed: followed.collect::<Option<_>>()?,
            progress: Some(progress.to_owned()).filter(|progress| !progress.is_empty()),
        })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, version, changed_at, from, others, followed, progress } = self;
        let list: Vec<_> = followed.iter().map(ToString::to_string).collect();
        let progress = progress.as_deref().unwrap_or_default();
        write!(f, "{FORMAT};{at};{version};{changed_at};{from};{others};{};{progress}", list.join(","))
    }
}
