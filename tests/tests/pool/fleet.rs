//! The workers on the machines of a test. In its turn, each acts like the reference worker: it restores the files of
//! its conversation, polls, runs messages, and uploads the files before it ends. A message adds one line to the files.

use std::collections::BTreeMap;

use af_app::AppError;
use af_app::files::snapshots::{self, Announced};
use af_app::worker::bundle::Job;
use af_app::worker::{DeliveredBy, Ownership, Poll, Wants, complete, poll};
use af_domain::ids::{ConversationId, MessageId, Sha256Hex, SnapshotId, WorkerId};
use af_domain::message::{Reply, ReplyFormat};
use af_domain::snapshot::{SnapshotReason, Stored};
use af_store::conversation::CompleteWith;
use af_store::conversation_key;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use http::{Method, StatusCode};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::world::World;

/// The largest number of messages that one worker runs in one turn.
const MAX_MESSAGES: usize = 50;
/// The size limit of an archive in these tests.
const MAX_FILES_BYTES: usize = 1 << 20;

pub struct Fleet<'a> {
    world: &'a World,
    workers: BTreeMap<WorkerId, WorkerState>,
    completions: BTreeMap<MessageId, usize>,
    /// Whether workers claim messages and never complete them.
    pub is_stalled: bool,
    /// Whether workers send no calls at all.
    pub is_silent: bool,
    /// Whether a worker runs only one message in one turn.
    pub is_paced: bool,
}

/// One worker.
#[derive(Default)]
struct WorkerState {
    conversation: Option<ConversationId>,
    /// The files of its conversation.
    files: String,
    /// Whether the next poll releases the conversation.
    release: bool,
    has_left: bool,
}

impl WorkerState {
    fn ownership(&self) -> Ownership {
        if !self.release {
            Ownership::Keep
        } else if self.files.is_empty() {
            Ownership::Discard
        } else {
            Ownership::Release
        }
    }
}

impl<'a> Fleet<'a> {
    pub fn of(world: &'a World) -> Self {
        Self {
            world,
            workers: BTreeMap::new(),
            completions: BTreeMap::new(),
            is_stalled: false,
            is_silent: false,
            is_paced: false,
        }
    }

    /// How often the completion of this message was accepted.
    pub fn completions_of(&self, message: &MessageId) -> usize {
        self.completions.get(message).copied().unwrap_or_default()
    }

    /// Runs one turn of each worker whose machine runs.
    pub async fn work(&mut self) {
        for machine in self.world.backend.machines().await {
            if machine.state != "started" || self.is_silent {
                continue;
            }
            let mut state = match self.workers.remove(&machine.worker) {
                Some(state) => state,
                None => self.boot(&machine.worker).await,
            };
            if !state.has_left {
                self.turn(&machine.worker, &mut state).await;
            }
            self.workers.insert(machine.worker, state);
        }
    }

    /// Each worker uploads its files and stays active.
    pub async fn upload_all(&mut self) {
        for (worker, state) in &self.workers {
            self.upload(worker, state).await;
        }
    }

    async fn boot(&self, worker: &WorkerId) -> WorkerState {
        let conversation = self.world.backend.created().conversations[worker].clone();
        let conversation = conversation.map(|c| ConversationId::parse(c).unwrap());
        let mut state = WorkerState { conversation: conversation.clone(), ..WorkerState::default() };
        if let Some(conversation) = &conversation {
            state.files = self.restore(worker, conversation).await;
        }
        state
    }

    async fn turn(&mut self, worker: &WorkerId, state: &mut WorkerState) {
        for _ in 0..MAX_MESSAGES {
            let request = Poll {
                conversation: state.conversation.clone(),
                ownership: state.ownership(),
                ..Poll::default()
            };
            let polled = poll(&self.world.app, worker, &request).await.unwrap();
            if std::mem::take(&mut state.release) {
                *state = WorkerState::default();
            }
            match polled.job {
                Some(_) if self.is_stalled => return,
                Some(job) => {
                    self.run(worker, state, &job).await;
                    if self.is_paced {
                        return;
                    }
                }
                None if polled.control.should_stop => return self.leave(worker, state).await,
                None if polled.control.switch.is_some() => {
                    self.upload(worker, state).await;
                    state.release = true;
                }
                None => return,
            }
        }
        panic!("{worker} gets more than {MAX_MESSAGES} messages in one turn");
    }

