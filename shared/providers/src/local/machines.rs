//! What is done to the machines, step by step and synchronously: folders and the process table, under one lock.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use af_domain::ids::WorkerId;
use rustix::process::Signal;

use super::LocalConfig;
use super::home::{Home, Life, Locked, Record};
use super::process::{self, ProcessId, Processes, Start};
use crate::{Machine, MachineRef, MachineState, ProviderError, SpawnSpec, Volume, VolumeRef};

/// The region of every machine here.
const REGION: &str = "local";

type Outcome<T> = Result<T, ProviderError>;

/// The machines of one folder.
#[derive(Debug)]
pub struct Machines {
    pub config: LocalConfig,
    home: Home,
    /// Workers whose kill at the limit is already arranged by this process.
    stopping: Mutex<HashSet<WorkerId>>,
}

/// What a stop found.
pub enum Told {
    /// No process (any more).
    Ended,
    /// The process has just got its SIGTERM.
    Newly,
    /// It got it before, from this process, and its limit runs.
    Before,
}

impl Machines {
    pub fn new(mut config: LocalConfig) -> Self {
        // Workers start in their own folder: a relative path would mean another program there. A bare name is
        // looked up in PATH and stays.
        if config.program.components().nth(1).is_some() {
            config.program = absolute(config.program);
        }
        config.data_dir = absolute(config.data_dir);
        let home = Home::new(&config.data_dir);
        Self { config, home, stopping: Mutex::default() }
    }

    fn lock(&self) -> Outcome<Locked> {
        self.home.lock().map_err(|e| failed("lock the machines' records", e))
    }

    fn read(&self, worker: &WorkerId, locked: &Locked) -> Outcome<Option<Record>> {
        self.home.read(worker, locked).map_err(|e| failed("read the machine's record", e))
    }

    fn write(&self, worker: &WorkerId, record: &Record, locked: &Locked) -> Outcome<()> {
        self.home.write(worker, record, locked).map_err(|e| failed("write the machine's record", e))
    }

    /// The worker's record, an intent resolved: its process, found by the mark, is written down.
    fn settled(&self, worker: &WorkerId, locked: &Locked) -> Outcome<Record> {
        let mut record = self
            .read(worker, locked)?
            .ok_or_else(|| ProviderError::NotFound { what: format!("machine {worker}") })?;
        if record.life == Life::Intended
            && let Some(process) = Processes::all().marked(&self.home.mark(worker)).first()
        {
            record.life = Life::Started(*process);
            self.write(worker, &record, locked)?;
        }
        Ok(record)
    }

    /// The machine's process, if it runs.
    fn running(&self, worker: &WorkerId, life: Life) -> Option<ProcessId> {
        let mark = self.home.mark(worker);
        life.process().filter(|process| Processes::with(&[process.pid]).runs(*process, &mark))
    }

    fn state_of(&self, worker: &WorkerId, life: Life) -> MachineState {
        match (life, self.running(worker, life)) {
            (Life::Started(_), Some(_)) => MachineState::Running,
            (Life::Stopping(_), Some(_)) => MachineState::Stopping,
            (Life::Stopping(_), None) | (Life::Ended { well: true, .. }, _) => MachineState::Stopped,
            (Life::Started(_), None) | (Life::Ended { well: false, .. } | Life::Intended, _) => {
                MachineState::Failed
            }
        }
    }

    fn machine(&self, worker: &WorkerId, record: Record, app_name: &str) -> Machine {
        let machine = MachineRef {
            app_name: app_name.to_owned(),
            machine_id: worker.to_string(),
            region: REGION.to_owned(),
        };
        let state = self.state_of(worker, record.life);
        Machine { machine, worker_id: worker.clone(), state, image: record.image }
    }

    /// What the worker's machine is doing.
    pub fn state(&self, worker: &WorkerId) -> Outcome<MachineState> {
        let record = self.settled(worker, &self.lock()?)?;
        Ok(self.state_of(worker, record.life))
    }

    /// Whether nothing of the machine runs under its own process any more.
    pub fn has_ended(&self, worker: &WorkerId) -> Outcome<bool> {
        match self.state(worker) {
            Err(error) if error.is_not_found() => Ok(true),
            state => state.map(|state| !state.may_run()),
        }
    }

