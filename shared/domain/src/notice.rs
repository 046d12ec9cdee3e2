//! The texts of notices: short messages of the system to people.

use std::collections::BTreeMap;

use crate::named_enum;

named_enum! {
    /// The occasion of a notice, as it is named in the ingress config.
    #[derive(PartialOrd, Ord)]
    pub enum NoticeKind {
        /// `/start` of a person who is bound.
        Greeting = "greeting",
        /// `/start` of a person who is not bound.
        UnknownGreeting = "unknownGreeting",
        /// A pairing code has bound the person.
        Paired = "paired",
        /// A pairing code is not valid.
        WrongCode = "wrongCode",
        /// A pairing code is not valid, and the person must wait before the next one.
        TooManyWrongCodes = "tooManyWrongCodes",
        /// A message is not accepted, because a binding is required and none names the sender.
        Unbound = "unbound",
        /// A message is not accepted, because the chat sends too many.
        RateLimit = "rateLimit",
        /// `/stop` has cancelled messages.
        Stopped = "stopped",
        /// `/stop` has found nothing to cancel.
        NothingToStop = "nothingToStop",
        /// A message has become a dead letter.
        Failure = "failure",
        /// A message goes on without a file that its sender has sent.
        MissingFile = "missingFile",
    }
}

/// The placeholder for the name of the agent.
pub const AGENT_NAME: &str = "{agent}";

impl NoticeKind {
    /// The text that is sent unless the ingress config names another.
    pub const fn default_text(self) -> &'static str {
        match self {
            Self::Greeting => "Hello! You are connected. Send a message to begin.",
            Self::UnknownGreeting => {
                "Hello! This chat is not connected with an account yet. To connect it, open the link in your app."
            }
            Self::Paired => "You are connected with {agent}. Send a message to begin.",
            Self::WrongCode => "This code is not valid. Open the link in your app again to get a new code.",
            Self::TooManyWrongCodes => {
                "This code is not valid. You have sent too many wrong codes, so please wait ten minutes before you \
                 send the next one."
            }
            Self::Unbound => {
                "This chat is not connected with an account yet. To connect it, open the link in your app."
            }
            Self::RateLimit => {
                "You are sending messages faster than I can answer. Please wait a moment, then send your last message \
                 again."
            }
            Self::Stopped => "Stopped.",
            Self::NothingToStop => "There is nothing to stop.",
            Self::Failure => "Sorry, I could not answer your last message. Please send it again later.",
            Self::MissingFile => {
                "I could not get a file that you have sent, so I answer without it. Please send it again if it matters."
            }
        }
    }
}

/// The texts in force for the notices of one bot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoticeTexts(BTreeMap<NoticeKind, String>);

impl NoticeTexts {
    /// Sets the text for an occasion. An empty text sends no notice.
    pub fn set(&mut self, kind: NoticeKind, text: String) {
        self.0.insert(kind, text);
    }

    /// The text for an occasion as it is configured, with its placeholder.
    pub fn configured(&self, kind: NoticeKind) -> &str {
        self.0.get(&kind).map_or(kind.default_text(), String::as_str)
    }

    /// Whether the text for an occasion contains the name of the agent.
    pub fn names_agent(&self, kind: NoticeKind) -> bool {
        self.configured(kind).contains(AGENT_NAME)
    }

    /// The text for an occasion; `None` if no notice is sent. Without a name of the agent, the words "the agent" replace it.
    pub fn text(&self, kind: NoticeKind, agent_name: Option<&str>) -> Option<String> {
        let text = self.configured(kind);
        let text = text.replace(AGENT_NAME, agent_name.unwrap_or("the agent"));
        Some(text).filter(|text| !text.trim().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_the_agent_and_an_empty_text_sends_no_notice() {
        let mut texts = NoticeTexts::default();
        let paired = |texts: &NoticeTexts, name| texts.text(NoticeKind::Paired, name);
        let expected = "You are connected with Mia. Send a message to begin.";
        assert_eq!(paired(&texts, Some("Mia")).as_deref(), Some(expected));
        assert!(paired(&texts, None).unwrap().contains("with the agent"));
        texts.set(NoticeKind::Paired, "Hi, {agent} here".into());
        assert_eq!(paired(&texts, Some("Mia")).as_deref(), Some("Hi, Mia here"));
        texts.set(NoticeKind::Paired, " ".into());
        assert_eq!(paired(&texts, Some("Mia")), None);
        assert_eq!(texts.configured(NoticeKind::Stopped), "Stopped.");
    }
}
