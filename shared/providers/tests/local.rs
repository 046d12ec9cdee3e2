//! The local provider with real processes.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::path::PathBuf;
use std::time::Duration;

use af_domain::ids::WorkerId;
use af_providers::{
    LocalOptions, LocalProvider, Machine, MachineState, Provider, ProviderError, Scope, SpawnSpec,
    StopOutcome, Teardown,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Looks at an observable state, each after a short breath: 10 s in all.
const MAX_LOOKS: u32 = 500;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

fn scope() -> Scope {
    Scope { app_name: "local".to_owned(), deployment_id: "test".to_owned(), volume_name: String::new() }
}

/// A folder with a provider that runs a shell script; leaves no process behind, also when the test fails.
struct Bench {
    folder: TempDir,
    script: &'static str,
    stop_timeout: Duration,
    provider: LocalProvider,
}

impl Bench {
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
            data_dir: folder.path().to_owned(),
            stop_timeout,
        })
    }

    /// The provider as a new parent would have it: nothing known but the folder.
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

    /// The first line of the log, once it is there: the script is up.
    async fn first_line(&self) -> String {
        eventually(async || self.log().lines().next().map(str::to_owned)).await
    }

    async fn state(&self) -> Option<MachineState> {
        let machines = self.provider.list(&scope()).await.unwrap().ours;
        machines.iter().find(|machine| machine.worker_id.as_str() == "w1").map(|machine| machine.state)
    }
}

impl Drop for Bench {
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

async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..MAX_LOOKS {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    panic!("not seen within {MAX_LOOKS} looks");
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

/// Whether the process table has this pid, be it as a zombie.
fn in_process_table(pid: u32) -> bool {
    let pid = sysinfo::Pid::from_u32(pid);
    let mut system = sysinfo::System::new();
    system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
    system.process(pid).is_some()
}

#[tokio::test]
async fn a_worker_gets_its_environment_its_volume_and_little_else() {
    let bench = Bench::new(
        r#"echo "$AGENT_FACTORY_WORKER_ID ${CARGO_MANIFEST_DIR-cleared} ${PATH+path}"; pwd >"$AGENT_FACTORY_DATA_DIR/here"; sleep 60"#,
    );
    assert_eq!(bench.spawn().await.state, MachineState::Running);
    assert_eq!(bench.first_line().await, "w1 cleared path");
    let here = eventually(async || {
        std::fs::read_to_string(bench.path("data/here")).ok().filter(|text| text.ends_with('\n'))
    })
    .await;
    assert!(here.trim_end().ends_with("workers/w1/data"), "{here}");
}

#[tokio::test]
async fn a_second_spawn_returns_the_machine_that_is_there() {
    let bench = Bench::new("echo up; sleep 60");
    let first = bench.spawn().await;
    bench.first_line().await;
    let pid = bench.pid();
    assert_eq!(bench.provider.spawn(&spec("w1")).await.unwrap(), first);
    assert_eq!(bench.restarted().spawn(&spec("w1")).await.unwrap(), first);
    assert_eq!((bench.pid(), &*bench.log()), (pid, "up\n"));
}

#[tokio::test]
async fn many_spawns_at_once_start_one_process() {
    let bench = Bench::new("echo up; sleep 60");
    let mut spawns = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let provider = bench.restarted();
        spawns.spawn(async move { provider.spawn(&spec("w1")).await });
    }
    while let Some(spawned) = spawns.join_next().await {
        assert_eq!(spawned.unwrap().unwrap().state, MachineState::Running);
    }
    bench.provider.stop_all().await.unwrap();
    assert_eq!(bench.log(), "up\n");
}

#[tokio::test]
async fn a_parent_killed_before_it_wrote_the_pid_finds_the_process_by_its_mark() {
    // What it starts carries the mark as well and is not taken for it.
    let bench = Bench::new("sleep 60 & echo up; wait");
    bench.spawn().await;
    bench.first_line().await;
    let pid = bench.pid();
    for start_again in [false, true] {
        bench.write_record(&json!({"image": "local", "state": "intended"}));
        let provider = bench.restarted();
        let machine = if start_again {
            provider.spawn(&spec("w1")).await.unwrap()
        } else {
            provider.list(&scope()).await.unwrap().ours.remove(0)
        };
        assert_eq!((machine.state, bench.pid()), (MachineState::Running, pid));
    }
    assert_eq!(bench.log(), "up\n", "nothing was started twice");
}

#[tokio::test]
async fn an_intent_without_a_process_is_started_when_asked_again() {
    let bench = Bench::new("echo up; sleep 60");
    for unfinished in [json!({"image": "local", "state": "intended"}), json!("half a rec")] {
        bench.write_record(&unfinished);
        assert_eq!(bench.state().await, Some(MachineState::Failed));
    }
    assert_eq!(bench.spawn().await.state, MachineState::Running);
    assert_eq!(bench.first_line().await, "up");
}

#[tokio::test]
async fn a_restarted_parent_finds_its_processes_and_counts_the_dead_as_lost() {
    let bench = Bench::new("echo up; sleep 60");
    bench.spawn().await;
    bench.first_line().await;
    let provider = bench.restarted();
    assert_eq!(provider.list(&scope()).await.unwrap().ours[0].state, MachineState::Running);

    let pid = rustix::process::Pid::from_raw(bench.pid().cast_signed()).unwrap();
    rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).unwrap();
    eventually(async || (bench.state().await == Some(MachineState::Failed)).then_some(())).await;
    // The record of the end is removed, as if no parent had seen how the process ended.
    let mut lost = bench.record();
    eventually(async || {
        lost = bench.record();
        (lost["state"] == "ended").then_some(())
    })
    .await;
    bench.write_record(
        &json!({"image": "local", "state": "started", "pid": pid.as_raw_nonzero().get(), "startedAtS": 1}),
    );
    assert_eq!(provider.list(&scope()).await.unwrap().ours[0].state, MachineState::Failed);
}