    /// Starts the worker's process, unless the worker has a machine already.
    pub fn spawn(self: &Arc<Self>, worker: &WorkerId, spec: &SpawnSpec) -> Outcome<Machine> {
        if spec.volume.as_ref().is_some_and(|volume| volume.volume_id != worker.as_str()) {
            return Err(ProviderError::Rejected { reason: "the volume is another worker's".to_owned() });
        }
        let locked = self.lock()?;
        self.home.create_volume(worker).map_err(|e| failed("create the volume", e))?;
        let record = match self.settled(worker, &locked) {
            Ok(record) if record.life != Life::Intended => record,
            Err(error) if !error.is_not_found() => return Err(error),
            Ok(_) | Err(_) => self.start(worker, spec, &locked)?,
        };
        Ok(self.machine(worker, record, &spec.scope.app_name))
    }

    fn start(self: &Arc<Self>, worker: &WorkerId, spec: &SpawnSpec, locked: &Locked) -> Outcome<Record> {
        let mut record = Record { image: spec.image.clone(), life: Life::Intended };
        self.write(worker, &record, locked)?;
        let volume = self.home.volume(worker);
        let start = Start {
            program: &self.config.program,
            args: &self.config.args,
            env: spec
                .env
                .iter()
                .map(|(name, value)| (name, placed(value, &spec.volume_path, &volume)))
                .collect(),
            mark: &self.home.mark(worker),
            data: &volume,
            log: self.home.open_log(worker).map_err(|e| failed("open the worker's log", e))?,
        };
        let (child, process) = match process::start(start) {
            Ok(started) => started,
            Err(error) => {
                self.home.remove_record(worker, locked).map_err(|e| failed("take the intent back", e))?;
                let program = self.config.program.display();
                return Err(ProviderError::Rejected {
                    reason: format!("{program} cannot be started: {error}"),
                });
            }
        };
        record.life = Life::Started(process);
        let written = self.write(worker, &record, locked);
        let (this, reaped) = (self.clone(), worker.clone());
        process::reap(child, move |status| this.record_end(&reaped, process, status.code()))
            .map_err(|e| failed("start the thread that reaps the worker", e))?;
        written.map(|()| record)
    }

    /// Called by the reaper. A record that is gone or names another process is left alone.
    fn record_end(&self, worker: &WorkerId, process: ProcessId, code: Option<i32>) {
        let recorded = self.lock().and_then(|locked| {
            let Some(mut record) = self.read(worker, &locked)? else {
                return Ok(());
            };
            if record.life.process() == Some(process) {
                let well = matches!(record.life, Life::Stopping(_)) || code == Some(0);
                record.life = Life::Ended { well, code };
                self.write(worker, &record, &locked)?;
            }
            Ok(())
        });
        match recorded {
            Ok(()) => tracing::info!(worker_id = %worker, code, "worker process ended"),
            Err(error) => tracing::warn!(worker_id = %worker, %error, "the end of a worker is not recorded"),
        }
    }

    /// Every machine that has a record.
    pub fn list(&self, app_name: &str) -> Outcome<Vec<Machine>> {
        let locked = self.lock()?;
        let mut machines = Vec::new();
        for worker in self.workers()? {
            match self.settled(&worker, &locked) {
                Ok(record) => machines.push(self.machine(&worker, record, app_name)),
                Err(error) if error.is_not_found() => {} // A volume whose machine is gone.
                Err(error) => return Err(error),
            }
        }
        Ok(machines)
    }

    fn workers(&self) -> Outcome<Vec<WorkerId>> {
        self.home.workers().map_err(|e| failed("list the workers' folders", e))
    }

    /// Every worker folder that has a volume.
    pub fn list_volumes(&self, app_name: &str) -> Outcome<Vec<Volume>> {
        let locked = self.lock()?;
        let mut volumes = Vec::new();
        for worker in self.workers()? {
            if self.home.volume(&worker).is_dir() {
                let attached_to = self.read(&worker, &locked)?.map(|_| worker.to_string());
                volumes.push(Volume { volume: volume_ref(&worker, app_name), attached_to });
            }
        }
        Ok(volumes)
    }

