//! The attributes of the meta item, and the update from one state of a conversation to another.
//!
//! Attribute names are short because they are billed: `cid` id, `ag` agent, `fn` fence, `v` version, `pe`
//! pending entries, `ls` lease, `ow` owner, `la` last ended lease, `rp`/`rk` ready index, `bo` order key that
//! other messages must not overtake, `hu` end of the hold of a disabled agent, `ac` last activity,
//! `hc` history entries, `fa` dead letters.

use af_domain::conversation::{
    Conversation, EndedLease, Entry, Lease, OrderKey, Outcome, Owner, OwnerState, Priority, Queue, ReadyKey,
};
use af_domain::ids::{AgentKey, ConversationId, ConversationKey, Fence, LeaseId, MessageId, WorkerId};
use af_domain::time::Timestamp;

use crate::Result;
use crate::expression::Update;
use crate::item::{Item, Reader, Writer};
use crate::keys;

/// Fields of an encoded entry, separated by `|`. The message id is last, because only the id is free text.
const ENTRY_FIELDS: usize = 8;

/// The flag of an entry whose due time was chosen by the caller.
const SCHEDULED: char = 's';
/// The flag of an entry whose message has changed since it was accepted.
const REVISED: char = 'r';
/// The flag of an attempt that was cut off by a drain. It is repeated once per drain.
const DRAINED: &str = "d";

/// Encodes an entry as one string: `priority|due|flags|attempts|maxAttempts|notBefore|firstFence|messageId`.
pub(crate) fn encode_entry(entry: &Entry) -> String {
    format!(
        "{}|{}|{}{}{}|{}|{}|{}|{}|{}",
        entry.priority.get(),
        entry.due,
        if entry.scheduled { SCHEDULED.to_string() } else { String::new() },
        if entry.revised { REVISED.to_string() } else { String::new() },
        DRAINED.repeat(entry.drained as usize),
        entry.attempts,
        entry.max_attempts,
        entry.not_before,
        entry.first_fence.map_or(0, |f| f.0),
        entry.message,
    )
}

pub(crate) fn decode_entry(text: &str) -> Option<Entry> {
    let mut fields = text.splitn(ENTRY_FIELDS, '|');
    let mut next = || fields.next();
    let priority = Priority::new(next()?.parse().ok()?)?;
    let due = Timestamp::from_millis(next()?.parse().ok()?);
    let flags = next()?;
    let scheduled = flags.contains(SCHEDULED);
    let revised = flags.contains(REVISED);
    let drained = u32::try_from(flags.matches(DRAINED).count()).ok()?;
    let attempts = next()?.parse().ok()?;
    let max_attempts = next()?.parse().ok()?;
    let not_before = Timestamp::from_millis(next()?.parse().ok()?);
    let first_fence = Some(Fence(next()?.parse().ok()?)).filter(|f| f.0 > 0);
    let message = MessageId::parse(next()?).ok()?;
    Some(Entry {
        message,
        priority,
        due,
        scheduled,
        attempts,
        drained,
        max_attempts,
        not_before,
        first_fence,
        revised,
    })
}

/// Whether an encoded entry waits for a time: it is scheduled, or waits for its retry. An attempt cut off by
/// a drain is retried at once, and waiting for attachments takes only seconds, so neither counts.
pub(crate) fn waits_for_a_time(text: &str) -> Option<bool> {
    decode_entry(text).map(|e| e.scheduled || (e.is_retry() && e.not_before > Timestamp::default()))
}

pub(crate) fn encode_queue(queue: &Queue) -> Vec<String> {
    queue.entries().iter().map(encode_entry).collect()
}

/// Builds the item of a new conversation.
pub(crate) fn conversation_item(conversation: &Conversation, shards: u64) -> Item {
    Writer::at(keys::conversation(&conversation.key))
        .put("cid", conversation.id.as_str())
        .put("ag", conversation.agent.as_str())
        .put("fn", conversation.fence.0)
        .put("v", conversation.version)
        .put("pe", encode_queue(&conversation.queue))
        .put("ac", conversation.active_at)
        .put_some("hu", conversation.held_until)
        .put_some("rk", conversation.ready.as_ref().map(ReadyKey::as_str))
        .put_some("bo", conversation.behind.as_ref().map(OrderKey::as_str))
        .put("rp", keys::ready_partition(&conversation.key, shards))
        .build()
}

pub(crate) fn lease_item(lease: &Lease) -> Item {
    Writer::default()
        .put("l", lease.id.as_str())
        .put("w", lease.worker.as_str())
        .put("m", lease.entry.message.as_str())
        .put("e", encode_entry(&lease.entry))
        .put("at", lease.claimed_at)
        .put("ex", lease.expires_at)
        .put("rd", lease.redeliveries)
        .put("h", 0_u64)
        .put_some("c", lease.cancelled.then_some(true))
        .build()
}

fn owner_item(owner: &Owner) -> Item {
    Writer::default()
        .put("w", owner.worker.as_str())
        .put("st", owner.state.as_str())
        .put_some("sn", owner.seen_at)
        .put("at", owner.assigned_at)
        .put_some("sw", owner.wanted_elsewhere.then_some(true))
        .put_some("cl", owner.claimed_at)
        .put_some("sf", owner.snapshot_fence.map(|f| f.0))
        .put_some("rs", owner.restored_at)
        .build()
}

