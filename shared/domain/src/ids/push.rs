//! Ids of push templates, push jobs, broadcasts and their runs.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{AgentKey, CompanyId, ConsumerUserId, InvalidId, MessageId, is_ulid, token};
use crate::time::Timestamp;

id!(
    /// The key of a push template within its company.
    PushTemplateKey, "templateKey", "1 to 64 letters, digits, '.', '_' or '-'", |t| token(t, 64)
);
id!(
    /// The id of a push template. It contains the company, so that a call that names only the template finds both.
    PushTemplateId, "sourceTemplateId", "a push template id such as acme:morning",
    |t| t.split_once(':').is_some_and(|(company, key)| token(company, 64) && token(key, 64))
);
id!(
    /// The id of a push job, a ULID.
    PushJobId, "pushJobId", "a ULID", is_ulid
);
id!(
    /// The id of a broadcast, a ULID.
    BroadcastId, "broadcastId", "a ULID", is_ulid
);
id!(
    /// The key of one run of a push job or a broadcast. No two dispatches have the same one.
    RunKey, "runKey", "a run key such as scheduled:<jobId>:<slotMs>", |t| run_key_parts(t).is_some()
);

/// Splits a run key into its mode, the id of its job or broadcast, and its slot, time or target.
fn run_key_parts(text: &str) -> Option<(&str, &str, &str)> {
    let (mode, rest) = text.split_once(':')?;
    let (id, run) = rest.split_once(':')?;
    let valid = matches!(mode, "scheduled" | "manual" | "broadcast") && is_ulid(id);
    let run_is_plain = (1..=64).contains(&run.len()) && run.bytes().all(|b| b.is_ascii_alphanumeric());
    (valid && run_is_plain).then_some((mode, id, run))
}

impl CompanyId {
    /// The company of a call that names none.
    pub fn unnamed() -> Self {
        Self("default".to_owned())
    }
}

impl PushTemplateId {
    /// Builds the id of a template.
    pub fn of(company: &CompanyId, key: &PushTemplateKey) -> Self {
        Self(format!("{company}:{key}"))
    }

    /// Returns the company and the key of the template.
    pub fn parts(&self) -> (CompanyId, PushTemplateKey) {
        let (company, key) = self.0.split_once(':').expect("checked when the id was made");
        (CompanyId(company.to_owned()), PushTemplateKey(key.to_owned()))
    }
}

impl RunKey {
    /// The run of a job for the slot at `at`.
    pub fn scheduled(job: &PushJobId, at: Timestamp) -> Self {
        Self(format!("scheduled:{job}:{at}"))
    }

    /// The run of a job that a caller triggered at `at`.
    pub fn manual(job: &PushJobId, at: Timestamp) -> Self {
        Self(format!("manual:{job}:{at}"))
    }

    /// The run of a broadcast for one target. Its last part is a hash, because a user's id may have any length.
    pub fn broadcast(id: &BroadcastId, agent: &AgentKey, user: Option<&ConsumerUserId>) -> Self {
        let mut hash = Sha256::new();
        hash.update(agent.as_str().as_bytes());
        if let Some(user) = user {
            hash.update(b"\0");
            hash.update(user.as_str().as_bytes());
        }
        let hex: String = hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("broadcast:{id}:{hex}"))
    }

    /// Returns the mode of the run, the id of its job or broadcast, and its slot, time or target.
    pub fn parts(&self) -> (&str, &str, &str) {
        run_key_parts(&self.0).expect("checked when the key was made")
    }

    /// The id of the message of this run. So a run enqueues one message at most.
    pub fn message_id(&self) -> MessageId {
        MessageId::parse(format!("push:{self}"))
            .expect("a run key is short and made of letters of a message id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_key_is_made_of_its_parts_and_is_the_id_of_its_message() {
        let job = PushJobId::parse("01JZ0000000000000000000000").unwrap();
        let key = RunKey::scheduled(&job, Timestamp::from_millis(1_800_000_000_000));
        assert_eq!(key.as_str(), "scheduled:01JZ0000000000000000000000:1800000000000");
        assert_eq!(key.message_id().as_str(), format!("push:{key}"));
        let (agent, user) =
            (AgentKey::parse("a".repeat(64)).unwrap(), ConsumerUserId::parse("\u{fc}".repeat(128)));
        let id = BroadcastId::parse(job.as_str()).unwrap();
        let to_user = RunKey::broadcast(&id, &agent, Some(&user.unwrap()));
        assert_ne!(to_user, RunKey::broadcast(&id, &agent, None));
        for key in [&key, &to_user, &RunKey::manual(&job, Timestamp::from_millis(5))] {
            assert_eq!(RunKey::parse(key.as_str()).as_ref(), Ok(key));
        }
        for bad in
            ["", "scheduled:x:1", "hourly:01JZ0000000000000000000000:1", "manual:01JZ0000000000000000000000:"]
        {
            assert!(RunKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_id_of_a_template_contains_its_company() {
        let id = PushTemplateId::parse("acme:morning").unwrap();
        let (company, key) = id.parts();
        assert_eq!((company.as_str(), key.as_str()), ("acme", "morning"));
        assert_eq!(PushTemplateId::of(&company, &key), id);
        assert!(PushTemplateId::parse("morning").is_err() && PushTemplateId::parse("a:b:c").is_err());
    }
}