    async fn run(&mut self, worker: &WorkerId, state: &mut WorkerState, job: &Job) {
        if state.conversation.as_ref() != Some(&job.conversation.id) {
            state.files = self.restore(worker, &job.conversation.id).await;
            state.conversation = Some(job.conversation.id.clone());
        }
        let message = &job.lease.entry.message;
        state.files.push_str(&format!("{message}\n"));
        let with = CompleteWith {
            history: vec![],
            pending_tool_calls: None,
            metadata: BTreeMap::new(),
            reply: Some(Reply { text: "answer".to_owned(), format: ReplyFormat::Plain }),
            delivery: None,
            usage: None,
        };
        complete(&self.world.app, worker, message, &job.lease.id, with, DeliveredBy::Worker).await.unwrap();
        *self.completions.entry(message.clone()).or_default() += 1;
    }

    async fn leave(&self, worker: &WorkerId, state: &mut WorkerState) {
        state.has_left = true;
        let Some(conversation) = state.conversation.clone() else { return };
        if state.files.is_empty() {
            let conversation = Some(conversation);
            let (wants, ownership) = (Wants::ControlOnly, Ownership::Discard);
            let last_poll = Poll { conversation, wants, ownership, ..Poll::default() };
            poll(&self.world.app, worker, &last_poll).await.unwrap();
        } else {
            self.upload(worker, state).await;
        }
    }

    /// Uploads the files, unless they are empty. The upload is refused when the worker no longer owns its conversation.
    async fn upload(&self, worker: &WorkerId, state: &WorkerState) {
        let Some(conversation) = state.conversation.clone().filter(|_| !state.files.is_empty()) else {
            return;
        };
        let (app, objects) = (&self.world.app, &self.world.objects);
        let digest = Sha256::digest(state.files.as_bytes());
        let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let content =
            Stored { size_bytes: state.files.len() as u64, sha256: Sha256Hex::parse(sha256).unwrap() };
        let announced = Announced { conversation, reason: SnapshotReason::Drain, content };
        let prepared = match snapshots::prepare(app, objects, worker, announced).await {
            Ok(prepared) => prepared,
            Err(AppError::Refused(_)) => return,
            Err(error) => panic!("{error}"),
        };
        let headers: Vec<_> = prepared.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let put = self.transfer(Method::PUT, &prepared.upload_url, &headers, state.files.clone()).await;
        assert_eq!(put.0, StatusCode::OK);
        let id = SnapshotId::parse(prepared.snapshot_id).unwrap();
        snapshots::finalize(app, objects, worker, &id).await.unwrap();
    }

    async fn restore(&self, worker: &WorkerId, conversation: &ConversationId) -> String {
        let (app, objects) = (&self.world.app, &self.world.objects);
        match snapshots::latest(app, objects, worker, conversation).await {
            Ok(Some(latest)) => self.download(&latest.download_url).await,
            Ok(None) | Err(AppError::Refused(_)) => String::new(),
            Err(error) => panic!("{error}"),
        }
    }

    /// The content of the latest snapshot of a conversation; empty when it has none.
    pub async fn latest_files(&self, conversation: &ConversationId) -> String {
        let latest = self.world.app.store.latest_snapshot(&conversation_key(conversation)).await.unwrap();
        let Some(snapshot) = latest else { return String::new() };
        let key = format!("snapshots/{}", snapshot.id);
        let url = self.world.objects.get_url(&key, af_domain::snapshot::URL_GOOD_FOR).await.unwrap();
        self.download(&url).await
    }

    async fn download(&self, url: &str) -> String {
        let (status, body) = self.transfer(Method::GET, url, &[], String::new()).await;
        assert_eq!(status, StatusCode::OK);
        body
    }

    /// One request to the bucket, without a socket.
    async fn transfer(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> (StatusCode, String) {
        let authority = url.split('/').nth(2).unwrap().to_owned();
        let mut request = Request::builder().method(method).uri(url).header("host", authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let answer = self.world.bundle.aws.endpoint_router().oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), MAX_FILES_BYTES).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }
}
