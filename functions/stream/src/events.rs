//! The events of one stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use af_api::events::{EventBody, EventList};
use af_app::App;
use af_app::conversations::events::follow;
use af_domain::follow::{Change, Seen};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::time::{Millis, Timestamp};
use af_http::CursorKey;
use axum::response::sse::Event;
use futures::{Stream, StreamExt as _, stream};

/// How long a stream lasts. A function that streams is billed as long as it runs, and a broken connection is noticed only
/// when something is sent.
const MAX_STREAM: Millis = Millis::from_secs(300);
/// How long one call of the use case waits. It only bounds the time after which the end of the stream is noticed.
const WAIT: Millis = Millis::from_secs(10);
/// How often a comment is sent when nothing else is, so that proxies keep the connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After this time a client connects again.
const RETRY: Duration = Duration::from_secs(1);

/// Follows one conversation for one client.
pub struct Follower {
    app: Arc<App>,
    user: ConsumerUserId,
    agent: AgentKey,
    key: CursorKey,
    listing: String,
    seen: Seen,
    ends_at: Timestamp,
}

impl Follower {
    /// A follower that has seen `seen`.
    pub fn new(
        app: Arc<App>,
        user: ConsumerUserId,
        agent: AgentKey,
        key: CursorKey,
        listing: String,
        seen: Seen,
    ) -> Self {
        let ends_at = app.now() + MAX_STREAM;
        Self { app, user, agent, key, listing, seen, ends_at }
    }

    /// Ends the stream at this time, if it does not end before.
    pub fn end_by(&mut self, at: Timestamp) {
        self.ends_at = self.ends_at.min(at);
    }

    /// The events: `first`, and those of later changes. The first one has only an id, so that a client can connect again
    /// before anything has changed.
    pub fn events(self, first: Vec<Change>) -> impl Stream<Item = Result<Event, Infallible>> {
        let mut begin = self.sent(first);
        begin.insert(0, Event::default().id(self.cursor()).retry(RETRY));
        let later = stream::unfold(self, |follower| async move {
            let (events, follower) = follower.next().await?;
            Some((stream::iter(events), follower))
        });
        stream::iter(begin).chain(later.flatten()).map(Ok)
    }

    /// Waits for the next events. `None` ends the stream.
    async fn next(mut self) -> Option<(Vec<Event>, Self)> {
        while self.app.now() < self.ends_at {
            let followed = follow(&self.app, &self.user, &self.agent, self.seen, WAIT).await;
            let followed = match followed {
                Ok(followed) => followed,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, user = %self.user, agent = %self.agent, "a stream broke off");
                    return None;
                }
            };
            self.seen = followed.seen;
            if !followed.changes.is_empty() {
                let events = self.sent(followed.changes);
                return Some((events, self));
            }
        }
        None
    }

    fn cursor(&self) -> String {
        self.key.seal_in(&self.listing, &self.seen.to_string())
    }

    /// The events of `changes`. Only the last one has an id: a client that has received only a part of them gets all of
    /// them again.
    fn sent(&self, changes: Vec<Change>) -> Vec<Event> {
        let EventList { items, next_cursor } = EventList::new(changes, self.cursor());
        let mut events: Vec<_> = items.iter().map(event).collect();
        if let Some(last) = events.pop() {
            events.push(last.id(next_cursor));
        }
        events
    }
}

fn event(body: &EventBody) -> Event {
    // JSON of `serde_json` has no line break.
    let data = serde_json::to_string(body).expect("strings and numbers become JSON");
    Event::default().event(body.kind.as_str()).data(data)
}
