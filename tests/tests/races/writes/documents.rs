//! Writes of workspace documents.

use af_app::App;
use af_domain::document::{Change, DocumentSet, Edit, SetHead, apply};
use af_domain::ids::{AgentKey, DocumentPath};
use af_store::conversation::LeaseRef;

use super::{conversation, running_message};
use crate::world::{RunningMessage, World};

fn change(app: &App) -> Change {
    let path = DocumentPath::parse("MEMORY.md").unwrap();
    let edit = Edit { path, text: Some("likes tea".to_owned()), owner: None };
    apply(&SetHead::default(), None, edit, "key:a", app.now()).unwrap().unwrap()
}

pub async fn change_documents_if_unchanged(_: &World, app: &App, times: usize) -> Vec<String> {
    let set = DocumentSet::Agent(AgentKey::parse("demo").unwrap());
    let changes = [change(app)];
    send!(times, app.store.change_documents_if_unchanged(&set, &SetHead::default(), &changes))
}

pub async fn change_documents_if_leased(world: &World, app: &App, times: usize) -> Vec<String> {
    let RunningMessage { worker, lease, .. } = running_message(world).await;
    let held = LeaseRef { lease: &lease, message: None, worker: &worker };
    let (key, changes) = (af_store::conversation_key(&conversation()), [change(app)]);
    send!(times, app.store.change_documents_if_leased(&held, &key, &SetHead::default(), &changes))
}
