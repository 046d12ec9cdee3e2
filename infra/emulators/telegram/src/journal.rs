//! The journal: one JSON line for each event, appended before the event takes effect.
//!
//! Rewriting the file for each message would cost more with every message; a line always costs the same. A killed
//! process leaves at most half a line at the end. No caller has got an answer for it, so it is cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::FakeTelegramError;
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
    pub fn open(path: &Path, state: &mut State) -> Result<Self, FakeTelegramError> {
        let failed = |source| FakeTelegramError::Storage { path: path.to_owned(), source };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(failed)?;
        }
        let contents = af_runtime::atomic_file::read(path).map_err(failed)?.unwrap_or_default();
        replay(path, &contents, state)?;
        let events = state.events();
        let file = write_anew(path, &events).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, lines: events.len() })
    }

    /// Appends `events`, all with one write.
    pub fn append(&mut self, events: &[Event]) -> Result<(), FakeTelegramError> {
        let written = lines(events).and_then(|lines| self.file.write_all(&lines));
        written.map_err(|source| self.failed(source))?;
        self.lines += events.len();
        Ok(())
    }

    /// Whether it is time for a [`rewrite`](Self::rewrite).
    pub fn is_long(&self) -> bool {
        self.lines > MAX_LINES
    }

    /// Replaces the journal by `events`.
    pub fn rewrite(&mut self, events: &[Event]) -> Result<(), FakeTelegramError> {
        self.file = write_anew(&self.path, events).map_err(|source| self.failed(source))?;
        self.lines = events.len();
        Ok(())
    }

    fn failed(&self, source: io::Error) -> FakeTelegramError {
        FakeTelegramError::Storage { path: self.path.clone(), source }
    }
}

fn replay(path: &Path, contents: &[u8], state: &mut State) -> Result<(), FakeTelegramError> {
    // The text after the last line break is incomplete, because the process died while it was written.
    let whole = contents.iter().rposition(|&byte| byte == b'\n').map_or(&[][..], |end| &contents[..end]);
    for (index, line) in whole.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let event = serde_json::from_slice(line).map_err(|source| FakeTelegramError::Malformed {
            path: path.to_owned(),
            line: index + 1,
            source,
        })?;
        state.apply(event);
    }
    Ok(())
}

fn write_anew(path: &Path, events: &[Event]) -> io::Result<File> {
    af_runtime::atomic_file::replace(path, &lines(events)?)?;
    OpenOptions::new().append(true).open(path)
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
        let refused = Journal::open(&path, &mut State::default());
        assert!(matches!(refused, Err(FakeTelegramError::Malformed { line: 1, .. })));
    }
}
