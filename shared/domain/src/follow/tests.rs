use super::*;
use crate::conversation::{Failure, Priority, Queue};
use crate::ids::{AgentKey, ConversationId, ConversationKey, Fence, WorkerId};
use crate::message::{Payload, Reply, ReplyFormat};
use crate::outbox::{Chat, Part};
use crate::policy::Policies;
use crate::time::Millis;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn id(name: &str) -> MessageId {
    MessageId::parse(name).unwrap()
}

fn entry(name: &str) -> Entry {
    Entry {
        message: id(name),
        priority: Priority::new(50).unwrap(),
        due: NOW,
        scheduled: false,
        attempts: 0,
        drained: 0,
        max_attempts: 2,
        not_before: Timestamp::default(),
        first_fence: None,
        revised: false,
    }
}

fn conversation(messages: &[&str]) -> Conversation {
    Conversation {
        id: ConversationId::parse("c").unwrap(),
        key: ConversationKey::parse("abcdefghijklmnopqrstuvwx23").unwrap(),
        agent: AgentKey::parse("demo").unwrap(),
        fence: Fence(0),
        version: messages.len() as u64,
        queue: Queue::new(messages.iter().map(|name| entry(name)).collect()),
        lease: None,
        owner: None,
        last: None,
        ready: None,
        behind: None,
        held_until: None,
        active_at: NOW,
    }
}

fn claimed(conversation: &Conversation) -> Conversation {
    conversation.claim(&WorkerId::parse("w").unwrap(), 7, NOW, &Policies::default()).unwrap().after
}

fn message(name: &str, status: MessageStatus) -> Message {
    let conversation = conversation(&[]);
    Message {
        id: id(name),
        conversation: conversation.id,
        key: conversation.key,
        agent: conversation.agent,
        status,
        priority: Priority::new(50).unwrap(),
        due: NOW,
        enqueued_at: NOW,
        payload: Payload::default(),
        attempts: 1,
        last_error: Some("boom".to_owned()),
        reply: Some(Reply { text: "hi".to_owned(), format: ReplyFormat::Plain }),
        delivery: None,
        finished_at: Some(NOW),
        fence: None,
        max_attempts: None,
        first_fence: None,
        attempt_log: Vec::new(),
        retried_by: None,
        retried_at: None,
        fetched_by: None,
        body_hash: String::new(),
    }
}

/// The changes that a caller sees at each of these moments.
struct Caller {
    seen: Seen,
    now: Timestamp,
}

impl Caller {
    fn begins(conversation: Option<&Conversation>) -> (Vec<String>, Self) {
        let (changes, seen) = Seen::first(conversation, &Listed::default(), NOW);
        (named(&changes), Self { seen, now: NOW })
    }

    fn looks(
        &mut self,
        conversation: Option<&Conversation>,
        listed: &[&str],
        messages: &[Message],
    ) -> Vec<String> {
        self.now = self.now + Millis::new(200);
        let listed = Listed { messages: listed.iter().map(|name| id(name)).collect(), more: false };
        let mut wanted = self.seen.wanted(conversation, &listed);
        wanted.sort();
        let mut read: Vec<_> = messages.iter().map(|message| message.id.clone()).collect();
        read.sort();
        assert_eq!(wanted, read, "the messages that must be read");
        let present = Present { conversation, listed: &listed, messages, now: self.now };
        let (changes, seen) = self.seen.advance(&present);
        self.seen = Seen::parse(&seen.to_string()).unwrap();
        assert_eq!(self.seen, seen, "the value survives being sent to the caller");
        named(&changes)
    }
}

fn named(changes: &[Change]) -> Vec<String> {
    let name = |change: &Change| match change {
        Change::Status(change) => format!("{} {}{}", change.message, change.status, change.attempts),
        Change::Draft { message, text, .. } => format!("{message} draft {text}"),
        Change::Delivery { message, delivery, .. } => format!("{message} {}", delivery.state.as_str()),
        Change::Resync { .. } => "resync".to_owned(),
    };
    changes.iter().map(name).collect()
}

fn delivered(state: DeliveryState) -> Message {
    let mut done = message("a", MessageStatus::Done);
    let chat = Chat::parse("7:42").unwrap();
    done.delivery = Some(crate::outbox::Delivery {
        state,
        chat,
        reason: None,
        parts: vec![Part::Sent { message_id: 5 }],
    });
    done
}

#[test]
fn a_caller_sees_a_message_from_its_acceptance_to_its_delivery() {
    let (changes, mut caller) = Caller::begins(None);
    assert_eq!(changes, [""; 0]);
    let waiting = conversation(&["a"]);
    assert_eq!(caller.looks(Some(&waiting), &["a"], &[]), ["a queued0"]);
    assert_eq!(caller.looks(Some(&waiting), &["a"], &[]), [""; 0]);
    let mut running = claimed(&waiting);
    assert_eq!(caller.looks(Some(&running), &["a"], &[]), ["a processing1"]);
    for text in ["It; searches,=", "It reads."] {
        running.lease.as_mut().unwrap().progress = Some(text.to_owned());
        assert_eq!(caller.looks(Some(&running), &["a"], &[]), [format!("a draft {text}")]);
        assert_eq!(caller.looks(Some(&running), &["a"], &[]), [""; 0]);
    }
    let ended = Conversation { lease: None, version: 9, ..running };
    let waits = [delivered(DeliveryState::Waiting)];
    assert_eq!(caller.looks(Some(&ended), &["a"], &waits), ["a done1"]);
    assert_eq!(caller.looks(Some(&ended), &["a"], &waits), [""; 0]);
    assert_eq!(caller.looks(Some(&ended), &["a"], &[delivered(DeliveryState::Sent)]), ["a sent"]);
    assert_eq!(caller.looks(Some(&ended), &["a"], &[]), [""; 0], "the list still has the message");
}