    /// Makes the worker's folder with its volume.
    pub fn create_volume(&self, worker: &WorkerId, app_name: &str) -> Outcome<VolumeRef> {
        let _locked = self.lock()?;
        self.home.create_volume(worker).map_err(|e| failed("create the volume", e))?;
        Ok(volume_ref(worker, app_name))
    }

    /// Removes the worker's folder, once its machine has no record.
    pub fn remove_volume(&self, worker: &WorkerId) -> Outcome<()> {
        let locked = self.lock()?;
        if self.read(worker, &locked)?.is_some() {
            return Err(ProviderError::Precondition { reason: format!("machine {worker} has the volume") });
        }
        match self.home.remove_folder(worker, &locked) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ProviderError::NotFound { what: format!("volume {worker}") })
            }
            outcome => outcome.map_err(|e| failed("remove the volume", e)),
        }
    }

    /// Removes the machine's record; its volume and log stay.
    pub fn remove_machine(&self, worker: &WorkerId) -> Outcome<()> {
        let locked = self.lock()?;
        self.settled(worker, &locked)?;
        self.home.remove_record(worker, &locked).map_err(|e| failed("remove the machine's record", e))
    }

    /// Sends SIGTERM, unless this process did before.
    pub fn tell_to_stop(&self, worker: &WorkerId) -> Outcome<Told> {
        let locked = self.lock()?;
        let mut record = self.settled(worker, &locked)?;
        let Some(process) = self.running(worker, record.life) else {
            return Ok(Told::Ended);
        };
        if !self.stopping().insert(worker.clone()) {
            return Ok(Told::Before);
        }
        // Written first: a process that ends at once shall be found as one that was told to.
        record.life = Life::Stopping(process);
        let told = self.write(worker, &record, &locked).and_then(|()| {
            process::signal_group(process, Signal::TERM).map_err(|e| failed("send SIGTERM", e))
        });
        if told.is_err() {
            self.limit_is_over(worker);
        }
        told.map(|()| Told::Newly)
    }

    /// The arranged kill was done, or was not needed.
    pub fn limit_is_over(&self, worker: &WorkerId) {
        self.stopping().remove(worker);
    }

    fn stopping(&self) -> MutexGuard<'_, HashSet<WorkerId>> {
        self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One round of killing the machine's group and all that carries its mark; answers how many it still found.
    pub fn kill_once(&self, worker: &WorkerId) -> Outcome<usize> {
        let locked = self.lock()?;
        let record = self.settled(worker, &locked)?;
        let own = self.running(worker, record.life);
        if let Some(process) = own {
            process::signal_group(process, Signal::KILL).map_err(|e| failed("send SIGKILL", e))?;
        }
        let marked = Processes::all().marked(&self.home.mark(worker));
        for process in &marked {
            process::kill(*process).map_err(|e| failed("send SIGKILL", e))?;
        }
        Ok(marked.len() + usize::from(own.is_some()))
    }
}

/// A variable's value. A process has no mounts: what lies on the volume lies in its folder.
fn placed(value: &str, mounted_at: &str, volume: &Path) -> OsString {
    match value.strip_prefix(mounted_at).filter(|_| !mounted_at.is_empty()) {
        Some("") => volume.into(),
        Some(rest) if rest.starts_with('/') => volume.join(rest.trim_start_matches('/')).into(),
        _ => value.into(),
    }
}

fn volume_ref(worker: &WorkerId, app_name: &str) -> VolumeRef {
    VolumeRef { app_name: app_name.to_owned(), volume_id: worker.to_string(), name: worker.to_string() }
}

/// Only an empty path has no absolute form, and that one fails where it is used.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn failed(doing: &str, error: io::Error) -> ProviderError {
    ProviderError::unavailable(format!("could not {doing}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_lie_on_the_volume_lies_in_its_folder() {
        let folder = Path::new("/w/data");
        for (value, expected) in [
            ("/data", "/w/data"),
            ("/data/workspace/skills", "/w/data/workspace/skills"),
            ("/database", "/database"),
            ("http://127.0.0.1/data", "http://127.0.0.1/data"),
            ("node /data/x", "node /data/x"),
        ] {
            assert_eq!(placed(value, "/data", folder), expected);
        }
        assert_eq!(placed("/data", "", folder), "/data", "no volume");
    }
}