pub(crate) fn ended_lease_item(settled: &EndedLease) -> Item {
    let not_before = match settled.outcome {
        Outcome::Requeued { not_before } => Some(not_before),
        Outcome::Done | Outcome::DeadLettered | Outcome::Cancelled => None,
    };
    Writer::default()
        .put("l", settled.lease.as_str())
        .put("o", settled.outcome.as_str())
        .put_some("nb", not_before)
        .put_some("rc", settled.recovered.then_some(true))
        .build()
}

/// Parses a meta item.
pub(crate) fn conversation_from(item: &Item) -> Result<Conversation> {
    let reader = Reader::of(item);
    let entries = reader.texts("pe")?.into_iter().map(|e| entry_from(&reader, "pe", e));
    Ok(Conversation {
        id: reader.id("cid", ConversationId::parse)?,
        key: key_from(&reader)?,
        agent: reader.id("ag", AgentKey::parse)?,
        fence: Fence(reader.number("fn")?),
        version: reader.number("v")?,
        queue: Queue::new(entries.collect::<Result<_, _>>()?),
        lease: lease_of(item)?,
        owner: owner_of(&reader)?,
        last: ended_lease_of(&reader)?,
        ready: reader.text_if("rk")?.map(|k| ReadyKey::from_stored(k.to_owned())),
        behind: reader.text_if("bo")?.map(|k| OrderKey::from_stored(k.to_owned())),
        held_until: reader.time_if("hu")?,
        active_at: reader.time("ac")?,
    })
}

/// Parses the conversation key of an item.
pub(crate) fn key_from(reader: &Reader<'_>) -> Result<ConversationKey> {
    reader.id_after("C#", "pk", ConversationKey::parse)
}

fn entry_from(reader: &Reader<'_>, name: &str, text: &str) -> Result<Entry> {
    decode_entry(text).ok_or_else(|| reader.malformed(name, "not a pending entry"))
}

/// Parses the lease of a meta item.
pub(crate) fn lease_of(item: &Item) -> Result<Option<Lease>> {
    let Some(reader) = Reader::of(item).map_if("ls")? else { return Ok(None) };
    Ok(Some(Lease {
        id: reader.id("l", LeaseId::parse)?,
        worker: reader.id("w", WorkerId::parse)?,
        entry: entry_from(&reader, "e", reader.text("e")?)?,
        claimed_at: reader.time("at")?,
        expires_at: reader.time("ex")?,
        redeliveries: u32::try_from(reader.number("rd")?).unwrap_or(u32::MAX),
        cancelled: reader.flag("c"),
        progress: reader.text_if("pg")?.map(str::to_owned),
    }))
}

fn owner_of(reader: &Reader<'_>) -> Result<Option<Owner>> {
    let Some(reader) = reader.map_if("ow")? else { return Ok(None) };
    Ok(Some(Owner {
        worker: reader.id("w", WorkerId::parse)?,
        state: OwnerState::parse(reader.text("st")?).unwrap_or(OwnerState::Active),
        seen_at: reader.time_if("sn")?,
        assigned_at: reader.time("at")?,
        wanted_elsewhere: reader.flag("sw"),
        claimed_at: reader.time_if("cl")?,
        snapshot_fence: reader.number_if("sf")?.map(Fence),
        restored_at: reader.time_if("rs")?,
    }))
}

fn ended_lease_of(reader: &Reader<'_>) -> Result<Option<EndedLease>> {
    let Some(reader) = reader.map_if("la")? else { return Ok(None) };
    let outcome = match reader.text("o")? {
        "done" => Outcome::Done,
        "requeued" => Outcome::Requeued { not_before: reader.time("nb")? },
        "dead_letter" => Outcome::DeadLettered,
        "cancelled" => Outcome::Cancelled,
        _ => return Err(reader.malformed("o", "not an outcome")),
    };
    Ok(Some(EndedLease { lease: reader.id("l", LeaseId::parse)?, outcome, recovered: reader.flag("rc") }))
}

/// Returns the update from `before` to `after`, on condition that the version did not change in between. A
/// heartbeat or a sign of life does not change the version and cannot invalidate a decision. It must not be
/// overwritten either, so only the changed attributes of the owner are set.
pub(crate) fn change(before: &Conversation, after: &Conversation, shards: u64) -> Update {
    let mut update =
        Update::of(keys::conversation(&before.key)).when_is("v", before.version).set("v", after.version);
    if after.fence != before.fence {
        update = update.set("fn", after.fence.0);
    }
    if after.queue != before.queue {
        update = update.set("pe", encode_queue(&after.queue));
    }
    if after.lease != before.lease {
        update = update.set_or_remove("ls", after.lease.as_ref().map(lease_item));
    }
    update = count_end(update, before, after);
    if after.last != before.last {
        update = update.set_or_remove("la", after.last.as_ref().map(ended_lease_item));
    }
    if after.ready != before.ready {
        update = update.set_or_remove("rk", after.ready.as_ref().map(ReadyKey::as_str));
    }
    if after.behind != before.behind {
        update = update.set_or_remove("bo", after.behind.as_ref().map(OrderKey::as_str));
    }
    if after.held_until != before.held_until {
        update = update.set_or_remove("hu", after.held_until);
    }
    if after.active_at != before.active_at {
        update = update.set("ac", after.active_at);
    }
    change_owner(update, before, after, shards)
}

