//! A channel: one release of each skill, limited so that all of them fit into one response to a worker.

use std::collections::BTreeMap;

use super::definition::{Release, ReleaseChannel, Skill};
use crate::ids::SkillSlug;
use crate::refusal::{Code, Refusal};
use crate::time::Timestamp;

/// Most bytes of all bundles of a channel.
pub const MAX_CHANNEL_BYTES: u64 = 4 * 1024 * 1024;
/// Most bytes of all bundles in the response. A Lambda response is limited to 6 MB, with the body as a JSON
/// string. A text of quotes and line ends takes up to four times its size there, a text of control characters
/// seven times.
pub const MAX_CHANNEL_ANSWER_BYTES: u64 = 5_900_000;
/// Most skills of a channel. All of them are in one item, with about 400 bytes each, and are written with
/// each release.
pub const MAX_CHANNEL_SKILLS: usize = 200;

/// A release channel and its releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The name of the channel.
    pub name: ReleaseChannel,
    /// The release of each skill.
    pub serves: BTreeMap<SkillSlug, Release>,
    /// Grows by one with every change. It is 0 if nothing was ever released on this channel.
    pub revision: u64,
    /// When the channel was last changed.
    pub changed_at: Timestamp,
}

impl Channel {
    /// Creates a channel without releases.
    pub const fn new(name: ReleaseChannel) -> Self {
        Self { name, serves: BTreeMap::new(), revision: 0, changed_at: Timestamp::from_millis(0) }
    }

    /// Returns the channel after it follows the current state of `skill`; `None` if nothing changes. A refusal
    /// says how much does not fit.
    pub fn following(&self, skill: &Skill, now: Timestamp) -> Result<Option<Self>, Refusal> {
        let (served, wanted) = (self.serves.get(&skill.slug), skill.served(self.name));
        if served == wanted {
            return Ok(None);
        }
        let mut channel = Self { revision: self.revision + 1, changed_at: now, ..self.clone() };
        match wanted {
            Some(release) => {
                channel.serves.insert(skill.slug.clone(), release.clone());
                channel.check()?;
            }
            None => {
                channel.serves.remove(&skill.slug);
            }
        }
        Ok(Some(channel))
    }

    fn check(&self) -> Result<(), Refusal> {
        let sum = |of: fn(&Release) -> u64| self.serves.values().map(of).sum::<u64>();
        let bytes = sum(|release| release.edition.bytes);
        let answer_bytes = sum(|release| release.edition.answer_bytes);
        let skills = self.serves.len();
        let limits = [
            (skills as u64, MAX_CHANNEL_SKILLS as u64, "skills"),
            (bytes, MAX_CHANNEL_BYTES, "bytes of files"),
            (answer_bytes, MAX_CHANNEL_ANSWER_BYTES, "bytes of JSON in the answer to a worker"),
        ];
        let Some((would, max, what)) = limits.into_iter().find(|(would, max, _)| would > max) else {
            return Ok(());
        };
        let detail = format!(
            "channel {} would serve {would} {what}, but at most {max} fit; disable or delete a skill first",
            self.name.as_str()
        );
        Err(Refusal::new(Code::Conflict, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::super::bundle::sha256;
    use super::super::{Edition, ModuleFormat, SkillStatus, Stamp};
    use super::*;
    use crate::ids::SkillVersion;

    fn stamp(at: u64) -> Stamp {
        Stamp { at: Timestamp::from_millis(at), by: "ann".into() }
    }

    fn skill(slug: &str, bytes: u64) -> Skill {
        let edition = Edition {
            version: SkillVersion::parse("1.0.0").unwrap(),
            bundle: sha256(b"x"),
            bytes,
            answer_bytes: bytes,
            module_format: ModuleFormat::Esm,
            entry_point: "default".into(),
        };
        let mut skill = Skill::new(SkillSlug::parse(slug).unwrap(), stamp(5));
        skill.active.insert(ReleaseChannel::Stable, Release { edition, released: stamp(5) });
        skill
    }

    const NOW: Timestamp = Timestamp::from_millis(9);

    #[test]
    fn a_channel_follows_only_the_releases_on_that_channel() {
        let empty = Channel::new(ReleaseChannel::Stable);
        let skill = skill("ab", 10);
        let serving = empty.following(&skill, NOW).unwrap().unwrap();
        assert_eq!((serving.serves.len(), serving.revision, serving.changed_at), (1, 1, NOW));
        assert_eq!(serving.following(&skill, NOW), Ok(None), "nothing to change");
        assert_eq!(Channel::new(ReleaseChannel::Canary).following(&skill, NOW), Ok(None));
        let disabled = skill.changed(stamp(6), |s| s.status = SkillStatus::Disabled);
        let without = serving.following(&disabled, NOW).unwrap().unwrap();
        assert_eq!((without.serves.len(), without.revision), (0, 2));
    }

    #[test]
    fn a_channel_over_its_limits_is_refused_with_the_figures() {
        let empty = Channel::new(ReleaseChannel::Stable);
        let full = empty.following(&skill("ab", MAX_CHANNEL_BYTES), NOW).unwrap().unwrap();
        let refusal = full.following(&skill("cd", 1), NOW).unwrap_err();
        assert_eq!(refusal.code, Code::Conflict);
        assert!(refusal.detail.contains("4194305 bytes of files, but at most 4194304"), "{}", refusal.detail);
        let smaller = full.following(&skill("ab", 7), NOW).unwrap().unwrap();
        assert_eq!(smaller.serves.len(), 1, "the replaced release does not count");
        let mut wordy = skill("cd", 1);
        let release = wordy.active.get_mut(&ReleaseChannel::Stable).unwrap();
        release.edition.answer_bytes = MAX_CHANNEL_ANSWER_BYTES;
        let refusal = smaller.following(&wordy, NOW).unwrap_err();
        assert!(refusal.detail.contains("5900007 bytes of JSON"), "{}", refusal.detail);
        let many = (0..MAX_CHANNEL_SKILLS).map(|n| skill(&format!("s{n}"), 1));
        let crowded = many.fold(empty, |channel, skill| channel.following(&skill, NOW).unwrap().unwrap());
        assert!(crowded.following(&skill("ab", 1), NOW).unwrap_err().detail.contains("201 skills"));
    }

    #[test]
    fn a_revision_grows_and_never_repeats_after_a_delete() {
        let first = skill("ab", 1);
        assert_eq!(first.changed(stamp(5), |_| ()).revision, 6);
        assert_eq!(first.changed(stamp(3), |_| ()).revision, 6, "a clock that stands or goes back");
        assert_eq!(first.changed(stamp(50), |_| ()).revision, 50);
    }
}
