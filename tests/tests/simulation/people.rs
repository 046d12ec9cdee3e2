//! People who write to a bot: messages, edits, albums and commands to stop, as updates at the webhook. Telegram sends an
//! update again until it is answered, and sometimes once more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use af_app::AppError;
use af_app::telegram::commands::Answered;
use af_app::telegram::ingress::{Change, Handled, handle};
use af_domain::refusal::Code;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::answers::Stopped;
use crate::bindings::{BOT, CHATS, WEBHOOK_SECRET};
use crate::costs::Operation;
use crate::instance::Instance;
use crate::tally::Event;
use crate::world::World;

/// Longest pause between two updates, ms.
const MAX_PAUSE_MS: u64 = 9_000;
/// Longest pause between two photos of an album, ms.
const MAX_ALBUM_PAUSE_MS: u64 = 2_000;
/// How often Telegram sends an update without an answer.
const MAX_SENDINGS: usize = 4;
/// The first number of an update: the updates of users have lower numbers.
const FIRST_UPDATE: u64 = 500_000_000;
/// A moment in 2027, in seconds. Each edit is a second later than the one before.
const FIRST_EDIT: u64 = 1_800_000_000;

/// A text that a person has written.
#[derive(Clone)]
struct Written {
    chat: u64,
    number: u64,
    /// How often the person has edited it.
    edits: u64,
}

impl Written {
    fn text(&self) -> String {
        format!("p{}/{}/{}", self.chat, self.number, self.edits)
    }
}

/// The message and the number of the edit that a text of a person names.
pub fn edit_of(text: &str) -> Option<(&str, u64)> {
    let (message, edit) = text.strip_prefix('p')?.rsplit_once('/')?;
    Some((message, edit.parse().ok()?))
}

/// All people, who write to one bot.
struct People {
    world: Arc<World>,
    rng: StdRng,
    /// Instances of the function webhook.
    functions: [Instance; 2],
    update: u64,
    written: Vec<Written>,
    /// The chat whose message was accepted last, in which most of the next ones are written.
    lively: Option<u64>,
}

pub async fn people(world: Arc<World>, actor: u64) {
    let rng = world.rng(actor);
    let functions = [0, 1].map(|n| Instance::new(&world, actor + n, Event::UserFunctionDied));
    let (update, written) = (FIRST_UPDATE, Vec::new());
    let mut people = People { world: world.clone(), rng, functions, update, written, lively: None };
    while !world.is_in_final_phase() {
        people.wait(MAX_PAUSE_MS).await;
        match people.rng.random_range(0..100) {
            0..20 => people.edit().await,
            20..35 => people.send_album().await,
            35..47 => people.stop().await,
            _ => people.write().await,
        }
    }
}