#[tokio::test]
async fn a_reused_pid_is_never_taken_for_ours() {
    let bench = Bench::new("sleep 60");
    // This very process has the recorded pid, but started at another time and without the mark.
    bench.write_record(
        &json!({"image": "local", "state": "started", "pid": std::process::id(), "startedAtS": 1_000_000}),
    );
    let machine = bench.provider.list(&scope()).await.unwrap().ours.remove(0);
    assert_eq!(machine.state, MachineState::Failed);
    // If the process counted as ours, these calls would end the test.
    assert_eq!(bench.provider.stop(&machine.machine).await.unwrap(), StopOutcome::Stopped);
    bench.provider.terminate(&machine.machine, Teardown::Force).await.unwrap();
    assert_eq!(bench.state().await, None);
}

#[tokio::test]
async fn stop_sends_sigterm_and_leaves_the_volume() {
    let bench = Bench::new(
        r#"trap 'echo bye >"$AGENT_FACTORY_DATA_DIR/last"; exit 3' TERM; echo up; sleep 60 & wait"#,
    );
    let machine = bench.spawn().await.machine;
    bench.first_line().await;
    assert_eq!(bench.provider.stop(&machine).await.unwrap(), StopOutcome::Stopped);
    assert_eq!(
        bench.state().await,
        Some(MachineState::Stopped),
        "it was told to: its exit code is no failure"
    );
    bench.provider.terminate(&machine, Teardown::WhenStopped).await.unwrap();
    assert_eq!(std::fs::read_to_string(bench.path("data/last")).unwrap(), "bye\n");
}

#[tokio::test]
async fn a_worker_that_ignores_sigterm_is_killed_at_the_limit() {
    let bench =
        Bench::with_limit("trap '' TERM; echo up; while :; do sleep 60; done", Duration::from_millis(60));
    let machine = bench.spawn().await.machine;
    bench.first_line().await;
    assert_eq!(bench.provider.stop(&machine).await.unwrap(), StopOutcome::Stopped);
    assert_eq!(bench.state().await, Some(MachineState::Stopped));
    assert_eq!(
        eventually(async || Some(bench.record()).filter(|r| r["state"] == "ended")).await["code"],
        json!(null)
    );
}