/// Counts what the end of an attempt without success changes: the entries of an attempt that is repeated no longer belong to
/// the context, and a dead letter is one more.
fn count_end(update: Update, before: &Conversation, after: &Conversation) -> Update {
    let outcome = after.last.as_ref().filter(|_| before.lease.is_some() && after.lease.is_none());
    match outcome.map(|last| last.outcome) {
        Some(Outcome::Requeued { .. }) => update
            .set_to("hc", "if_not_exists(#hc, :none) - if_not_exists(#ls.#h, :none)")
            .bind(":none", 0_u64),
        Some(Outcome::DeadLettered) => update
            .set_to("fa", "if_not_exists(#fa, :none) + :single")
            .bind(":none", 0_u64)
            .bind(":single", 1_u64),
        Some(Outcome::Done | Outcome::Cancelled) | None => update,
    }
}

/// Counts a dead letter that is one no longer. A conversation from before the counter has none.
pub(crate) fn uncount_dead_letter(update: Update) -> Update {
    update.set_to("fa", "if_not_exists(#fa, :single) - :single").bind(":single", 1_u64)
}

fn change_owner(update: Update, before: &Conversation, after: &Conversation, shards: u64) -> Update {
    match (&before.owner, &after.owner) {
        (None, None) => update,
        (Some(_), None) => update.remove("ow").set("rp", keys::ready_partition(&before.key, shards)),
        (None, Some(owner)) => update.set("ow", owner_item(owner)).remove("rp"),
        (Some(old), Some(new)) if old.worker != new.worker => update.set("ow", owner_item(new)),
        (Some(old), Some(new)) => {
            let mut update = update;
            if new.seen_at != old.seen_at {
                update = update.set_or_remove("ow.sn", new.seen_at);
            }
            if new.claimed_at != old.claimed_at {
                update = update.set_or_remove("ow.cl", new.claimed_at);
            }
            if new.snapshot_fence != old.snapshot_fence {
                update = update.set_or_remove("ow.sf", new.snapshot_fence.map(|f| f.0));
            }
            if new.state != old.state {
                update = update.set("ow.st", new.state.as_str());
            }
            update
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use af_domain::policy::Policies;

    fn conversation() -> Conversation {
        let entry = decode_entry("50|5|s|1|5|9|3|tg:1:2").unwrap();
        Conversation {
            id: ConversationId::parse("c").unwrap(),
            key: keys::conversation_key(&ConversationId::parse("c").unwrap()),
            agent: AgentKey::parse("demo").unwrap(),
            fence: Fence(3),
            version: 4,
            queue: Queue::new(vec![entry]),
            lease: None,
            owner: None,
            last: None,
            ready: Some(ReadyKey::at(Timestamp::from_millis(9))),
            behind: None,
            held_until: Some(Timestamp::from_millis(9)),
            active_at: Timestamp::from_millis(1),
        }
    }

    #[test]
    fn an_entry_with_any_id_survives_being_stored() {
        let mut entry = decode_entry("50|5|s|1|5|9|3|tg:1:2").unwrap();
        assert_eq!(encode_entry(&entry), "50|5|s|1|5|9|3|tg:1:2");
        entry.drained = 2;
        assert_eq!(encode_entry(&entry), "50|5|sdd|1|5|9|3|tg:1:2");
        assert_eq!(decode_entry(&encode_entry(&entry)), Some(entry.clone()));
        entry.revised = true;
        assert_eq!(encode_entry(&entry), "50|5|srdd|1|5|9|3|tg:1:2");
        entry.first_fence = None;
        entry.scheduled = false;
        assert_eq!(decode_entry(&encode_entry(&entry)), Some(entry));
        assert_eq!(decode_entry("50|5"), None);
    }

    #[test]
    fn a_conversation_survives_being_stored() {
        let before = conversation();
        assert_eq!(conversation_from(&conversation_item(&before, 4)).unwrap(), before);
    }

    #[test]
    fn a_change_writes_the_differences_on_condition_of_the_version() {
        let before = conversation();
        let worker = WorkerId::parse("w").unwrap();
        let now = Timestamp::from_millis(10);
        let claimed = before.claim(&worker, 1, now, &Policies::default()).unwrap();
        let update = change(&before, &claimed.after, 4);
        assert_eq!(update.condition().unwrap(), "(#v = :is_v)");
        let expression = update.expression();
        for part in ["#fn =", "#pe =", "#ls =", "#ow =", "REMOVE #rk, #hu, #rp"] {
            assert!(expression.contains(part), "{part} in {expression}");
        }
        assert!(!expression.contains("#la"), "{expression}");
    }
}
