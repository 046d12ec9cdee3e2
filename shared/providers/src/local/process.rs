//! Processes: start them in their own group, find them again, send signals, wait for their end.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

/// The variable with the machine's folder. A process passes it on to every process that it starts, so that a machine is
/// found again, and so are processes that a dead worker left running.
pub const MACHINE_MARK_ENV: &str = "AGENT_FACTORY_MACHINE";

/// The variables that a worker inherits from this process, in addition to its own: enough to find programs and to
/// log.
const INHERITED: [&str; 4] = ["PATH", "HOME", "TMPDIR", "RUST_LOG"];

/// sysinfo adds the boot time, which the kernel rounds, to a start time in whole seconds. So two reads of the start time
/// of one process may differ by this much.
const START_TIME_SLACK_S: u64 = 1;

/// A process. A later process with the same pid has another start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessId {
    /// The pid, which is also the id of its group.
    pub pid: u32,
    /// When it started, in seconds since the epoch, as the kernel says.
    pub started_at_s: u64,
}

/// A process to start.
pub struct Start<'a> {
    pub program: &'a Path,
    pub args: &'a [String],
    pub env: BTreeMap<String, OsString>,
    pub mark: &'a OsStr,
    pub data: &'a Path,
    pub log: File,
}

/// Starts the process in its own group. So a SIGKILL also reaches the processes that it starts, and a Ctrl-C for us does
/// not reach it.
pub fn start(start: Start<'_>) -> io::Result<(Child, ProcessId)> {
    let inherited = INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let child = Command::new(start.program)
        .args(start.args)
        .env_clear()
        .envs(inherited)
        .envs(start.env)
        .env("AGENT_FACTORY_DATA_DIR", start.data)
        .env(MACHINE_MARK_ENV, start.mark)
        .current_dir(start.data)
        .stdin(Stdio::null())
        .stdout(start.log.try_clone()?)
        .stderr(start.log)
        .process_group(0)
        .spawn()?;
    // The child was not waited for yet, so the kernel keeps its pid even when it has ended already.
    let pid = child.id();
    let started_at_s = Processes::with(&[pid]).start_time(pid).unwrap_or_default();
    Ok((child, ProcessId { pid, started_at_s }))
}

/// Waits for the child in its own thread. It is not a task, because a child must be waited for even when the runtime that
/// started it is gone.
pub fn reap(mut child: Child, ended: impl FnOnce(ExitStatus) + Send + 'static) -> io::Result<()> {
    let name = format!("reap-{}", child.id());
    std::thread::Builder::new().name(name).spawn(move || {
        if let Ok(status) = child.wait() {
            ended(status);
        }
    })?;
    Ok(())
}

/// Sends the signal to the whole group of the process. A group that is gone is no error.
pub fn signal_group(process: ProcessId, signal: Signal) -> io::Result<()> {
    signal_with(process, |pid| rustix::process::kill_process_group(pid, signal))
}

/// Sends the signal to one process. A process that is gone is no error.
pub fn signal(process: ProcessId, signal: Signal) -> io::Result<()> {
    signal_with(process, |pid| rustix::process::kill_process(pid, signal))
}

/// A port of loopback that no process uses now.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn signal_with(process: ProcessId, send: impl FnOnce(Pid) -> rustix::io::Result<()>) -> io::Result<()> {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    match pid.map(send) {
        None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
        Some(Err(error)) => Err(error.into()),
    }
}

/// A snapshot of the process table.
pub struct Processes(System);

impl Processes {
    /// A snapshot of these processes.
    pub fn with(pids: &[u32]) -> Self {
        let pids: Vec<_> = pids.iter().copied().map(sysinfo::Pid::from_u32).collect();
        Self::take(ProcessesToUpdate::Some(&pids))
    }

    /// A snapshot of every process of this machine. It takes tens of milliseconds, so it is for unknown pids only.
    pub fn all() -> Self {
        Self::take(ProcessesToUpdate::All)
    }

    fn take(which: ProcessesToUpdate<'_>) -> Self {
        let mut system = System::new();
        let what = ProcessRefreshKind::nothing()
            .without_tasks()
            .with_environ(UpdateKind::Always)
            .with_cmd(UpdateKind::Always);
        system.refresh_processes_specifics(which, true, what);
        Self(system)
    }

    fn start_time(&self, pid: u32) -> Option<u64> {
        self.0.process(sysinfo::Pid::from_u32(pid)).map(sysinfo::Process::start_time)
    }

    /// Whether this process runs. The mark proves it. The start time proves it where the system hides the environment of
    /// other processes. A later process with the same pid has neither.
    pub fn runs(&self, process: ProcessId, mark: &OsStr) -> bool {
        self.0.process(sysinfo::Pid::from_u32(process.pid)).is_some_and(|found| {
            is_running(found)
                && (carries(found, mark)
                    || found.start_time().abs_diff(process.started_at_s) <= START_TIME_SLACK_S)
        })
    }

    /// The running processes that carry the mark, the oldest first. The oldest is the machine's own process, because it
    /// has started the others.
    pub fn marked(&self, mark: &OsStr) -> Vec<ProcessId> {
        let mut found: Vec<_> = self
            .0
            .processes()
            .values()
            .filter(|process| is_running(process) && carries(process, mark))
            .map(|process| ProcessId { pid: process.pid().as_u32(), started_at_s: process.start_time() })
            .collect();
        found.sort_unstable_by_key(|process| (process.started_at_s, process.pid));
        found
    }
}

fn is_running(process: &sysinfo::Process) -> bool {
    !matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead)
}

fn carries(process: &sysinfo::Process, mark: &OsStr) -> bool {
    let mut variable = OsString::from(MACHINE_MARK_ENV);
    variable.push("=");
    variable.push(mark);
    // The environment of a worker that is not dumpable can be read by root only. Its last argument repeats the mark.
    process.environ().contains(&variable) || process.cmd().last().is_some_and(|last| last == mark)
}
