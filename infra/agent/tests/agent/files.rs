//! Files that the next worker restores. The tests run real programs, so they run in real time.

use std::path::Path;

use crate::command::script;
use crate::support::{Answer, Fake, PATIENCE, config, job, never, nothing, problem, stop, switch};
use af_agent::{AgentError, Exit, run};
use tempfile::TempDir;
use tokio::time::timeout;

/// Prints the notes in the folder, and adds one.
const REMEMBERS: &str = "cat notes 2>/dev/null || echo nothing; echo note >>notes";

struct Home {
    folder: TempDir,
    url: String,
}

impl Home {
    async fn of(fake: &Fake) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), url: fake.serve().await }
    }

    /// The next worker of the same server.
    fn another(&self) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), url: self.url.clone() }
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    async fn run(&self, conversation: &str, shutdown: impl Future<Output = ()>) -> Result<Exit, AgentError> {
        let (program, data) = (script(self.folder.path(), REMEMBERS), self.data());
        let changes = [
            ("AGENT_FACTORY_ENGINE", "command"),
            ("AGENT_FACTORY_COMMAND", program.to_str().unwrap()),
            ("AGENT_FACTORY_DATA_DIR", data.to_str().unwrap()),
            ("OPENCLAW_CONVERSATION_ID", conversation),
        ];
        timeout(PATIENCE, run(config(&self.url, &changes), shutdown)).await.expect("the worker ends in time")
    }
}

/// The files in a folder, without the owner file.
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| !name.starts_with(".agent-factory")).collect()
}

fn replies(fake: &Fake) -> Vec<String> {
    fake.bodies("complete").iter().map(|body| body["reply"]["text"].as_str().unwrap().to_owned()).collect()
}

const ONE: &str = "conversation-of-m1";

#[tokio::test]
async fn a_worker_restores_the_files_of_the_drained_worker_before_its_first_poll() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), job("m1", "hello"), stop(), job("m1", "hello again"), stop()]);
    let first = Home::of(&fake).await;
    assert_eq!(first.run(ONE, never()).await.unwrap(), Exit::Stopped);
    let expected = ["latest", "poll", "poll", "complete", "poll", "snapshots", "upload", "finalize"];
    assert_eq!(fake.names(), expected);
    assert_eq!(fake.bodies("snapshots")[0]["reason"], "drain");
    assert!(files(&first.data()).is_empty(), "another worker may own the conversation from now on");

    let second = first.another();
    second.run(ONE, never()).await.unwrap();
    assert_eq!(fake.names()[expected.len()..][..3], ["latest", "download", "poll"]);
    assert_eq!(replies(&fake), ["nothing", "note"]);
}

#[tokio::test]
async fn a_switch_takes_a_snapshot_and_starts_the_next_conversation_with_an_empty_folder() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello"), switch(), job("m2", "hello"), stop()]);
    Home::of(&fake).await.run(ONE, never()).await.unwrap();
    assert_eq!(replies(&fake), ["nothing", "nothing"], "each conversation has its own files");
    let release = &fake.bodies("poll")[2];
    assert_eq!((&release["release"], release.get("discard")), (&true.into(), None));
    let names = fake.names();
    let place = |name: &str| names.iter().position(|n| n == name).unwrap();
    assert!(place("finalize") < names.len() - 5, "the snapshot is taken before the release: {names:?}");
    assert!(fake.has_archive(ONE) && fake.has_archive("conversation-of-m2"));
}

#[tokio::test]
async fn a_shutdown_takes_a_snapshot() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]).script("poll", (0..1_000).map(|_| nothing()));
    let home = Home::of(&fake).await;
    let shutdown = fake.called("complete", 1);
    assert_eq!(home.run(ONE, shutdown).await.unwrap(), Exit::ShutDown);
    assert_eq!(fake.bodies("snapshots")[0]["reason"], "signal");
    assert_eq!(fake.count("finalize"), 1);
}

#[tokio::test]
async fn an_empty_folder_needs_no_snapshot() {
    let fake = Fake::default();
    fake.script("poll", [stop()]);
    Home::of(&fake).await.run(ONE, never()).await.unwrap();
    assert_eq!(fake.names(), ["latest", "poll", "farewell"]);
}

#[tokio::test]
async fn a_failed_snapshot_is_reported_and_the_files_stay_in_the_folder() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello"), stop()])
        .script("upload", (0..10).map(|_| problem(500, "internal")));
    let home = Home::of(&fake).await;
    home.run(ONE, never()).await.unwrap();
    assert_eq!((fake.count("finalize"), fake.count("give-up"), fake.count("farewell")), (0, 1, 0));
    let error = fake.bodies("give-up")[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("HTTP 500") && !error.contains("bucket/"), "{error}");
    assert_eq!(files(&home.data()), ["notes"]);
}

#[tokio::test]
async fn no_engine_runs_while_the_bucket_does_not_answer_the_files() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello"), stop(), job("m1", "again"), stop()]);
    let first = Home::of(&fake).await;
    first.run(ONE, never()).await.unwrap();
    fake.script("download", (0..20).map(|_| problem(503, "unavailable")));
    let second = first.another();
    second.run(ONE, never()).await.unwrap();
    let failure = &fake.bodies("fail")[0];
    assert!(failure["errorMessage"].as_str().unwrap().contains("could not be restored"), "{failure}");
    assert_eq!(failure["retryable"], true);
    assert_eq!(replies(&fake), ["nothing"]);
    assert_eq!(
        (fake.count("upload"), fake.count("skip")),
        (1, 0),
        "an empty folder does not replace the snapshot"
    );
    assert!(files(&second.data()).is_empty());
}

