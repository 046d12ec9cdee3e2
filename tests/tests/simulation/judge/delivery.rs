//! Each part of a reply arrives once at most, in its order, and only in the chat of its user. Every part that did not
//! certainly arrive is accounted for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Check, Judge};
use crate::answers::Delivered;
use crate::tally::Event;
use crate::telegram::{Arrived, parts_of};
use crate::world::World;

/// How long before its call a sender may have looked whose chat it is, ms.
const LOOKED_BEFORE_MS: u64 = 30_000;

/// What has arrived, and what waits.
#[derive(Default)]
pub struct Deliveries {
    /// Chats with an outbox in which something waits.
    outboxes: BTreeSet<String>,
    /// The parts that have arrived.
    parts: BTreeSet<(String, usize)>,
    /// The last part that has arrived in each chat, and the messages that were there before.
    last: BTreeMap<String, (String, usize)>,
    before: BTreeSet<(String, String)>,
}

impl Deliveries {
    pub fn outbox_changed(&mut self, pk: &str, image: &Value) {
        if image["q"].is_null() {
            self.outboxes.remove(pk);
        } else {
            self.outboxes.insert(pk.to_owned());
        }
    }

    pub fn is_everything_sent(&self) -> bool {
        self.outboxes.is_empty()
    }

    /// Notes a part that has arrived: once, after the earlier parts of its message, and not between those of another.
    fn arrived(&mut self, message: &str, number: usize, arrived: &Arrived) -> Check {
        if !self.parts.insert((message.to_owned(), number)) {
            return Err(format!("a part of {message} arrived twice: {arrived:?}"));
        }
        let next = (message.to_owned(), number);
        match self.last.insert(arrived.chat.clone(), next) {
            Some((last, earlier)) if last == message && earlier > number => {
                Err(format!("parts of {message} arrived out of order: {arrived:?}"))
            }
            Some((last, _)) if last != message => {
                self.before.insert((arrived.chat.clone(), last));
                let again = self.before.contains(&(arrived.chat.clone(), message.to_owned()));
                if again { Err(format!("another message came between parts of {message}")) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

/// The message and the number of a part.
fn part(text: &str) -> Option<(&str, usize)> {
    let (message, number) = text.split(' ').next()?.rsplit_once('/')?;
    Some((message, number.parse().ok()?))
}

impl Judge {
    /// Checks the parts that have arrived since the last call.
    pub(super) fn arrivals(&mut self, world: &World) -> Check {
        let arrived: Vec<_> = world.telegram.arrived.lock().unwrap().drain(..).collect();
        for arrived in arrived {
            let Some((message, number)) = part(&arrived.text) else {
                self.count(Event::NoticeArrived);
                continue;
            };
            self.deliveries.arrived(message, number, &arrived)?;
            self.is_for_its_user(world, message, &arrived.chat, arrived.sent, arrived.at)?;
        }
        let drafts: Vec<_> = world.telegram.drafts.lock().unwrap().drain(..).collect();
        drafts.iter().try_for_each(|draft| self.draft(world, draft))
    }

    /// Checks that what concerns `message` was shown in the chat of its user. Its call took from `sent` to `at`, ms.
    pub(super) fn is_for_its_user(
        &self,
        world: &World,
        message: &str,
        chat: &str,
        sent: u64,
        at: u64,
    ) -> Check {
        let stored = self.messages.get(message);
        let Some((user, agent)) = stored.and_then(|m| world.owner_of(&m.conversation)) else {
            return Err(format!("the chat {chat} was shown something of an unknown message, {message}"));
        };
        self.destinations.check(&Delivered {
            message: message.to_owned(),
            user: user.to_string(),
            agent: agent.to_owned(),
            target: Some(chat.to_owned()),
            asked: sent.saturating_sub(LOOKED_BEFORE_MS),
            answered: at,
            text: None,
        })
    }

    /// Checks at the end that each delivery says what has arrived.
    pub(super) fn all_accounted_for(&self) -> Check {
        for (id, message) in &self.messages {
            let has_arrived = |number| self.deliveries.parts.contains(&(id.clone(), number));
            let Some(delivery) = &message.delivery else {
                if has_arrived(0) {
                    return Err(format!("{id} has a reply in a chat and no delivery"));
                }
                continue;
            };
            let delivery: Value = serde_json::from_str(delivery).unwrap();
            let state = delivery["st"].as_str().unwrap_or_default();
            let parts = delivery["p"].as_array().cloned().unwrap_or_default();
            self.count(match state {
                "sent" => Event::DeliverySent,
                "uncertain" => Event::DeliveryUncertain,
                "failed" => Event::DeliveryFailed,
                "cancelled" => Event::DeliveryCancelled,
                _ => return Err(format!("{id}: nothing waits any more, but its delivery is {delivery}")),
            });
            let is_complete = parts.len() == parts_of(id);
            if matches!(state, "sent" | "uncertain") && !is_complete {
                return Err(format!("{id}: parts are missing in its delivery {delivery}"));
            }
            for (number, part) in parts.iter().enumerate() {
                if part.is_number() && !has_arrived(number) {
                    return Err(format!("{id}: part {number} is said to have arrived: {delivery}"));
                }
                if part == "f" && has_arrived(number) {
                    return Err(format!("{id}: part {number} has arrived, but is said to have failed"));
                }
            }
            if (parts.len()..parts_of(id)).any(has_arrived) {
                return Err(format!("{id}: a part has arrived that {delivery} does not know"));
            }
        }
        Ok(())
    }
}
