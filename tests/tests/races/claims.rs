//! Claims by workers that no longer own the conversation.

use af_app::worker::{Poll, Wants, poll};

use crate::replica::Replica;
use crate::world::{World, conversation_id};

#[tokio::test]
async fn a_stale_read_gives_a_former_owner_no_message_of_the_next_owner() {
    let world = World::new().await;
    let (replica, conversation) = (Replica::new(), conversation_id("talk"));
    let behind = world.with_faults(replica.clone());
    world.enqueue(&conversation, None).await;
    let former_owner = world.worker("former-owner", Some(&conversation)).await;
    // The first poll writes a sign of life. The second poll reads the waiting message.
    let busy =
        Poll { conversation: Some(conversation.clone()), wants: Wants::ControlOnly, ..Poll::default() };
    for _ in 0..2 {
        poll(&behind, &former_owner, &busy).await.unwrap();
    }
    replica.fall_behind();
    world.drain_completely(&former_owner, Some(&conversation)).await;
    let next_owner = world.worker("next-owner", None).await;
    world.claim(&next_owner, None).await;

    let polled = world.poll(&behind, &former_owner, Some(&conversation)).await;
    assert!(polled.job.is_none(), "{:?}", polled.job);
    let lease = world.stored(&conversation).await.lease.unwrap();
    assert_eq!((lease.worker, lease.redeliveries), (next_owner, 0));
}