/// Three workers one after another, whose snapshots are damaged after the first or the second of them. The replies say
/// which files each one found.
async fn after_damage(to: impl Fn(usize) -> bool) -> Fake {
    let fake = Fake::default();
    let mut home = Home::of(&fake).await;
    for worker in 0..3 {
        fake.script("poll", [job("m1", "hello"), stop()]);
        home.run(ONE, never()).await.unwrap();
        if to(worker) {
            fake.corrupt(ONE, b"no archive");
        }
        home = home.another();
    }
    fake
}

#[tokio::test]
async fn a_conversation_whose_snapshot_cannot_be_restored_begins_from_the_one_before() {
    let fake = after_damage(|worker| worker == 1).await;
    assert_eq!(replies(&fake), ["nothing", "note", "note"]);
    let said = fake.bodies("skip")[0]["error"].as_str().unwrap().to_owned();
    assert!(said.contains("the archive is damaged"), "{said}");
    assert_eq!((fake.count("skip"), fake.count("fail")), (1, 0));
}

#[tokio::test]
async fn a_conversation_without_a_snapshot_that_can_be_restored_begins_with_an_empty_folder() {
    let fake = after_damage(|worker| worker == 0).await;
    assert_eq!(replies(&fake), ["nothing", "nothing", "note"]);
    assert_eq!((fake.count("skip"), fake.count("fail")), (1, 0));
}

#[tokio::test]
async fn a_folder_with_foreign_files_is_not_touched() {
    let fake = Fake::default();
    let home = Home::of(&fake).await;
    std::fs::create_dir(home.data()).unwrap();
    std::fs::write(home.data().join("thesis.txt"), "mine").unwrap();
    let refused = home.run(ONE, never()).await.unwrap_err();
    assert!(matches!(refused, AgentError::Files(_)), "{refused}");
    assert_eq!((files(&home.data()), fake.calls().len()), (vec!["thesis.txt".to_owned()], 0));
}

#[tokio::test]
async fn a_refused_snapshot_releases_the_conversation_only_if_its_files_are_not_needed() {
    let refusals = [(404, "not_found", true), (409, "conflict", true), (422, "invalid_field", false)];
    for (status, code, not_needed) in refusals {
        let fake = Fake::default();
        fake.script("poll", [job("m1", "hello"), stop()]);
        fake.script("snapshots", (0..10).map(|_| problem(status, code)));
        let home = Home::of(&fake).await;
        home.run(ONE, never()).await.unwrap();
        assert_eq!(
            (fake.count("farewell"), fake.count("snapshots")),
            (usize::from(not_needed), 1),
            "{status}"
        );
        assert_eq!(
            files(&home.data()).is_empty(),
            not_needed,
            "{status}: the files of an archive that is too large must stay"
        );
    }
}

/// The data folder of a worker that has restored its files. This test uses virtual time, because no program runs.
fn prepare_data_folder(data: &Path) {
    std::fs::create_dir_all(data).unwrap();
    let mark = format!(r#"{{"conversationId": "{ONE}", "restored": true}}"#);
    std::fs::write(data.join(".agent-factory.json"), mark).unwrap();
    std::fs::write(data.join("notes"), "note").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_sends_signs_of_life_during_a_long_upload_or_restore() {
    let fake = Fake::default();
    fake.script("poll", [switch()]);
    fake.script("upload", [Answer::After("control", 4)]);
    fake.script("download", [Answer::After("control", 8)]);
    let home = Home::of(&fake).await;
    prepare_data_folder(&home.data());
    let run = async |data: &Path| {
        let changes = [("AGENT_FACTORY_DATA_DIR", data.to_str().unwrap()), ("OPENCLAW_CONVERSATION_ID", ONE)];
        run(config(&home.url, &changes), never()).await.unwrap();
        // The number of signs of life depends on the time.
        let mut names = fake.names();
        names.dedup();
        names
    };
    let upload = ["poll", "snapshots", "upload", "control", "finalize", "poll"];
    assert_eq!(run(&home.data()).await, upload);
    assert_eq!(fake.bodies("poll")[1]["release"], true);
    let download = ["latest", "download", "control", "poll"];
    assert_eq!(run(&home.another().data()).await[upload.len()..][..4], download);
    assert!(fake.bodies("control").iter().all(|asked| asked["conversationId"] == ONE));
}

#[tokio::test]
async fn the_program_of_a_worker_that_runs_as_root_runs_as_another_user_and_keeps_its_files() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root can run a program as another user.
    }
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello"), stop(), job("m1", "hello again"), stop()]);
    let url = fake.serve().await;
    for _ in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let program = script(folder.path(), &format!("id -u; id -G; {REMEMBERS}"));
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let data = folder.path().join("data");
        let changes = [
            ("AGENT_FACTORY_ENGINE", "command"),
            ("AGENT_FACTORY_COMMAND", program.to_str().unwrap()),
            ("AGENT_FACTORY_DATA_DIR", data.to_str().unwrap()),
            ("AGENT_FACTORY_COMMAND_UID", "65534"),
        ];
        timeout(PATIENCE, run(config(&url, &changes), never())).await.unwrap().unwrap();
    }
    assert_eq!(replies(&fake), ["65534\n65534\nnothing", "65534\n65534\nnote"]);
}
