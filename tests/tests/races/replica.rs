//! A replica that falls behind: eventually consistent reads get their earlier answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use af_emulator_aws::{Fault, Faults, Reply, WireRequest};

/// The answers of reads before the replica fell behind.
#[derive(Default)]
pub struct Replica {
    behind: AtomicBool,
    answers: Mutex<HashMap<String, Reply>>,
}

impl Replica {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on every repeated read gets its earlier answer.
    pub fn fall_behind(&self) {
        self.behind.store(true, Ordering::Relaxed);
    }
}

impl Faults for Replica {
    fn before(&self, request: &WireRequest) -> Fault {
        if !self.behind.load(Ordering::Relaxed) {
            return Fault::None;
        }
        let answers = self.answers.lock().unwrap();
        match read(request).and_then(|read| answers.get(&read)) {
            Some(reply) => Fault::Respond { status: reply.status, body: reply.body.clone() },
            None => Fault::None,
        }
    }

    fn answered(&self, request: &WireRequest, reply: &Reply) {
        if let Some(read) = read(request) {
            self.answers.lock().unwrap().insert(read, reply.clone());
        }
    }
}

fn read(request: &WireRequest) -> Option<String> {
    let eventual = matches!(request.operation.as_str(), "GetItem" | "Query")
        && request.body["ConsistentRead"].as_bool() != Some(true);
    eventual.then(|| format!("{} {}", request.operation, request.body))
}
