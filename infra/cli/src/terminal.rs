//! The terminal: characters that would change what it shows, and input that it does not show.

use std::io;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The text without characters that control a terminal or change the direction of text. Texts of users contain them to
/// make output look like something else. Line breaks and tabs stay.
pub fn escaped(text: &str) -> String {
    escaped_except(text, |c| matches!(c, '\n' | '\t'))
}

/// The same for a text that must stay on its line, such as the cell of a table.
pub fn escaped_line(text: &str) -> String {
    escaped_except(text, |_| false)
}

fn escaped_except(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_control(c) && !stays(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Control characters, marks and overrides of the direction of text, and separators of lines.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Reads standard input, a terminal, to its end. The terminal does not show what is typed.
pub fn read_hidden() -> io::Result<String> {
    let _hidden = HiddenInput::start()?;
    io::read_to_string(io::stdin())
}

/// A terminal that shows no input until this value is dropped.
struct HiddenInput(Termios);

impl HiddenInput {
    fn start() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        // Without the terminal, nothing has to be restored.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidi_characters_are_escaped_in_human_output() {
        let attack = "a\u{1b}[2Jb\u{202e}c\u{2066}d\u{9b}e\u{7f}\r\u{200f}\u{2028}";
        assert_eq!(escaped(attack), r"a\u{1b}[2Jb\u{202e}c\u{2066}d\u{9b}e\u{7f}\r\u{200f}\u{2028}");
        assert_eq!(escaped("line\n\tindented äöü 你好 🙂"), "line\n\tindented äöü 你好 🙂");
        assert_eq!(escaped_line("row\nforged\tcell"), r"row\nforged\tcell");
    }
}
