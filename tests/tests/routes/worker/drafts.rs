//! Drafts: people see that the agent is at work.

use af_app::telegram::drafts::show;
use af_domain::time::Millis;
use af_emulator_telegram::Fault;
use af_tests::telegram::CHAT;
use serde_json::json;

use crate::worker::ingress::{Chat, run};

impl Chat {
    /// Shows the drafts for all records so far that pass the filters of the template.
    async fn stream(&self) {
        show(&self.world.bundle.restricted_app("effects"), &self.ann.records(&self.world.bundle)).await;
    }
}

#[tokio::test]
async fn a_message_that_waits_is_shown_as_a_draft_in_its_chat_and_as_typing_in_a_group() {
    let chat = Chat::new().await;
    chat.ann.says(1, json!({"text": "hello"})).await;
    let group = json!({"text": "/hi", "chat": {"id": -5, "type": "group"}});
    chat.ann.says(2, group).await;
    chat.stream().await;
    let drafts = chat.ann.telegram.drafts();
    let [draft] = drafts.as_slice() else { panic!("{drafts:?}") };
    assert_eq!((draft.chat_id, draft.text.as_str(), draft.can_stop), (CHAT, "Thinking…", true));
    let typing: Vec<_> =
        chat.ann.telegram.chat_actions().into_iter().map(|a| (a.chat_id, a.action)).collect();
    assert_eq!(typing, [(-5, "typing".to_owned())]);
}

#[tokio::test]
async fn a_message_that_has_ended_and_a_message_of_an_app_have_no_draft() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    chat.ann.says(1, json!({"text": "hello"})).await;
    assert!(!run(&worker).await.is_null());
    chat.world.enqueue("talk").await;
    chat.stream().await;
    assert!(chat.ann.telegram.drafts().is_empty() && chat.ann.telegram.chat_actions().is_empty());
}

#[tokio::test]
async fn a_draft_that_telegram_refuses_is_dropped_and_drafts_can_be_switched_off() {
    let chat = Chat::new().await;
    chat.ann.telegram.fault("sendMessageDraft", &Fault::new(500, "Internal Server Error"), 1);
    chat.ann.says(1, json!({"text": "hello"})).await;
    chat.stream().await;
    assert!(chat.ann.telegram.drafts().is_empty());
    chat.configure(json!({"showActivity": false})).await;
    chat.ann.says(2, json!({"text": "hello"})).await;
    chat.stream().await;
    assert!(chat.ann.telegram.drafts().is_empty());
}

#[tokio::test]
pub async fn the_progress_of_a_heartbeat_is_the_text_of_the_draft_at_most_once_a_second() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let id = chat.ann.says(1, json!({"text": "hello"})).await;
    chat.stream().await;
    let job = worker.poll(json!({})).await["job"].clone();
    let beats = async |progress: &str| {
        let beat = json!({"leaseId": job["leaseId"], "fence": job["fence"], "progress": progress});
        worker.post(&format!("messages/{id}/heartbeat"), beat).await.body_of(200);
        let drafts = chat.ann.telegram.drafts();
        assert_eq!(drafts.len(), 1, "all have one id: {drafts:?}");
        drafts[0].text.clone()
    };
    assert_eq!(beats("one").await, "one");
    assert_eq!(beats("one, two").await, "one", "within the same second");
    chat.world.advance(Millis::from_secs(1));
    assert_eq!(beats("one, two").await, "one, two");
    chat.world.advance(Millis::from_secs(1));
    chat.says_stop(2).await;
    assert_eq!(beats("one, two, three").await, "one, two", "the message is cancelled");
}

impl Chat {
    async fn says_stop(&self, update: u64) {
        let stopped = self.ann.sends(update, "message", json!({"text": "/stop"})).await;
        assert_eq!(stopped["cancelled"], 1);
    }
}
