//! The local provider with real processes.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::path::PathBuf;
use std::time::Duration;

use af_domain::ids::WorkerId;
use af_providers::{
    LocalOptions, LocalProvider, Machine, MachineState, Provider, ProviderError, Scope, SpawnSpec,
    StopOutcome, Teardown, WorkerKind,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The largest number of polls of a state, with a short pause before each: 10 s in total.
const MAX_POLLS: u32 = 500;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

fn scope() -> Scope {
    Scope { app_name: "local".to_owned(), deployment_id: "test".to_owned(), volume_name: String::new() }
}

/// A folder with a provider that runs a shell script. It leaves no process behind, also when the test fails.
struct Fixture {
    folder: TempDir,
    script: &'static str,
    stop_timeout: Duration,
    provider: LocalProvider,
}

impl Fixture {
    fn new(script: &'static str) -> Self {
        Self::with_limit(script, Duration::from_secs(30))
    }

    fn with_limit(script: &'static str, stop_timeout: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = Self::provider(&folder, script, stop_timeout);
        Self { folder, script, stop_timeout, provider }
    }

    fn provider(folder: &TempDir, script: &str, stop_timeout: Duration) -> LocalProvider {
        LocalProvider::new(LocalOptions {
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            kind: WorkerKind::Reference,
            env: Default::default(),
            data_dir: folder.path().to_owned(),
            stop_timeout,
        })
    }

    /// The provider of a restarted parent process, which knows only the folder.
    fn restarted(&self) -> LocalProvider {
        Self::provider(&self.folder, self.script, self.stop_timeout)
    }

    async fn spawn(&self) -> Machine {
        self.provider.spawn(&spec("w1")).await.unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("workers/w1").join(name)
    }

    fn record(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("machine.json")).unwrap()).unwrap()
    }

    fn write_record(&self, record: &Value) {
        std::fs::create_dir_all(self.path("data")).unwrap();
        std::fs::write(self.path("machine.json"), record.to_string()).unwrap();
    }

    fn pid(&self) -> u32 {
        u32::try_from(self.record()["pid"].as_u64().unwrap()).unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("worker.log")).unwrap_or_default()
    }

    /// The first line of the log, which shows that the script runs.
    async fn first_line(&self) -> String {
        eventually(async || self.log().lines().next().map(str::to_owned)).await
    }

    async fn state(&self) -> Option<MachineState> {
        let machines = self.provider.list(&scope()).await.unwrap().ours;
        machines.iter().find(|machine| machine.worker_id.as_str() == "w1").map(|machine| machine.state)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let provider = self.restarted();
        let cleanup = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for machine in provider.list(&scope()).await.unwrap().ours {
                    provider.terminate(&machine.machine, Teardown::Force).await.unwrap();
                }
            });
        });
        cleanup.join().unwrap();
    }
}

