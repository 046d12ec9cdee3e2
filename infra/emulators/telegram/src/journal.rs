//! The journal: one JSON line for each event, appended before the event takes effect.
//!
//! Rewriting the file for each message would cost more with every message; a line always costs the same. A killed
//! process leaves at most half a line at the end. No caller has got an answer for it, so it is cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::records::Event;
use super::state::State;

/// The number of lines after which the journal is rewritten, so that it does not grow without a limit. It is well
/// above the lines of the state itself, whose outbox alone may have 20 000.
const MAX_LINES: usize = 100_000;

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    lines: usize,
}

impl Journal {
    /// Reads the journal at `path`, if it exists, into `state`, and rewrites it.
    pub fn open(path: &Path, state: &mut State) -> anyhow::Result<Self> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).with_context(|| unusable(path))?;
        }
        let contents = af_runtime::atomic_file::read(path).with_context(|| unusable(path))?;
        replay(path, &contents.unwrap_or_default(), state)?;
        let events = state.events();
        let file = write_anew(path, &events)?;
        Ok(Self { path: path.to_owned(), file, lines: events.len() })
    }

    /// Appends `events`, all with one write.
    pub fn append(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let written = lines(events).and_then(|lines| self.file.write_all(&lines));
        written.with_context(|| unusable(&self.path))?;
        self.lines += events.len();
        Ok(())
    }

    /// Whether it is time for a [`rewrite`](Self::rewrite).
    pub fn is_long(&self) -> bool {
        self.lines > MAX_LINES
    }

    /// Replaces the journal by `events`.
    pub fn rewrite(&mut self, events: &[Event]) -> anyhow::Result<()> {
        self.file = write_anew(&self.path, events)?;
        self.lines = events.len();
        Ok(())
    }
}

pub(super) fn unusable(path: &Path) -> String {
    format!("the Telegram emulator cannot use {}", path.display())
}

fn replay(path: &Path, contents: &[u8], state: &mut State) -> anyhow::Result<()> {
    // The text after the last line break is incomplete, because the process died while it was written.
    let whole = contents.iter().rposition(|&byte| byte == b'\n').map_or(&[][..], |end| &contents[..end]);
    for (index, line) in whole.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let event = serde_json::from_slice(line).with_context(|| {
            format!("line {} of {} is not an event of the Telegram emulator", index + 1, path.display())
        })?;
        state.apply(event);
    }
    Ok(())
}

fn write_anew(path: &Path, events: &[Event]) -> anyhow::Result<File> {
    let written = lines(events).and_then(|lines| af_runtime::atomic_file::replace(path, &lines));
    written.and_then(|()| OpenOptions::new().append(true).open(path)).with_context(|| unusable(path))
}

fn lines(events: &[Event]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bot(id: i64) -> Event {
        Event::Bot { id, token: format!("{id}:t"), username: "b".to_owned(), last_update_id: 0 }
    }

    #[test]
    fn appended_events_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deeper").join("telegram.jsonl");
        let mut journal = Journal::open(&path, &mut State::default()).unwrap();
        journal.append(&[bot(1), bot(2)]).unwrap();
        let mut state = State::default();
        Journal::open(&path, &mut state).unwrap();
        assert_eq!(state.bot_ids(), [1, 2]);
    }

    #[test]
    fn a_half_line_at_the_end_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("telegram.jsonl");
        Journal::open(&path, &mut State::default()).unwrap().append(&[bot(1)]).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"event":"bot","id":2,"to"#).unwrap();
        let mut state = State::default();
        let mut journal = Journal::open(&path, &mut state).unwrap();
        assert_eq!(state.bot_ids(), [1]);
        journal.append(&[bot(3)]).unwrap();
        let mut state = State::default();
        Journal::open(&path, &mut state).unwrap();
        assert_eq!(state.bot_ids(), [1, 3]);
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("telegram.jsonl");
        std::fs::write(&path, "hello\n").unwrap();
        let refused = Journal::open(&path, &mut State::default()).unwrap_err().to_string();
        assert!(refused.starts_with("line 1 of ") && refused.ends_with("Telegram emulator"), "{refused}");
    }
}
