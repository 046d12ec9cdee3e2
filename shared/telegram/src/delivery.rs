//! Delivers one text of any length to a chat.
//!
//! Failure handling: if markup is refused, the part is sent again as plain text. After a 429 the delivery
//! waits. If a group has become a supergroup, the delivery continues in the new chat. A failed connection is
//! retried. A call that Telegram *may* have carried out is not repeated: the error contains the number of
//! parts that were certainly sent, and the caller decides.

use std::future::Future;
use std::pin::Pin;

use af_domain::time::Millis;

use crate::client::{Bot, ParseMode, SendMessage, SentMessage};
use crate::error::TelegramError;
use crate::split::{MAX_MESSAGE_UNITS, split};

/// Most parts of one text, about 400 000 characters. Telegram accepts about one message per second and chat,
/// so a longer text would keep its sender busy for minutes. Such a text should be sent as a file.
pub const MAX_PARTS: usize = 100;
/// How often the delivery follows a chat to a new id. A supergroup does not move again; two allows for one
/// stale response.
const MAX_MIGRATIONS: u32 = 2;
/// The wait before a failed connection is retried.
const RECONNECT_WAIT: Millis = Millis::new(1_000);

/// A text to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// The chat.
    pub chat_id: i64,
    /// The whole text, up to `MAX_PARTS` messages long.
    pub text: &'a str,
    /// The markup of the text. A part that Telegram cannot parse (for example because a tag spans two parts)
    /// is sent without markup.
    pub parse_mode: Option<ParseMode>,
    /// The message that the first part replies to.
    pub reply_to: Option<i64>,
    /// The forum topic of the messages.
    pub message_thread_id: Option<i64>,
    /// The number of parts that an earlier attempt has sent (`parts_sent` of its error); zero at first.
    pub parts_sent: usize,
}

/// How long a delivery may wait, over all its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitLimits {
    /// The maximum number of waits.
    pub max_waits: u32,
    /// The longest single wait. If Telegram asks for more, the delivery ends with `RateLimited`.
    pub max_wait: Millis,
}

impl Default for WaitLimits {
    /// Six waits of up to a minute, which suits a worker. A function needs a limit below its timeout.
    fn default() -> Self {
        Self { max_waits: 6, max_wait: Millis::from_secs(60) }
    }
}

/// The result of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The ids of the sent messages, in order; empty if the text had no visible characters.
    pub message_ids: Vec<i64>,
    /// The final chat id. It differs from the requested one if the chat has moved.
    pub chat_id: i64,
}

/// The reason why a text was not delivered completely.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The text has more than `MAX_PARTS` parts. Nothing was sent.
    #[error("the text takes {parts} messages, but the limit is {MAX_PARTS}")]
    TooLong {
        /// The number of messages the text would take.
        parts: usize,
    },
    /// A part was refused, or the limit of waits was reached.
    #[error("part {} was not sent", parts_sent + 1)]
    Part {
        /// The number of parts that were certainly sent, including earlier attempts.
        parts_sent: usize,
        /// The chat for the remaining parts. It differs from the requested one if the chat has moved.
        chat_id: i64,
        /// The error of the next part.
        #[source]
        source: TelegramError,
    },
}

/// A sender of single messages: a [`Bot`], or a test's script.
pub trait Sends: Sync {
    /// Sends one message, once.
    fn send(
        &self,
        message: SendMessage<'_>,
    ) -> impl Future<Output = Result<SentMessage, TelegramError>> + Send;
}

impl Sends for Bot {
    async fn send(&self, message: SendMessage<'_>) -> Result<SentMessage, TelegramError> {
        self.send_message(&message).await
    }
}

/// A way to wait. It is a parameter, so that tests need no real time.
pub trait Pause: Sync {
    /// Waits for `length`.
    fn pause(&self, length: Millis) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Waits with Tokio's timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioPause;

impl Pause for TokioPause {
    fn pause(&self, length: Millis) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(std::time::Duration::from_millis(length.as_millis())))
    }
}

/// Sends `outgoing.text` in as many messages as needed, in order.
///
/// # Errors
/// Returns `TooLong` before anything was sent, or `Part` with the number of sent parts. Pass that number in
/// `Outgoing::parts_sent` to continue the delivery.
pub async fn deliver(
    sender: &impl Sends,
    outgoing: &Outgoing<'_>,
    limits: WaitLimits,
    pause: &(impl Pause + ?Sized),
) -> Result<Delivered, DeliveryError> {
    let parts = split(outgoing.text, MAX_MESSAGE_UNITS);
    if parts.len() > MAX_PARTS {
        return Err(DeliveryError::TooLong { parts: parts.len() });
    }
    let mut run = Run { sender, pause, limits, chat_id: outgoing.chat_id, waits: 0, migrations: 0 };
    let mut message_ids = Vec::new();
    for (index, part) in parts.iter().enumerate().skip(outgoing.parts_sent) {
        let message = SendMessage {
            chat_id: run.chat_id,
            text: part,
            parse_mode: outgoing.parse_mode,
            reply_to: outgoing.reply_to.filter(|_| index == 0),
            message_thread_id: outgoing.message_thread_id,
        };
        match run.send(message).await {
            Ok(sent) => message_ids.push(sent.message_id),
            Err(source) => {
                return Err(DeliveryError::Part { parts_sent: index, chat_id: run.chat_id, source });
            }
        }
    }
    Ok(Delivered { message_ids, chat_id: run.chat_id })
}

