//! A running `dev` for one test: its folder, its process and its API. Its end leaves no process behind.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_agent-factory");
/// The time between two polls of another process.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The largest number of polls before a test fails: one minute.
const MAX_POLLS: usize = 1_200;

/// Where the log of `dev` goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Log {
    Inherited,
    Trace,
}

pub struct Dev {
    dir: TempDir,
    child: Child,
    args: Vec<String>,
    pub file: Value,
    http: reqwest::Client,
}

impl Dev {
    pub async fn start(args: &[&str]) -> Dev {
        Self::start_with(args, Log::Inherited).await
    }

    /// Starts it with the most verbose log, in the file `data.log` beside its folder.
    pub async fn start_traced(args: &[&str]) -> Dev {
        Self::start_with(args, Log::Trace).await
    }

    async fn start_with(args: &[&str], log: Log) -> Dev {
        let dir = tempfile::tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let child = spawn(&dir.path().join("data"), "0", &args, log);
        let http = reqwest::Client::builder().timeout(Duration::from_secs(40)).build().unwrap();
        let mut dev = Dev { dir, child, args, file: Value::Null, http };
        dev.ready().await;
        dev
    }

    async fn ready(&mut self) {
        let path = self.data().join("dev.json");
        let pid = self.child.id();
        self.file = eventually("dev.json of this process", async || {
            let file: Value = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
            (file["pid"] == pid).then_some(file)
        })
        .await;
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Asks `dev` to stop and returns when its process has ended.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }

    /// The processes that carry the mark of a worker's folder.
    pub fn worker_processes(&self) -> Vec<Pid> {
        let workers = fs::read_dir(self.data().join("workers")).into_iter().flatten().flatten();
        let pids = workers.filter_map(|w| pid_in(&w.path().join("machine.json")));
        pids.filter(|pid| test_kill_process(*pid).is_ok()).collect()
    }

    /// Kills `dev` as a power cut would and starts it again on the same folder and port.
    pub async fn crash_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let url = self.file["url"].as_str().unwrap();
        let port = url.rsplit(':').next().unwrap().to_owned();
        self.child = spawn(&self.data(), &port, &self.args, Log::Inherited);
        self.ready().await;
    }

    pub fn url(&self) -> &str {
        self.file["url"].as_str().unwrap()
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.url());
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, url).bearer_auth(self.file["adminKey"].as_str().unwrap());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    pub async fn send(&self, conversation: &str, text: &str) -> String {
        let body = json!({
            "conversationId": conversation,
            "agentKey": "demo",
            "payload": {"provider": "test", "providerUserId": "u", "messageText": text},
        });
        let (status, answer) = self.call("POST", "/v1/messages", Some(body)).await;
        assert_eq!(status, 202, "{answer}");
        answer["messageId"].as_str().unwrap().to_owned()
    }

    pub async fn message(&self, id: &str) -> Value {
        self.get(&format!("/v1/messages/{id}")).await
    }

    pub async fn message_in(&self, id: &str, status: &str) -> Value {
        eventually(&format!("message {id} to be {status}"), async || {
            let message = self.message(id).await;
            (message["status"] == status).then_some(message)
        })
        .await
    }

    pub async fn advance(&self, by: Duration) {
        let body = json!({"advanceMs": u64::try_from(by.as_millis()).unwrap()});
        let (status, answer) = self.call("POST", "/_local/clock", Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    }

    pub async fn workers(&self) -> Vec<Value> {
        self.get("/v1/workers").await["items"].as_array().unwrap().clone()
    }

    pub async fn outbox(&self, chat: &str) -> Vec<String> {
        let sent = self.get(&format!("/_local/telegram/outbox?chatId={chat}")).await;
        let text = |m: &Value| m["text"].as_str().unwrap().to_owned();
        sent["messages"].as_array().unwrap().iter().map(text).collect()
    }

    /// A call of the program against this `dev`.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--data-dir").arg(self.data()).args(args);
        command
    }

    /// Runs the program against this `dev`.
    pub fn cli(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs the program, which must succeed, and returns what it has printed.
    pub fn printed(&self, args: &[&str]) -> String {
        printed_by(args, self.cli(args))
    }

    /// Runs the program with this standard input, as [`printed`](Self::printed).
    pub fn printed_with(&self, args: &[&str], input: &str) -> String {
        let mut child = self.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        printed_by(args, child.wait_with_output().unwrap())
    }

    /// Runs the program with `--json`, and returns the value that it has printed.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.printed(&[&["--json"], args].concat())).unwrap()
    }

    /// The process of a worker, as the local provider records it.
    pub fn pid_of(&self, worker: &str) -> Option<Pid> {
        pid_in(&self.data().join("workers").join(worker).join("machine.json"))
    }
}

