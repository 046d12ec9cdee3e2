//! The steps on machines, all synchronous: folders and the process table, under one lock.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use af_domain::ids::WorkerId;
use rustix::process::Signal;
use secrecy::ExposeSecret;

use super::home::{Home, Life, Locked, Record};
use super::options::{LocalOptions, WorkerKind};
use super::process::{self, ProcessId, Processes, Start};
use crate::error::ProviderError;
use crate::machine::{Machine, MachineRef, MachineState, SpawnSpec, Volume, VolumeRef};

/// The region of every machine of this provider.
const REGION: &str = "local";

type ProviderResult<T> = Result<T, ProviderError>;

/// The machines of one folder.
#[derive(Debug)]
pub struct Machines {
    pub options: LocalOptions,
    home: Home,
    /// Workers that this process has sent SIGTERM and kills at the time limit.
    stopping: Mutex<HashSet<WorkerId>>,
}

/// The result of a request to stop a machine.
pub enum StopRequest {
    /// The machine has no process any more.
    HasEnded,
    /// SIGTERM is sent now.
    Sent,
    /// This process has sent SIGTERM before, and the time limit runs.
    SentBefore,
}

impl Machines {
    pub fn new(mut options: LocalOptions) -> Self {
        // Workers start in their own folder, where a relative path would name another program. A bare name is looked up
        // in PATH and stays as it is.
        if options.program.components().nth(1).is_some() {
            options.program = absolute(options.program);
        }
        options.data_dir = absolute(options.data_dir);
        let home = Home::new(&options.data_dir);
        Self { options, home, stopping: Mutex::default() }
    }

    fn lock(&self) -> ProviderResult<Locked> {
        self.home.lock().map_err(|e| failed("lock the machines' records", e))
    }

    fn read(&self, worker: &WorkerId, locked: &Locked) -> ProviderResult<Option<Record>> {
        self.home.read(worker, locked).map_err(|e| failed("read the machine's record", e))
    }

    fn write(&self, worker: &WorkerId, record: &Record, locked: &Locked) -> ProviderResult<()> {
        self.home.write(worker, record, locked).map_err(|e| failed("write the machine's record", e))
    }