/// The state of one delivery: the current chat and the used waits.
struct Run<'a, S, P: ?Sized> {
    sender: &'a S,
    pause: &'a P,
    limits: WaitLimits,
    chat_id: i64,
    waits: u32,
    migrations: u32,
}

impl<S: Sends, P: Pause + ?Sized> Run<'_, S, P> {
    /// Sends one part. The loop ends, because each iteration uses up a wait, a migration or the markup.
    async fn send(&mut self, mut message: SendMessage<'_>) -> Result<SentMessage, TelegramError> {
        loop {
            message.chat_id = self.chat_id;
            let error = match self.sender.send(message.clone()).await {
                Ok(sent) => return Ok(sent),
                Err(error) => error,
            };
            match &error {
                TelegramError::RateLimited { retry_after } if self.may_wait(*retry_after) => {
                    self.wait(*retry_after).await;
                }
                TelegramError::Unreachable(_) if self.may_wait(RECONNECT_WAIT) => {
                    self.wait(RECONNECT_WAIT).await
                }
                TelegramError::ChatMigrated { to } if self.migrations < MAX_MIGRATIONS => {
                    self.migrations += 1;
                    self.chat_id = *to;
                }
                TelegramError::BadRequest { description }
                    if message.parse_mode.is_some() && is_markup_problem(description) =>
                {
                    message.parse_mode = None;
                }
                _ => return Err(error),
            }
        }
    }

    fn may_wait(&self, length: Millis) -> bool {
        self.waits < self.limits.max_waits && length <= self.limits.max_wait
    }

    async fn wait(&mut self, length: Millis) {
        self.waits += 1;
        self.pause.pause(length).await;
    }
}