fn printed_by(args: &[&str], output: Output) -> String {
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        for _ in 0..200 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Workers that are still running after their `dev` was killed.
        let workers = fs::read_dir(self.data().join("workers")).into_iter().flatten().flatten();
        for pid in workers.filter_map(|w| pid_in(&w.path().join("machine.json"))) {
            if test_kill_process(pid).is_ok() {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        if !std::thread::panicking() {
            let found = files_with_secrets(self.dir.path());
            assert!(found.is_empty(), "files of dev with a secret: {found:?}");
        }
    }
}

/// The files that hold secrets by their purpose: the secrets of the deployment, the way for commands to the running `dev`,
/// and the environments and bots of the emulators.
const FILES_FOR_SECRETS: [&str; 5] =
    ["secrets.json", "dev.json", "fly.json", "machine.json", "telegram.jsonl"];
/// A shorter secret of a test may be part of other text.
const MIN_SECRET_BYTES: usize = 12;

/// The other files below `dir` that contain a secret of these files, with the name of the field.
fn files_with_secrets(dir: &Path) -> Vec<(PathBuf, String)> {
    let (mut secrets, mut others) = (BTreeSet::new(), Vec::new());
    for file in files(dir) {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if FILES_FOR_SECRETS.contains(&name) {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let parsed = text.lines().filter_map(|line| serde_json::from_str(line).ok());
            let whole = serde_json::from_str(&text).into_iter();
            parsed.chain(whole).for_each(|value: Value| add_secrets("", &value, &mut secrets));
        } else {
            others.push(file);
        }
    }
    let mut found = Vec::new();
    for file in others {
        let content = String::from_utf8_lossy(&fs::read(&file).unwrap_or_default()).into_owned();
        let contained = secrets.iter().filter(|(_, value)| content.contains(value.as_str()));
        found.extend(contained.map(|(name, _)| (file.clone(), name.clone())));
        if content.contains("/file/bot") {
            found.push((file, "a file URL of Telegram".to_owned()));
        }
    }
    found
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let each = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files(&entry.path()),
        Ok(kind) if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    };
    entries.flat_map(each).collect()
}

/// Adds the values of fields whose name says that they are secret.
fn add_secrets(name: &str, value: &Value, secrets: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| add_secrets(name, value, secrets)),
        Value::Array(items) => items.iter().for_each(|item| add_secrets(name, item, secrets)),
        Value::String(text) => {
            let name_lower = name.to_lowercase();
            let is_secret = ["token", "secret_string", "adminkey", "secretaccesskey"]
                .iter()
                .any(|n| name_lower.ends_with(n));
            if is_secret && text.len() >= MIN_SECRET_BYTES {
                secrets.insert((name.to_owned(), text.clone()));
            }
        }
        _ => {}
    }
}

fn pid_in(machine: &Path) -> Option<Pid> {
    let machine: Value = serde_json::from_slice(&fs::read(machine).ok()?).ok()?;
    find_pid(&machine).and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
}

fn find_pid(value: &Value) -> Option<u64> {
    match value {
        Value::Object(map) => {
            map.get("pid").and_then(Value::as_u64).or_else(|| map.values().find_map(find_pid))
        }
        _ => None,
    }
}

fn spawn(data: &Path, port: &str, args: &[String], log: Log) -> Child {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
    let mut command = Command::new(PROGRAM);
    command
        .arg("--data-dir")
        .arg(data)
        .args(["dev", "--port", port, "--template", template])
        .args(args)
        .stdout(Stdio::null());
    if log == Log::Trace {
        let file = fs::File::create(data.with_extension("log")).unwrap();
        command.env("RUST_LOG", "trace").stderr(file);
    }
    command.spawn().unwrap()
}

/// Polls until `what` happens.
pub async fn eventually<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..MAX_POLLS {
        if let Some(found) = poll().await {
            return found;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    panic!("waited a minute for {what}");
}

#[test]
fn a_secret_in_another_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let secrets =
        json!({"secrets": {"x": {"versions": {"1": {"secret_string": "a secret of a deployment"}}}}});
    fs::write(dir.path().join("secrets.json"), secrets.to_string()).unwrap();
    fs::create_dir(dir.path().join("workers")).unwrap();
    let log = dir.path().join("workers").join("worker.log");
    fs::write(&log, "all is well").unwrap();
    assert_eq!(files_with_secrets(dir.path()), []);
    fs::write(&log, "got a secret of a deployment!").unwrap();
    assert_eq!(files_with_secrets(dir.path()), [(log, "secret_string".to_owned())]);
}