async fn eventually<T>(mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..MAX_POLLS {
        if let Some(seen) = poll().await {
            return seen;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    panic!("not seen within {MAX_POLLS} polls");
}

fn spec(worker: &str) -> SpawnSpec {
    SpawnSpec {
        scope: scope(),
        worker_id: WorkerId::parse(worker).unwrap(),
        image: "local".to_owned(),
        region: "local".to_owned(),
        guest: None,
        env: [("AGENT_FACTORY_WORKER_ID".to_owned(), worker.to_owned())].into_iter().collect(),
        volume: None,
        volume_path: "/data".to_owned(),
    }
}

/// Whether the process table has this pid, also as a zombie.
fn in_process_table(pid: u32) -> bool {
    let pid = sysinfo::Pid::from_u32(pid);
    let mut system = sysinfo::System::new();
    system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
    system.process(pid).is_some()
}

#[tokio::test]
async fn a_worker_gets_only_its_environment_and_its_volume() {
    let fixture = Fixture::new(
        r#"echo "$AGENT_FACTORY_WORKER_ID ${CARGO_MANIFEST_DIR-cleared} ${PATH+path}"; pwd >"$AGENT_FACTORY_DATA_DIR/here"; sleep 60"#,
    );
    assert_eq!(fixture.spawn().await.state, MachineState::Running);
    assert_eq!(fixture.first_line().await, "w1 cleared path");
    let here = eventually(async || {
        std::fs::read_to_string(fixture.path("data/here")).ok().filter(|text| text.ends_with('\n'))
    })
    .await;
    assert!(here.trim_end().ends_with("workers/w1/data"), "{here}");
}

#[tokio::test]
async fn a_second_spawn_returns_the_existing_machine() {
    let fixture = Fixture::new("echo up; sleep 60");
    let first = fixture.spawn().await;
    fixture.first_line().await;
    let pid = fixture.pid();
    assert_eq!(fixture.provider.spawn(&spec("w1")).await.unwrap(), first);
    assert_eq!(fixture.restarted().spawn(&spec("w1")).await.unwrap(), first);
    assert_eq!((fixture.pid(), &*fixture.log()), (pid, "up\n"));
}

#[tokio::test]
async fn concurrent_spawns_start_one_process() {
    let fixture = Fixture::new("echo up; sleep 60");
    let mut spawns = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let provider = fixture.restarted();
        spawns.spawn(async move { provider.spawn(&spec("w1")).await });
    }
    while let Some(spawned) = spawns.join_next().await {
        assert_eq!(spawned.unwrap().unwrap().state, MachineState::Running);
    }
    fixture.provider.stop_all().await.unwrap();
    assert_eq!(fixture.log(), "up\n");
}

#[tokio::test]
async fn a_parent_that_died_before_it_wrote_the_pid_finds_the_process_by_its_mark() {
    // A child of the process has the same mark and is not taken for it.
    let fixture = Fixture::new("sleep 60 & echo up; wait");
    fixture.spawn().await;
    fixture.first_line().await;
    let pid = fixture.pid();
    for start_again in [false, true] {
        fixture.write_record(&json!({"image": "local", "state": "intended"}));
        let provider = fixture.restarted();
        let machine = if start_again {
            provider.spawn(&spec("w1")).await.unwrap()
        } else {
            provider.list(&scope()).await.unwrap().ours.remove(0)
        };
        assert_eq!((machine.state, fixture.pid()), (MachineState::Running, pid));
    }
    assert_eq!(fixture.log(), "up\n", "the process was started once");
}

#[tokio::test]
async fn a_repeated_spawn_starts_the_process_of_an_unfinished_record() {
    let fixture = Fixture::new("echo up; sleep 60");
    for unfinished in [json!({"image": "local", "state": "intended"}), json!("half a rec")] {
        fixture.write_record(&unfinished);
        assert_eq!(fixture.state().await, Some(MachineState::Failed));
    }
    assert_eq!(fixture.spawn().await.state, MachineState::Running);
    assert_eq!(fixture.first_line().await, "up");
}

#[tokio::test]
async fn a_restarted_parent_finds_its_processes_and_counts_ended_ones_as_lost() {
    let fixture = Fixture::new("echo up; sleep 60");
    fixture.spawn().await;
    fixture.first_line().await;
    let provider = fixture.restarted();
    assert_eq!(provider.list(&scope()).await.unwrap().ours[0].state, MachineState::Running);

    let pid = rustix::process::Pid::from_raw(fixture.pid().cast_signed()).unwrap();
    rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).unwrap();
    eventually(async || (fixture.state().await == Some(MachineState::Failed)).then_some(())).await;
    // The record of the end is removed, as if no parent had seen how the process ended.
    let mut lost = fixture.record();
    eventually(async || {
        lost = fixture.record();
        (lost["state"] == "ended").then_some(())
    })
    .await;
    fixture.write_record(
        &json!({"image": "local", "state": "started", "pid": pid.as_raw_nonzero().get(), "startedAtS": 1}),
    );
    assert_eq!(provider.list(&scope()).await.unwrap().ours[0].state, MachineState::Failed);
}

#[tokio::test]
async fn a_reused_pid_is_not_taken_for_the_worker() {
    let fixture = Fixture::new("sleep 60");
    // The test process has the recorded pid, another start time and no mark.
    fixture.write_record(
        &json!({"image": "local", "state": "started", "pid": std::process::id(), "startedAtS": 1_000_000}),
    );
    let machine = fixture.provider.list(&scope()).await.unwrap().ours.remove(0);
    assert_eq!(machine.state, MachineState::Failed);
    // If the process counted as ours, these calls would end the test.
    assert_eq!(fixture.provider.stop(&machine.machine).await.unwrap(), StopOutcome::Stopped);
    fixture.provider.terminate(&machine.machine, Teardown::Force).await.unwrap();
    assert_eq!(fixture.state().await, None);
}

#[tokio::test]
async fn stop_sends_sigterm_and_leaves_the_volume() {
    let fixture = Fixture::new(
        r#"trap 'echo bye >"$AGENT_FACTORY_DATA_DIR/last"; exit 3' TERM; echo up; sleep 60 & wait"#,
    );
    let machine = fixture.spawn().await.machine;
    fixture.first_line().await;
    assert_eq!(fixture.provider.stop(&machine).await.unwrap(), StopOutcome::Stopped);
    assert_eq!(
        fixture.state().await,
        Some(MachineState::Stopped),
        "a stopped worker's exit code is no failure"
    );
    fixture.provider.terminate(&machine, Teardown::WhenStopped).await.unwrap();
    assert_eq!(std::fs::read_to_string(fixture.path("data/last")).unwrap(), "bye\n");
}

#[tokio::test]
async fn sigterm_reaches_the_worker_alone_and_the_worker_ends_its_own_processes() {
    let fixture = Fixture::new(
        r#"sh -c 'trap "echo signalled" TERM; trap "exit 0" USR1; echo up; while :; do sleep 0.05; done' & child=$!
        trap 'kill -USR1 $child; wait $child; echo ended; exit 0' TERM; wait"#,
    );
    let machine = fixture.spawn().await.machine;
    fixture.first_line().await;
    assert_eq!(fixture.provider.stop(&machine).await.unwrap(), StopOutcome::Stopped);
    assert_eq!(fixture.log(), "up\nended\n");
}