#[tokio::test]
async fn a_stop_that_takes_long_is_answered_before_it_ends() {
    let bench = Bench::new("trap '' TERM; echo up; while :; do sleep 60; done");
    let machine = bench.spawn().await.machine;
    bench.first_line().await;
    assert_eq!(bench.provider.stop(&machine).await.unwrap(), StopOutcome::Stopping);
    assert_eq!(bench.state().await, Some(MachineState::Stopping));
    let early = bench.provider.terminate(&machine, Teardown::WhenStopped).await;
    assert!(matches!(early, Err(ProviderError::Precondition { .. })), "{early:?}");
    bench.provider.terminate(&machine, Teardown::Force).await.unwrap();
    assert_eq!(bench.state().await, None);
}

#[tokio::test]
async fn terminate_ends_what_a_dead_worker_left_running() {
    let bench = Bench::new("sleep 60 & echo $!");
    let machine = bench.spawn().await.machine;
    let left: u32 = bench.first_line().await.parse().unwrap();
    eventually(async || (bench.state().await == Some(MachineState::Stopped)).then_some(())).await;
    assert!(in_process_table(left));
    bench.provider.terminate(&machine, Teardown::WhenStopped).await.unwrap();
    // It is init's child now: wait until init has reaped it or it is a zombie that nothing can run in.
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
        let bench = Bench::new(script);
        bench.spawn().await;
        let ended =
            eventually(async || Some(bench.record()).filter(|record| record["state"] == "ended")).await;
        assert_eq!(ended["well"], json!(well));
        let state = if well { MachineState::Stopped } else { MachineState::Failed };
        assert_eq!(bench.state().await, Some(state));
        assert_eq!(bench.spawn().await.state, state, "an ended machine is still the worker's machine");
    }
    let bench = Bench::new("echo $$; sleep 60");
    let machine = bench.spawn().await.machine;
    let pid: u32 = bench.first_line().await.parse().unwrap();
    bench.provider.terminate(&machine, Teardown::Force).await.unwrap();
    eventually(async || (!in_process_table(pid)).then_some(())).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_refused_and_leaves_no_machine() {
    let folder = tempfile::tempdir().unwrap();
    let provider = LocalProvider::new(LocalOptions {
        program: folder.path().join("no-such-program"),
        args: Vec::new(),
        data_dir: folder.path().to_owned(),
        stop_timeout: Duration::from_secs(1),
    });
    let refused = provider.spawn(&spec("w1")).await;
    assert!(matches!(refused, Err(ProviderError::Rejected { .. })), "{refused:?}");
    assert!(provider.list(&scope()).await.unwrap().ours.is_empty());
}

#[tokio::test]
async fn stop_all_ends_every_worker_the_stubborn_by_a_kill() {
    let bench = Bench::with_limit(
        r#"[ "$AGENT_FACTORY_WORKER_ID" = w1 ] && trap '' TERM; echo up; while :; do sleep 60; done"#,
        Duration::from_millis(60),
    );
    for worker in ["w1", "w2", "w3"] {
        bench.provider.spawn(&spec(worker)).await.unwrap();
    }
    bench.first_line().await;
    bench.provider.stop_all().await.unwrap();
    let states: Vec<_> = bench.provider.list(&scope()).await.unwrap().ours.iter().map(|m| m.state).collect();
    assert_eq!(states, [MachineState::Stopped; 3]);
}

#[tokio::test]
async fn a_machine_id_that_would_be_another_folder_is_not_found() {
    let bench = Bench::new("sleep 60");
    let mut machine = bench.spawn().await.machine;
    machine.machine_id = "../workers/w1".to_owned();
    assert!(bench.provider.terminate(&machine, Teardown::Force).await.unwrap_err().is_not_found());
}
