//! `logs`: what a worker has written, where its provider keeps it on this machine.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use af_api::workers::{MachineBody, WorkerBody};
use af_domain::ids::WorkerId;
use anyhow::{Context, bail};
use clap::Args;

use crate::api::{Answer, Api, segment};
use crate::output;

/// The end of a log that is read. A longer log is in the file.
const MAX_BYTES: u64 = 1_048_576;
/// The time between two reads of a log that is followed.
const PAUSE: Duration = Duration::from_millis(500);

/// The log of a worker.
#[derive(Debug, Args)]
pub struct Logs {
    /// The worker
    worker: WorkerId,
    /// Most lines of the log, from its end
    #[arg(long, default_value_t = 200)]
    lines: usize,
    /// Print new lines until Ctrl-C
    #[arg(long)]
    follow: bool,
}

impl Logs {
    pub async fn run(self, api: &Api, data_dir: &Path) -> anyhow::Result<()> {
        let path = format!("/v1/workers/{}", segment(self.worker.as_str()));
        let worker: Answer<WorkerBody> = api.get(&path).await?;
        // The local provider writes it.
        let file = data_dir.join("workers").join(self.worker.as_str()).join("worker.log");
        let Ok(mut log) = File::open(&file) else { bail!(elsewhere(&worker.body)) };
        let unreadable = || format!("{} cannot be read", file.display());
        let length = log.metadata().with_context(unreadable)?.len();
        log.seek(SeekFrom::Start(length.saturating_sub(MAX_BYTES))).with_context(unreadable)?;
        output::lines_of(&last_lines(&read(&mut log).with_context(unreadable)?, self.lines));
        if !self.follow {
            return Ok(());
        }
        loop {
            tokio::time::sleep(PAUSE).await;
            output::lines_of(&read(&mut log).with_context(unreadable)?);
        }
    }
}

/// Where the log of a worker is, when it is not on this machine.
fn elsewhere(worker: &WorkerBody) -> String {
    match &worker.machine {
        Some(MachineBody { app_name, machine_id, .. }) if worker.provider == "fly" => format!(
            "the log of worker {} is at Fly: fly logs --app {app_name} --machine {machine_id}",
            worker.worker_id
        ),
        _ => format!("worker {} has no log in this data folder", worker.worker_id),
    }
}

/// What the log has from here on.
fn read(log: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    log.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_last_lines_of_a_log_are_shown() {
        assert_eq!([last_lines("a\nb\nc\n", 2), last_lines("a\n", 5), last_lines("", 1)], ["b\nc", "a", ""]);
    }
}