/// Whether the same text would be accepted without markup: the markup cannot be parsed, or no text is left
/// after parsing. Telegram has no error code for either, only these messages.
fn is_markup_problem(description: &str) -> bool {
    let description = description.to_ascii_lowercase();
    ["can't parse entities", "message text is empty", "text must be non-empty"]
        .iter()
        .any(|words| description.contains(words))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    type Sent = (i64, String, Option<ParseMode>, Option<i64>);

    /// Returns the errors of the script first, and success after that.
    #[derive(Default)]
    struct Script {
        answers: Mutex<VecDeque<TelegramError>>,
        sent: Mutex<Vec<Sent>>,
        tries: Mutex<u32>,
    }

    impl Script {
        fn of(answers: impl IntoIterator<Item = TelegramError>) -> Self {
            Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() }
        }
    }

    impl Sends for Script {
        async fn send(&self, m: SendMessage<'_>) -> Result<SentMessage, TelegramError> {
            *self.tries.lock().unwrap() += 1;
            if let Some(error) = self.answers.lock().unwrap().pop_front() {
                return Err(error);
            }
            let mut sent = self.sent.lock().unwrap();
            sent.push((m.chat_id, m.text.to_owned(), m.parse_mode, m.reply_to));
            Ok(SentMessage { message_id: i64::try_from(sent.len()).unwrap() })
        }
    }

    /// Records waits without waiting.
    #[derive(Default)]
    struct Waits(Mutex<Vec<u64>>);

    impl Pause for Waits {
        fn pause(&self, length: Millis) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            self.0.lock().unwrap().push(length.as_millis());
            Box::pin(async {})
        }
    }

    fn outgoing(text: &str) -> Outgoing<'_> {
        Outgoing {
            chat_id: 7,
            text,
            parse_mode: None,
            reply_to: Some(3),
            message_thread_id: None,
            parts_sent: 0,
        }
    }

    fn limited(seconds: u64) -> TelegramError {
        TelegramError::RateLimited { retry_after: Millis::from_secs(seconds) }
    }

    fn refused(description: &str) -> TelegramError {
        TelegramError::BadRequest { description: description.to_owned() }
    }

    async fn run(script: &Script, out: &Outgoing<'_>) -> (Result<Delivered, DeliveryError>, Vec<u64>) {
        let waits = Waits::default();
        let result = deliver(script, out, WaitLimits::default(), &waits).await;
        (result, waits.0.into_inner().unwrap())
    }

    #[tokio::test]
    async fn a_long_text_is_sent_in_parts_and_only_the_first_is_a_reply() {
        let text = format!("{}\n\n{}", "a".repeat(4_000), "b".repeat(4_000));
        let script = Script::default();
        let (result, _) = run(&script, &outgoing(&text)).await;
        assert_eq!(result.unwrap(), Delivered { message_ids: vec![1, 2], chat_id: 7 });
        let sent = script.sent.into_inner().unwrap();
        assert_eq!(sent[0], (7, "a".repeat(4_000), None, Some(3)));
        assert_eq!(sent[1], (7, "b".repeat(4_000), None, None));
    }

    #[tokio::test]
    async fn an_invisible_text_sends_nothing() {
        let script = Script::default();
        let (result, _) = run(&script, &outgoing(" \n ")).await;
        assert!(result.unwrap().message_ids.is_empty());
        assert_eq!(*script.tries.lock().unwrap(), 0);
    }

    #[tokio::test]
    async fn unparsable_markup_is_sent_as_plain_text() {
        let script = Script::of([refused(
            "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 0",
        )]);
        let out = Outgoing { parse_mode: Some(ParseMode::Html), ..outgoing("<x>hi") };
        assert!(run(&script, &out).await.0.is_ok());
        assert_eq!(script.sent.into_inner().unwrap(), [(7, "<x>hi".to_owned(), None, Some(3))]);
    }

    #[tokio::test]
    async fn a_refused_plain_text_is_not_sent_again() {
        let script = Script::of([refused("Bad Request: can't parse entities")]);
        assert!(run(&script, &outgoing("hi")).await.0.is_err());
        assert_eq!(*script.tries.lock().unwrap(), 1);
    }

    #[tokio::test]
    async fn a_rate_limited_delivery_waits() {
        let script = Script::of([limited(2), limited(5)]);
        let (result, waits) = run(&script, &outgoing("hi")).await;
        assert!(result.is_ok());
        assert_eq!(waits, [2_000, 5_000]);
    }

    #[tokio::test]
    async fn waits_are_limited_in_number_and_length() {
        let script = Script::of((0..50).map(|_| limited(1)));
        let (result, waits) = run(&script, &outgoing("hi")).await;
        assert!(matches!(result, Err(DeliveryError::Part { source: TelegramError::RateLimited { .. }, .. })));
        assert_eq!(waits.len(), 6);

        let (result, waits) = run(&Script::of([limited(3_600)]), &outgoing("hi")).await;
        assert!(result.is_err() && waits.is_empty());
    }

    #[tokio::test]
    async fn a_delivery_follows_a_moved_chat_and_reports_its_new_id() {
        let script = Script::of([TelegramError::ChatMigrated { to: -100 }]);
        let text = format!("{} {}", "a".repeat(4_000), "b".repeat(200));
        let (result, _) = run(&script, &outgoing(&text)).await;
        assert_eq!(result.unwrap().chat_id, -100);
        assert!(script.sent.into_inner().unwrap().iter().all(|sent| sent.0 == -100));
    }

    #[tokio::test]
    async fn repeated_migrations_end_the_delivery() {
        let script = Script::of((0..9).map(|to| TelegramError::ChatMigrated { to }));
        assert!(run(&script, &outgoing("hi")).await.0.is_err());
        assert_eq!(*script.tries.lock().unwrap(), 3);
    }

    #[tokio::test]
    async fn a_part_that_may_have_been_sent_is_not_repeated_and_the_rest_can_be_resumed() {
        let text = format!("{} {} {}", "a".repeat(4_000), "b".repeat(4_000), "c".repeat(4_000));
        let script = Script::default();
        assert!(run(&script, &outgoing(&"x ".repeat(200))).await.0.is_ok());
        let script = Script::of([]);
        let failing = FailsAt { script: &script, at: 2 };
        let waits = Waits::default();
        let result = deliver(&failing, &outgoing(&text), WaitLimits::default(), &waits).await;
        let Err(DeliveryError::Part { parts_sent, source, .. }) = result else { panic!("{result:?}") };
        assert_eq!((parts_sent, source.may_have_happened()), (1, true));

        let rest = Outgoing { parts_sent, ..outgoing(&text) };
        assert_eq!(
            deliver(&script, &rest, WaitLimits::default(), &waits).await.unwrap().message_ids.len(),
            2
        );
        let firsts: Vec<_> = script.sent.into_inner().unwrap().iter().map(|s| s.1.as_bytes()[0]).collect();
        assert_eq!(firsts, b"abc");
    }

    /// Answers 502 to message number `at` and accepts the others.
    struct FailsAt<'a> {
        script: &'a Script,
        at: usize,
    }

    impl Sends for FailsAt<'_> {
        async fn send(&self, message: SendMessage<'_>) -> Result<SentMessage, TelegramError> {
            if self.script.sent.lock().unwrap().len() + 1 == self.at {
                return Err(TelegramError::Unavailable { status: 502 });
            }
            self.script.send(message).await
        }
    }

    #[tokio::test]
    async fn a_text_with_too_many_parts_is_refused_before_sending() {
        let script = Script::default();
        let text = "a".repeat(MAX_MESSAGE_UNITS * MAX_PARTS + 1);
        assert!(matches!(run(&script, &outgoing(&text)).await.0, Err(DeliveryError::TooLong { parts: 101 })));
        assert_eq!(*script.tries.lock().unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_tokio_pause_waits_for_its_length() {
        let before = tokio::time::Instant::now();
        TokioPause.pause(Millis::from_secs(3)).await;
        assert_eq!(before.elapsed().as_secs(), 3);
    }
}