#[test]
fn a_message_that_ends_between_two_looks_is_shown_with_its_end() {
    let (_, mut caller) = Caller::begins(None);
    let ended = Conversation { version: 4, ..conversation(&[]) };
    let both = [message("b", MessageStatus::DeadLetter), delivered(DeliveryState::Sent)];
    assert_eq!(caller.looks(Some(&ended), &["a", "b"], &both), ["b dead_letter1", "a done1", "a sent"]);
    assert!(caller.seen.needs_list(Some(&ended), caller.now), "the list may lag");
    assert!(!caller.seen.needs_list(Some(&ended), caller.now + MAX_REPLICATION_LAG));
}

#[test]
fn a_failed_attempt_and_its_retry_are_shown() {
    let policies = Policies::default();
    let waiting = conversation(&["a"]);
    let (changes, mut caller) = Caller::begins(Some(&waiting));
    assert_eq!(changes, ["a queued0"]);
    let running = claimed(&waiting);
    assert_eq!(caller.looks(Some(&running), &[], &[]), ["a processing1"]);
    let lease = running.lease.clone().unwrap();
    let failure = Failure { error: "boom".into(), retryable: true, retry_after: None };
    let failed = running.fail(&lease.id, failure, 0.5, NOW, &policies).unwrap();
    assert_eq!(caller.looks(Some(&failed.after), &[], &[]), ["a queued1"]);
    let (changes, _) = Seen::first(Some(&failed.after), &Listed::default(), NOW);
    let Change::Status(change) = &changes[0] else { panic!("{changes:?}") };
    assert!(change.scheduled_for.is_some_and(|at| at > NOW));
}

#[test]
fn a_dead_letter_that_is_queued_again_is_shown_again() {
    let (_, mut caller) = Caller::begins(Some(&conversation(&["a"])));
    let ended = Conversation { version: 2, ..conversation(&[]) };
    let dead = [message("a", MessageStatus::DeadLetter)];
    assert_eq!(caller.looks(Some(&ended), &[], &dead), ["a dead_letter1"]);
    let again = Conversation { version: 3, ..conversation(&["a"]) };
    assert_eq!(caller.looks(Some(&again), &[], &[]), ["a queued0"]);
}

#[test]
fn a_message_that_was_read_before_its_end_waits_for_the_next_look() {
    let (_, mut caller) = Caller::begins(Some(&conversation(&["a"])));
    let ended = Conversation { version: 2, ..conversation(&[]) };
    assert_eq!(caller.looks(Some(&ended), &[], &[message("a", MessageStatus::Queued)]), [""; 0]);
    assert_eq!(caller.looks(Some(&ended), &[], &[message("a", MessageStatus::Cancelled)]), ["a cancelled1"]);
}

#[test]
fn a_caller_of_a_long_queue_sees_what_runs_and_is_sent_back_when_an_unseen_message_ends() {
    let names: Vec<String> = (0..200).map(|n| format!("message-with-a-long-name-{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let full = conversation(&names);
    let (changes, mut caller) = Caller::begins(Some(&full));
    assert_eq!(changes.len(), 200);
    assert!(caller.seen.to_string().len() < 2_000, "the value is part of a URL");
    let running = claimed(&full);
    assert_eq!(caller.looks(Some(&running), &[], &[]), [format!("{} processing1", names[0])]);
    let rest = Conversation { version: 300, ..conversation(&names[1..]) };
    let done = [message(names[0], MessageStatus::Done)];
    assert_eq!(caller.looks(Some(&rest), &[], &done), [format!("{} done1", names[0])]);
    let without_last = Conversation { version: 301, ..conversation(&names[1..199]) };
    assert_eq!(caller.looks(Some(&without_last), &[], &[]), ["resync"]);
    assert_eq!(caller.looks(Some(&without_last), &[], &[]), [""; 0]);
}

#[test]
fn more_new_messages_than_are_listed_send_the_caller_back() {
    let (_, caller) = Caller::begins(None);
    let waiting = conversation(&["b"]);
    let listed = Listed { messages: vec![id("a"), id("b")], more: true };
    let present = Present { conversation: Some(&waiting), listed: &listed, messages: &[], now: NOW };
    let (changes, seen) = caller.seen.advance(&present);
    assert_eq!(named(&changes), ["resync", "b queued0"]);
    assert_eq!(seen.wanted(Some(&waiting), &Listed { more: false, ..listed }), [], "a has ended before");
}

#[test]
fn a_text_of_another_format_is_no_value() {
    for text in ["", "1;2;3", "0;1;2;3;4;5;;", "1;1;2;3;4;5;a=x1;", "1;1;2;3;4;5;a;"] {
        assert_eq!(Seen::parse(text), None, "{text}");
    }
}
