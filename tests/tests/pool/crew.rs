//! The workers on the stand-in's machines. Each does what the reference worker does, when it is its turn: it restores
//! its conversation's files, polls, works, and on leaving uploads them. A message's work is a line in the files.

use std::collections::BTreeMap;

use af_app::AppError;
use af_app::files::snapshots::{self, Announced};
use af_app::worker::bundle::Job;
use af_app::worker::{Ownership, Poll, Wants, complete, poll};
use af_domain::ids::{ConversationId, MessageId, Sha256Hex, WorkerId};
use af_domain::snapshot::{SnapshotReason, Stored};
use af_store::conversation::CompleteWith;
use af_store::conversation_key;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use http::{Method, StatusCode};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::world::World;

/// Messages that one worker runs in one turn at most.
const MESSAGES_MAX: usize = 50;
/// The largest archive here.
const FILES_BYTES_MAX: usize = 1 << 20;

pub struct Crew<'a> {
    world: &'a World,
    hands: BTreeMap<WorkerId, Hands>,
    answered: BTreeMap<MessageId, usize>,
    /// Whether they claim and never end what they claimed.
    pub idles: bool,
    /// Whether they say nothing at all.
    pub silent: bool,
}

/// One worker.
#[derive(Default)]
struct Hands {
    conversation: Option<ConversationId>,
    /// The files of its conversation.
    files: String,
    /// Whether the next poll lets the conversation go.
    release: bool,
    left: bool,
}

impl Hands {
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

impl<'a> Crew<'a> {
    pub fn of(world: &'a World) -> Self {
        Self { world, hands: BTreeMap::new(), answered: BTreeMap::new(), idles: false, silent: false }
    }

    /// How often a worker was told that this message is done.
    pub fn answers_to(&self, message: &MessageId) -> usize {
        self.answered.get(message).copied().unwrap_or_default()
    }

    /// Every worker whose machine runs has its turn.
    pub async fn work(&mut self) {
        for machine in self.world.stand.machines().await {
            if machine.state != "started" || self.silent {
                continue;
            }
            let mut hands = match self.hands.remove(&machine.worker) {
                Some(hands) => hands,
                None => self.boot(&machine.worker).await,
            };
            if !hands.left {
                self.turn(&machine.worker, &mut hands).await;
            }
            self.hands.insert(machine.worker, hands);
        }
    }

    /// Every worker uploads its files, and stays.
    pub async fn keep_all(&mut self) {
        for (worker, hands) in &self.hands {
            self.keep(worker, hands).await;
        }
    }

    async fn boot(&self, worker: &WorkerId) -> Hands {
        let conversation = self.world.stand.ever().conversations[worker].clone();
        let conversation = conversation.map(|c| ConversationId::parse(c).unwrap());
        let mut hands = Hands { conversation: conversation.clone(), ..Hands::default() };
        if let Some(conversation) = &conversation {
            hands.files = self.restore(worker, conversation).await;
        }
        hands
    }

    async fn turn(&mut self, worker: &WorkerId, hands: &mut Hands) {
        for _ in 0..MESSAGES_MAX {
            let request = Poll {
                conversation: hands.conversation.clone(),
                ownership: hands.ownership(),
                ..Poll::default()
            };
            let polled = poll(&self.world.app, worker, &request).await.unwrap();
            if std::mem::take(&mut hands.release) {
                *hands = Hands::default();
            }
            match polled.job {
                Some(_) if self.idles => return,
                Some(job) => self.run(worker, hands, &job).await,
                None if polled.control.should_stop => return self.leave(worker, hands).await,
                None if polled.control.switch.is_some() => {
                    self.keep(worker, hands).await;
                    hands.release = true;
                }
                None => return,
            }
        }
        panic!("{worker} never has enough");
    }

    async fn run(&mut self, worker: &WorkerId, hands: &mut Hands, job: &Job) {
        if hands.conversation.as_ref() != Some(&job.conversation.id) {
            hands.files = self.restore(worker, &job.conversation.id).await;
            hands.conversation = Some(job.conversation.id.clone());
        }
        let message = &job.lease.entry.message;
        hands.files.push_str(&format!("{message}\n"));
        let with = CompleteWith {
            history: vec![],
            pending_tool_calls: None,
            metadata: BTreeMap::new(),
            reply: Some("answer".to_owned()),
        };
        complete(&self.world.app, worker, message, &job.lease.id, with).await.unwrap();
        *self.answered.entry(message.clone()).or_default() += 1;
    }

    async fn leave(&self, worker: &WorkerId, hands: &mut Hands) {
        hands.left = true;
        let Some(conversation) = hands.conversation.clone() else { return };
        if hands.files.is_empty() {
            let conversation = Some(conversation);
            let (wants, ownership) = (Wants::ControlOnly, Ownership::Discard);
            let farewell = Poll { conversation, wants, ownership, ..Poll::default() };
            poll(&self.world.app, worker, &farewell).await.unwrap();
        } else {
            self.keep(worker, hands).await;
        }
    }

    /// Uploads the files, if anything was done in them. One that is not its conversation's owner any more does not.
    async fn keep(&self, worker: &WorkerId, hands: &Hands) {
        let Some(conversation) = hands.conversation.clone().filter(|_| !hands.files.is_empty()) else {
            return;
        };
        let (app, objects) = (&self.world.app, &self.world.objects);
        let digest = Sha256::digest(hands.files.as_bytes());
        let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let content =
            Stored { size_bytes: hands.files.len() as u64, sha256: Sha256Hex::parse(sha256).unwrap() };
        let announced = Announced { conversation, reason: SnapshotReason::Drain, content };
        let prepared = match snapshots::prepare(app, objects, worker, announced).await {
            Ok(prepared) => prepared,
            Err(AppError::Refused(_)) => return,
            Err(error) => panic!("{error}"),
        };
        let headers: Vec<_> = prepared.upload.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let put = self.transfer(Method::PUT, &prepared.upload.url, &headers, hands.files.clone()).await;
        assert_eq!(put.0, StatusCode::OK);
        snapshots::finalize(app, objects, worker, &prepared.snapshot.id).await.unwrap();
    }

    async fn restore(&self, worker: &WorkerId, conversation: &ConversationId) -> String {
        let (app, objects) = (&self.world.app, &self.world.objects);
        match snapshots::latest(app, objects, worker, conversation).await {
            Ok(Some(latest)) => self.download(&latest.download_url).await,
            Ok(None) | Err(AppError::Refused(_)) => String::new(),
            Err(error) => panic!("{error}"),
        }
    }

    /// What the latest snapshot of a conversation holds; nothing when there is none.
    pub async fn kept(&self, conversation: &ConversationId) -> String {
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
        let bytes = to_bytes(answer.into_body(), FILES_BYTES_MAX).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }
}