#[tokio::test]
async fn a_worker_that_ignores_sigterm_is_killed_at_the_limit() {
    let fixture =
        Fixture::with_limit("trap '' TERM; echo up; while :; do sleep 60; done", Duration::from_millis(60));
    let machine = fixture.spawn().await.machine;
    fixture.first_line().await;
    assert_eq!(fixture.provider.stop(&machine).await.unwrap(), StopOutcome::Stopped);
    assert_eq!(fixture.state().await, Some(MachineState::Stopped));
    assert_eq!(
        eventually(async || Some(fixture.record()).filter(|r| r["state"] == "ended")).await["code"],
        json!(null)
    );
}

#[tokio::test]
async fn a_slow_stop_returns_before_the_process_has_ended() {
    let fixture = Fixture::new("trap '' TERM; echo up; while :; do sleep 60; done");
    let machine = fixture.spawn().await.machine;
    fixture.first_line().await;
    assert_eq!(fixture.provider.stop(&machine).await.unwrap(), StopOutcome::Stopping);
    assert_eq!(fixture.state().await, Some(MachineState::Stopping));
    let early = fixture.provider.terminate(&machine, Teardown::WhenStopped).await;
    assert!(matches!(early, Err(ProviderError::Precondition { .. })), "{early:?}");
    fixture.provider.terminate(&machine, Teardown::Force).await.unwrap();
    assert_eq!(fixture.state().await, None);
}

#[tokio::test]
async fn terminate_ends_the_remaining_processes_of_a_dead_worker() {
    let fixture = Fixture::new("sleep 60 & echo $!");
    let machine = fixture.spawn().await.machine;
    let left: u32 = fixture.first_line().await.parse().unwrap();
    eventually(async || (fixture.state().await == Some(MachineState::Stopped)).then_some(())).await;
    assert!(in_process_table(left));
    fixture.provider.terminate(&machine, Teardown::WhenStopped).await.unwrap();
    // The process is a child of init now. It is gone when init has reaped it or when it is a zombie.
    eventually(async || {
        let pid = sysinfo::Pid::from_u32(left);
        let mut system = sysinfo::System::new();
        system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
        system.process(pid).is_none_or(|p| p.status() == sysinfo::ProcessStatus::Zombie).then_some(())
    })
    .await;
}

#[tokio::test]
async fn children_are_reaped_without_a_call() {
    for (script, well) in [("exit 0", true), ("exit 7", false)] {
        let fixture = Fixture::new(script);
        fixture.spawn().await;
        let ended =
            eventually(async || Some(fixture.record()).filter(|record| record["state"] == "ended")).await;
        assert_eq!(ended["well"], json!(well));
        let state = if well { MachineState::Stopped } else { MachineState::Failed };
        assert_eq!(fixture.state().await, Some(state));
        assert_eq!(fixture.spawn().await.state, state, "an ended machine is still the worker's machine");
    }
    let fixture = Fixture::new("echo $$; sleep 60");
    let machine = fixture.spawn().await.machine;
    let pid: u32 = fixture.first_line().await.parse().unwrap();
    fixture.provider.terminate(&machine, Teardown::Force).await.unwrap();
    eventually(async || (!in_process_table(pid)).then_some(())).await;
}

#[tokio::test]
async fn a_missing_program_is_refused_and_leaves_no_machine() {
    let folder = tempfile::tempdir().unwrap();
    let provider = LocalProvider::new(LocalOptions {
        program: folder.path().join("no-such-program"),
        args: Vec::new(),
        kind: WorkerKind::Reference,
        env: Default::default(),
        data_dir: folder.path().to_owned(),
        stop_timeout: Duration::from_secs(1),
    });
    let refused = provider.spawn(&spec("w1")).await;
    assert!(matches!(refused, Err(ProviderError::Rejected { .. })), "{refused:?}");
    assert!(provider.list(&scope()).await.unwrap().ours.is_empty());
}

#[tokio::test]
async fn stop_all_ends_every_worker_and_kills_those_that_ignore_sigterm() {
    let fixture = Fixture::with_limit(
        r#"[ "$AGENT_FACTORY_WORKER_ID" = w1 ] && trap '' TERM; echo up; while :; do sleep 60; done"#,
        Duration::from_millis(60),
    );
    for worker in ["w1", "w2", "w3"] {
        fixture.provider.spawn(&spec(worker)).await.unwrap();
    }
    fixture.first_line().await;
    fixture.provider.stop_all().await.unwrap();
    let states: Vec<_> =
        fixture.provider.list(&scope()).await.unwrap().ours.iter().map(|m| m.state).collect();
    assert_eq!(states, [MachineState::Stopped; 3]);
}

#[tokio::test]
async fn a_machine_id_with_a_path_is_not_found() {
    let fixture = Fixture::new("sleep 60");
    let mut machine = fixture.spawn().await.machine;
    machine.machine_id = "../workers/w1".to_owned();
    assert!(fixture.provider.terminate(&machine, Teardown::Force).await.unwrap_err().is_not_found());
}