    /// The worker's record. When it is an intent, the process with the mark is written into it.
    fn resolved(&self, worker: &WorkerId, locked: &Locked) -> ProviderResult<Record> {
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

    /// The machine's process, when it runs.
    fn running(&self, worker: &WorkerId, life: Life) -> Option<ProcessId> {
        let mark = self.home.mark(worker);
        life.process().filter(|process| Processes::with(&[process.pid]).runs(*process, &mark))
    }

    fn state_of(&self, worker: &WorkerId, life: Life) -> MachineState {
        match (life, self.running(worker, life)) {
            (Life::Started(_), Some(_)) => MachineState::Running,
            (Life::Stopping(_), Some(_)) => MachineState::Stopping,
            (Life::Stopping(_), None) | (Life::Ended { as_expected: true, .. }, _) => MachineState::Stopped,
            (Life::Started(_), None) | (Life::Ended { as_expected: false, .. } | Life::Intended, _) => {
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

    /// The state of the worker's machine.
    pub fn state(&self, worker: &WorkerId) -> ProviderResult<MachineState> {
        let record = self.resolved(worker, &self.lock()?)?;
        Ok(self.state_of(worker, record.life))
    }

    /// Whether nothing of the machine runs under its own process any more.
    pub fn has_ended(&self, worker: &WorkerId) -> ProviderResult<bool> {
        match self.state(worker) {
            Err(error) if error.is_not_found() => Ok(true),
            state => state.map(|state| !state.may_run()),
        }
    }

    /// Starts the worker's process, unless the worker has a machine already.
    pub fn spawn(self: &Arc<Self>, worker: &WorkerId, spec: &SpawnSpec) -> ProviderResult<Machine> {
        if spec.volume.as_ref().is_some_and(|volume| volume.volume_id != worker.as_str()) {
            return Err(ProviderError::Rejected { reason: "the volume is another worker's".to_owned() });
        }
        let locked = self.lock()?;
        self.home.create_volume(worker).map_err(|e| failed("create the volume", e))?;
        let record = match self.resolved(worker, &locked) {
            Ok(record) if record.life != Life::Intended => record,
            Err(error) if !error.is_not_found() => return Err(error),
            Ok(_) | Err(_) => self.start(worker, spec, &locked)?,
        };
        Ok(self.machine(worker, record, &spec.scope.app_name))
    }

    fn start(
        self: &Arc<Self>,
        worker: &WorkerId,
        spec: &SpawnSpec,
        locked: &Locked,
    ) -> ProviderResult<Record> {
        let mut record = Record { image: spec.image.clone(), life: Life::Intended };
        self.write(worker, &record, locked)?;
        let volume = self.home.volume(worker);
        let start = Start {
            program: &self.options.program,
            args: &self.options.args,
            env: self.env(spec, &volume)?,
            mark: &self.home.mark(worker),
            data: &volume,
            log: self.home.open_log(worker).map_err(|e| failed("open the worker's log", e))?,
        };
        let (child, process) = match process::start(start) {
            Ok(started) => started,
            Err(error) => {
                self.home.remove_record(worker, locked).map_err(|e| failed("remove the intent", e))?;
                let program = self.options.program.display();
                return Err(ProviderError::Rejected {
                    reason: format!("{program} cannot be started: {error}"),
                });
            }
        };
        record.life = Life::Started(process);
        let written = self.write(worker, &record, locked);
        let (this, reaped) = (self.clone(), worker.clone());
        process::reap(child, move |status| this.record_end(&reaped, process, status.code()))
            .map_err(|e| failed("start the thread that waits for the worker", e))?;
        written.map(|()| record)
    }

    /// The variables of a worker: those of the deployment, then those of this machine.
    fn env(&self, spec: &SpawnSpec, volume: &Path) -> ProviderResult<BTreeMap<String, OsString>> {
        let is_image = self.options.kind == WorkerKind::Image;
        let mounted_at = if is_image { "" } else { &spec.volume_path };
        let deployed = spec.env.iter();
        let mut env: BTreeMap<String, OsString> = deployed
            .map(|(name, value)| (name.to_owned(), with_local_path(value, mounted_at, volume)))
            .collect();
        if is_image {
            let port = process::free_port().map_err(|e| failed("find a free port", e))?;
            env.insert("OPENCLAW_GATEWAY_PORT".to_owned(), port.to_string().into());
            env.insert("OPENCLAW_GATEWAY_URL".to_owned(), format!("http://127.0.0.1:{port}").into());
        }
        let own = self.options.env.iter();
        env.extend(own.map(|(name, value)| (name.clone(), OsString::from(value.expose_secret()))));
        Ok(env)
    }

    /// Called by the thread that waits for the process. Does nothing when the record is gone or names another process.
    fn record_end(&self, worker: &WorkerId, process: ProcessId, code: Option<i32>) {
        let recorded = self.lock().and_then(|locked| {
            let Some(mut record) = self.read(worker, &locked)? else {
                return Ok(());
            };
            if record.life.process() == Some(process) {
                let as_expected = matches!(record.life, Life::Stopping(_)) || code == Some(0);
                record.life = Life::Ended { as_expected, code };
                self.write(worker, &record, &locked)?;
            }
            Ok(())
        });
        match recorded {
            Ok(()) => tracing::info!(worker_id = %worker, code, "worker process ended"),
            Err(error) => {
                tracing::warn!(worker_id = %worker, %error, "the end of a worker could not be recorded")
            }
        }
    }

    /// Every machine that has a record.
    pub fn list(&self, app_name: &str) -> ProviderResult<Vec<Machine>> {
        let locked = self.lock()?;
        let mut machines = Vec::new();
        for worker in self.workers()? {
            match self.resolved(&worker, &locked) {
                Ok(record) => machines.push(self.machine(&worker, record, app_name)),
                Err(error) if error.is_not_found() => {} // The folder has a volume and no machine.
                Err(error) => return Err(error),
            }
        }
        Ok(machines)
    }

    fn workers(&self) -> ProviderResult<Vec<WorkerId>> {
        self.home.workers().map_err(|e| failed("list the workers' folders", e))
    }

    /// Every worker folder that has a volume.
    pub fn list_volumes(&self, app_name: &str) -> ProviderResult<Vec<Volume>> {
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

    /// Creates the worker's folder with its volume.
    pub fn create_volume(&self, worker: &WorkerId, app_name: &str) -> ProviderResult<VolumeRef> {
        let _locked = self.lock()?;
        self.home.create_volume(worker).map_err(|e| failed("create the volume", e))?;
        Ok(volume_ref(worker, app_name))
    }

    /// Removes the worker's folder when its machine has no record.
    pub fn remove_volume(&self, worker: &WorkerId) -> ProviderResult<()> {
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

    /// Removes the machine's record. Its volume and log stay.
    pub fn remove_machine(&self, worker: &WorkerId) -> ProviderResult<()> {
        let locked = self.lock()?;
        self.resolved(worker, &locked)?;
        self.home.remove_record(worker, &locked).map_err(|e| failed("remove the machine's record", e))
    }

    /// Sends SIGTERM to the worker, unless this process has sent it before. The worker decides when the processes that it has
    /// started end: they may work on its message.
    pub fn request_stop(&self, worker: &WorkerId) -> ProviderResult<StopRequest> {
        let locked = self.lock()?;
        let mut record = self.resolved(worker, &locked)?;
        let Some(process) = self.running(worker, record.life) else {
            return Ok(StopRequest::HasEnded);
        };
        if !self.stopping().insert(worker.clone()) {
            return Ok(StopRequest::SentBefore);
        }
        // Written first, so that a process that ends at once counts as one that was asked to stop.
        record.life = Life::Stopping(process);
        let sent = self
            .write(worker, &record, &locked)
            .and_then(|()| process::signal(process, Signal::TERM).map_err(|e| failed("send SIGTERM", e)));
        if sent.is_err() {
            self.forget_stop(worker);
        }
        sent.map(|()| StopRequest::Sent)
    }

    /// Ends the wait for a stop: the machine has ended or was killed.
    pub fn forget_stop(&self, worker: &WorkerId) {
        self.stopping().remove(worker);
    }

    fn stopping(&self) -> MutexGuard<'_, HashSet<WorkerId>> {
        self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the machine's process group and every process that carries its mark. Answers how many it found.
    pub fn kill_once(&self, worker: &WorkerId) -> ProviderResult<usize> {
        let locked = self.lock()?;
        let record = self.resolved(worker, &locked)?;
        let own = self.running(worker, record.life);
        if let Some(process) = own {
            process::signal_group(process, Signal::KILL).map_err(|e| failed("send SIGKILL", e))?;
        }
        let marked = Processes::all().marked(&self.home.mark(worker));
        for process in &marked {
            process::signal(*process, Signal::KILL).map_err(|e| failed("send SIGKILL", e))?;
        }
        Ok(marked.len() + usize::from(own.is_some()))
    }
}

/// A variable's value. A process has no mounts, so a path on the volume becomes a path in the worker's folder.
fn with_local_path(value: &str, mounted_at: &str, volume: &Path) -> OsString {
    match value.strip_prefix(mounted_at).filter(|_| !mounted_at.is_empty()) {
        Some("") => volume.into(),
        Some(rest) if rest.starts_with('/') => volume.join(rest.trim_start_matches('/')).into(),
        _ => value.into(),
    }
}

fn volume_ref(worker: &WorkerId, app_name: &str) -> VolumeRef {
    VolumeRef { app_name: app_name.to_owned(), volume_id: worker.to_string(), name: worker.to_string() }
}

/// An empty path has no absolute form. It stays as it is and fails where it is used.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn failed(doing: &str, error: io::Error) -> ProviderError {
    ProviderError::unavailable(format!("could not {doing}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Scope;

    #[test]
    fn a_path_on_the_volume_becomes_a_path_in_the_workers_folder() {
        let folder = Path::new("/w/data");
        for (value, expected) in [
            ("/data", "/w/data"),
            ("/data/workspace/skills", "/w/data/workspace/skills"),
            ("/database", "/database"),
            ("http://127.0.0.1/data", "http://127.0.0.1/data"),
            ("node /data/x", "node /data/x"),
        ] {
            assert_eq!(with_local_path(value, "/data", folder), expected);
        }
        assert_eq!(with_local_path("/data", "", folder), "/data", "no volume");
    }

    #[test]
    fn an_image_gets_its_own_port_and_keeps_its_paths_and_the_variables_of_this_machine_win() {
        let deployed = [("DIR", "/data/x"), ("OPENCLAW_GATEWAY_PORT", "18789"), ("SET", "deployed")];
        let spec = SpawnSpec {
            scope: Scope {
                app_name: "local".to_owned(),
                deployment_id: "test".to_owned(),
                volume_name: String::new(),
            },
            worker_id: WorkerId::parse("w1").unwrap(),
            image: "local".to_owned(),
            region: REGION.to_owned(),
            guest: None,
            env: deployed.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect(),
            volume: None,
            volume_path: "/data".to_owned(),
        };
        for (kind, dir) in [(WorkerKind::Image, "/data/x"), (WorkerKind::Reference, "/w/data/x")] {
            let machines = Machines::new(LocalOptions {
                program: "sh".into(),
                args: Vec::new(),
                kind,
                env: [("SET".to_owned(), "secret".into())].into(),
                data_dir: "/w".into(),
                stop_timeout: std::time::Duration::ZERO,
            });
            let env = machines.env(&spec, Path::new("/w/data")).unwrap();
            assert_eq!((&*env["DIR"], &*env["SET"]), (dir.as_ref(), "secret".as_ref()));
            let has_own_port = env["OPENCLAW_GATEWAY_PORT"] != "18789";
            assert_eq!(has_own_port, kind == WorkerKind::Image);
            assert_eq!(env.contains_key("OPENCLAW_GATEWAY_URL"), kind == WorkerKind::Image);
            assert!(!format!("{machines:?}").contains("secret"));
        }
    }
}
