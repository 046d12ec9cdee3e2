//! Writes of the delivery to a chat.

use af_app::App;
use af_domain::ids::MessageId;
use af_domain::message::{Reply, ReplyFormat};
use af_domain::outbox::{Chat, Content, Delivery, Entry, Outbox, Part};
use af_store::conversation::CompleteWith;
use af_store::outbox::NewEntry;

use super::{policies, running_message};
use crate::world::{World, empty_completion};

/// A reply that waits in its outbox.
async fn waiting_reply(world: &World) -> (MessageId, Outbox) {
    let running = running_message(world).await;
    let new = entry(world, &running.message);
    let chat = new.chat.clone();
    let reply = Some(Reply { text: "hi".into(), format: ReplyFormat::Plain });
    let with = CompleteWith { reply, delivery: Some(new), ..empty_completion() };
    let (store, now) = (&world.app.store, world.app.now());
    store
        .complete_if_leased(&running.lease, &running.message, &running.worker, &with, now, &policies())
        .await
        .unwrap();
    (running.message, store.outbox(&chat, true).await.unwrap().unwrap())
}

fn entry(world: &World, message: &MessageId) -> NewEntry {
    let entry = Entry {
        id: message.to_string(),
        content: Content::Reply(message.clone()),
        user: None,
        topic: None,
        moved_to: None,
        queued_at: world.app.now(),
        waits: 0,
        parts: Vec::new(),
    };
    NewEntry { chat: Chat::parse("7:42").unwrap(), entry, due_at: world.app.now() }
}

pub async fn change_outbox_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let (_, before) = waiting_reply(world).await;
    let after = before.sending_by("a", world.app.now());
    send!(times, app.store.change_outbox_if_unchanged(&before, &after))
}

pub async fn end_delivery_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let (_, waiting) = waiting_reply(world).await;
    let before = waiting.sending_by("a", world.app.now());
    world.app.store.change_outbox_if_unchanged(&waiting, &before).await.unwrap();
    let after = before.with_part(Part::Sent { message_id: 9 }, world.app.now());
    let ended = Delivery::ended(&before.chat, after.head().unwrap());
    send!(times, app.store.end_delivery_if_unchanged(&before, &ended, app.now()))
}

pub async fn resend_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let (message, outbox) = waiting_reply(world).await;
    let uncertain = outbox.with_part(Part::Uncertain, world.app.now());
    let ended = Delivery::ended(&outbox.chat, uncertain.head().unwrap());
    world.app.store.end_delivery_if_unchanged(&outbox, &ended, world.app.now()).await.unwrap();
    let new = entry(world, &message);
    send!(times, app.store.resend_if_unchanged(&message, Some(&ended), &new, None))
}