impl People {
    async fn wait(&mut self, max_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.rng.random_range(1..max_ms))).await;
    }

    fn new_text(&mut self) -> Written {
        let number = self.written.len() as u64 + 1;
        let written = Written { chat: self.chat(), number, edits: 0 };
        self.written.push(written.clone());
        written
    }

    fn chat(&mut self) -> u64 {
        let any = self.rng.random_range(1..=CHATS);
        self.lively.filter(|_| self.rng.random_bool(0.7)).unwrap_or(any)
    }

    async fn write(&mut self) {
        let written = self.new_text();
        let message = self.message(&written, json!({"text": written.text()}));
        match self.send("message", message).await {
            Some(Handled::Enqueued { .. }) => {
                self.count(Event::UpdateEnqueued);
                self.lively = Some(written.chat);
            }
            _ => self.lively = self.lively.filter(|chat| *chat != written.chat),
        }
    }

    async fn edit(&mut self) {
        let recent = self.written.len().saturating_sub(4);
        let Some(last) = self.written.len().checked_sub(1) else { return };
        let written = &mut self.written[self.rng.random_range(recent..=last)];
        written.edits += 1;
        let written = written.clone();
        let edited_at = FIRST_EDIT + self.update - FIRST_UPDATE;
        let edit = self.message(&written, json!({"text": written.text(), "edit_date": edited_at}));
        match self.send("edited_message", edit).await {
            Some(Handled::Changed { message, by: Change::Edit }) => {
                self.count(Event::EditApplied);
                let answered = self.world.now().as_millis();
                let mut people = self.world.answers.people.lock().unwrap();
                people.edited.push((message.to_string(), written.edits, answered));
            }
            Some(Handled::Enqueued { .. }) => self.count(Event::EditEnqueued),
            Some(Handled::Ignored { .. }) => self.count(Event::EditIgnored),
            _ => {}
        }
    }

    /// Sends the photos of an album, of which the first one has the caption.
    async fn send_album(&mut self) {
        let caption = self.new_text();
        let mut files = 1;
        for photo in 0..self.rng.random_range(2..=3_u64) {
            let written = Written { number: caption.number * 1_000 + photo, ..caption.clone() };
            let file = format!("photo {}", written.number);
            let mut fields = json!({
                "media_group_id": format!("{}", caption.number),
                "photo": [{"file_id": file, "file_unique_id": file, "width": 9, "height": 9}],
            });
            if photo == 0 {
                fields["caption"] = caption.text().into();
            }
            let message = self.message(&written, fields);
            if let Some(Handled::Changed { message, by: Change::Album }) = self.send("message", message).await
            {
                self.count(Event::AlbumJoined);
                files += 1;
                self.world.answers.people.lock().unwrap().albums.push((message.to_string(), files));
            }
            self.wait(MAX_ALBUM_PAUSE_MS).await;
        }
    }

    /// Stops the agent in a chat, by the command or by the button of a draft.
    async fn stop(&mut self) {
        let chat = self.chat();
        let (asked, accepted) = (self.world.now().as_millis(), self.accepted());
        let handled = if self.rng.random_bool(0.7) {
            let written = Written { chat, number: 900_000 + self.update % 100_000, edits: 0 };
            let message = self.message(&written, json!({"text": "/stop"}));
            self.send("message", message).await
        } else {
            let pressed = json!({"chat": chat_of(chat), "draft_id": 1});
            self.send("stopped_message_generation", pressed).await
        };
        if let Some(Handled::Command(Answered::Stopped { .. })) = handled {
            self.count(Event::StoppedByPerson);
            let answered = self.world.now().as_millis();
            let stopped = Stopped { chat: chat.to_string(), asked, answered, accepted };
            self.world.answers.people.lock().unwrap().stopped.push(stopped);
        }
    }

    fn accepted(&self) -> BTreeSet<String> {
        self.world.answers.accepted.lock().unwrap().keys().cloned().collect()
    }

    fn message(&self, written: &Written, mut fields: Value) -> Value {
        fields["message_id"] = written.number.into();
        fields["date"] = FIRST_EDIT.into();
        fields["chat"] = chat_of(written.chat);
        fields["from"] = json!({"id": written.chat, "is_bot": false, "first_name": "P"});
        fields
    }

    /// Sends an update until it is answered; `None` when Telegram has given up.
    async fn send(&mut self, kind: &str, content: Value) -> Option<Handled> {
        self.update += 1;
        let body = json!({"update_id": self.update, kind: content}).to_string();
        if self.rng.random_bool(0.1) {
            self.count(Event::UpdateTwiceAtOnce);
            let [one, other] = &mut self.functions;
            let apps = (one.app(), other.app());
            let (first, second) = tokio::join!(
                one.call(Operation::Webhook, handle(&apps.0, BOT, Some(WEBHOOK_SECRET), body.as_bytes())),
                other.call(Operation::Webhook, handle(&apps.1, BOT, Some(WEBHOOK_SECRET), body.as_bytes())),
            );
            let mut answers: Vec<_> =
                [self.checked(first), self.checked(second)].into_iter().flatten().collect();
            // One of the two calls has changed the message, and the other one has found the change.
            answers.sort_by_key(|handled| !matches!(handled, Handled::Changed { .. }));
            return answers.into_iter().next();
        }
        for _ in 0..MAX_SENDINGS {
            let handled = self.send_once(&body).await;
            if handled.is_none() {
                self.wait(3_000).await;
                continue;
            }
            if self.rng.random_bool(0.15) {
                self.count(Event::UpdateAgain);
                self.send_once(&body).await;
            }
            return handled;
        }
        None
    }

    async fn send_once(&mut self, body: &str) -> Option<Handled> {
        let function = &mut self.functions[self.rng.random_range(0..2)];
        let app = function.app();
        let handled = handle(&app, BOT, Some(WEBHOOK_SECRET), body.as_bytes());
        let handled = function.call(Operation::Webhook, handled).await;
        self.checked(handled)
    }

    /// The result of an update, if there is one. A result that is not allowed is a violation.
    fn checked(&self, answer: Option<Result<Handled, AppError>>) -> Option<Handled> {
        let is_stopped = self.world.has_stopped_agent.load(Ordering::Relaxed);
        let handled = match answer? {
            Ok(handled) => handled,
            Err(AppError::Store(_) | AppError::Overtaken(_)) => return None,
            // A deleted agent has no bot until it is made again.
            Err(AppError::Refused(refusal)) if refusal.code == Code::Unauthorized && is_stopped => {
                return None;
            }
            Err(other) => {
                self.world.add_violation(format!("an update was refused: {other}"));
                return None;
            }
        };
        self.world.note(|| format!("update {}: {handled:?}", self.update));
        match &handled {
            Handled::Enqueued { message, .. } => self.world.answers.accept(message.to_string(), None),
            Handled::Rejected(_) => self.count(Event::UpdateRejected),
            Handled::Changed { .. } | Handled::Command(Answered::Stopped { .. }) => {}
            Handled::Ignored { reason } => {
                let is_edit = matches!(reason.as_str(), "edit_overtaken" | "edit_without_change");
                let is_of_agent = matches!(reason.as_str(), "agent_disabled" | "not_found");
                let is_allowed = is_edit || (is_of_agent && is_stopped);
                if !is_allowed {
                    self.world.add_violation(format!("an update was ignored: {reason}"));
                }
            }
            other @ (Handled::Command(_) | Handled::ManagedBot { .. }) => {
                self.world.add_violation(format!("unexpected result of an update: {other:?}"));
            }
        }
        Some(handled)
    }

    fn count(&self, event: Event) {
        self.world.shared.tally.count(event);
    }
}

fn chat_of(id: u64) -> Value {
    json!({"id": id, "type": "private", "first_name": "P"})
}
