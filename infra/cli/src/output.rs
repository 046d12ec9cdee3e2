//! Printing. When the reader of the output closes it (`| head`), the program ends without an error. Another failure to
//! write, such as a full disk, is an error.

use std::io::{self, Write};

use af_api::pages::Page;
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::terminal;

/// Prints one line for people.
pub fn line(text: &str) {
    exact(&terminal::escaped(text));
}

/// Prints one line for programs, as it is.
pub fn exact(text: &str) {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.unwrap_or_else(|error| unwritable(&error));
}

/// Ends the program, because standard output cannot be written.
pub fn unwritable(cause: &io::Error) -> ! {
    if cause.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    error(&format!("the output cannot be written: {cause}"));
    std::process::exit(1);
}

/// Prints a failure.
pub fn error(text: &str) {
    notice("error", text);
}

/// Prints a warning.
pub fn warning(text: &str) {
    notice("warning", text);
}

/// Prints a step of a command that takes long.
pub fn progress(text: &str) {
    notice("progress", text);
}

fn notice(kind: &str, text: &str) {
    // Without standard error there is no place for the message.
    let _ = writeln!(io::stderr(), "{kind}: {}", terminal::escaped(text));
}

/// Prints each text of a list behind the kind of the list.
pub fn lines(kind: &str, texts: &[String]) {
    for text in texts {
        line(&format!("{kind}: {text}"));
    }
}

/// Prints the lines of a text for people; nothing for an empty text.
pub fn lines_of(text: &str) {
    text.lines().for_each(line);
}

/// Prints rows under their headings.
pub fn table(headings: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(headings.iter().map(|heading| words(heading)));
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| terminal::escaped_line(cell))));
    for row in table.lines() {
        line(row.trim_end());
    }
}

/// The words of a heading in capitals: `queuedReady` as `QUEUED READY`.
fn words(heading: &str) -> String {
    let spaced = |c: char| [c.is_ascii_uppercase().then_some(' '), Some(c.to_ascii_uppercase())];
    heading.chars().flat_map(spaced).flatten().collect()
}

/// A time for people, in UTC.
pub fn time(millis: u64) -> String {
    let at = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    at.map_or_else(|| millis.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// A length of time for people, in its two largest units.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{seconds}.{} s", millis % 1_000 / 100)
    }
}

/// A value for a table; a dash when there is none.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Prints the fields that have a value.
pub fn fields(fields: impl IntoIterator<Item = (&'static str, Option<String>)>) {
    let rows = fields.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
    table(&["field", "value"], rows.collect());
}

/// Prints a page of items under their headings, and the cursor of the next page.
pub fn page<T>(headings: &[&str], page: Page<T>, row: impl FnMut(T) -> Vec<String>) {
    table(headings, page.items.into_iter().map(row).collect());
    if let Some(next) = page.next_cursor {
        line(&format!("more: --cursor {next}"));
    }
}

/// Prints a value as JSON.
pub fn json(value: &serde_json::Value) {
    exact(&format!("{value:#}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_shown_in_its_two_largest_units() {
        let shown = [1_250, 61_000, 3_660_000, 90_000_000, 0].map(span);
        assert_eq!(shown, ["1.2 s", "1 min 1 s", "1 h 1 min", "1 d 1 h", "0.0 s"]);
    }

    #[test]
    fn a_time_is_shown_in_utc() {
        assert_eq!(time(1_796_113_800_999), "2026-12-01 08:30:00Z");
        assert_eq!(time(0), "1970-01-01 00:00:00Z");
        assert_eq!(time(u64::MAX), u64::MAX.to_string());
    }
}
