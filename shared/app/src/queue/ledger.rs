//! Counts the usage of messages in the ledger, from the table's stream, and reads the ledger.

use std::collections::BTreeMap;

use af_domain::attempt::AttemptEnd;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::ledger::{Figures, Prices};
use af_domain::message::MessageStatus;
use af_domain::push::Day;
use af_domain::time::Timestamp;
use af_runtime::metric::Metric;
use af_store::Page;
pub use af_store::ledger::{Account, Days, LedgerRow, Rows};
use af_store::ledger::{MAX_LEDGER_ROWS, MessageChange, message_change};

use crate::queue::counters::{StreamRecord, token};
use crate::settings::policies;
use crate::{App, Result};

/// The days that the figures of a user with an agent cover, with today.
pub const RECENT_DAYS: u32 = 30;
/// Rows on a page of the figures of a user, about 100 KB, and most pages that are read: a user with a hundred agents on each
/// of the days has fewer.
const PAGE_ROWS: u32 = 1_000;
const MAX_PAGES: usize = 3;

/// Adds the changes of `records` to the ledger. A batch that is delivered again, in the same parts, counts once. A malformed
/// record is skipped, because it would otherwise block the other records.
pub async fn record(app: &App, records: &[StreamRecord]) -> Result<()> {
    let mut changes = Vec::new();
    for StreamRecord { dynamodb: record, .. } in records {
        match message_change(record.old_image.as_ref(), record.new_image.as_ref()) {
            Ok(change) => changes.extend(change.map(|change| (change, Day::of_utc(record.at())))),
            Err(error) => {
                tracing::error!(%error, record = record.sequence_number, "a malformed stream record is not in the ledger");
            }
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let prices = policies::settings(app).await?.prices;
    let mut sums = BTreeMap::<(Day, Account), Figures>::new();
    for (change, day) in &changes {
        for (account, figures) in additions(change, &prices) {
            sums.entry((*day, account)).or_default().add(&figures);
        }
    }
    let rows = sums.into_iter().map(|((day, account), figures)| LedgerRow { day, account, figures });
    // The order and so the parts of the rows depend on the records alone, not on the prices.
    for (part, rows) in rows.collect::<Vec<_>>().chunks(MAX_LEDGER_ROWS).enumerate() {
        // A stale write means that this part was counted by an earlier delivery of the batch.
        app.store.add_to_ledger_if_new(&format!("{}-{part}", token(records)), rows, app.now()).await?;
    }
    changes.iter().for_each(|(change, _)| measure(change));
    Ok(())
}

/// Records the metrics of a change. A batch that is delivered again is measured again.
fn measure(change: &MessageChange) {
    match change.ended {
        Some(MessageStatus::Done) => Metric::MessageDone.count(),
        Some(MessageStatus::DeadLetter) => Metric::MessageDeadLettered.count(),
        _ => {}
    }
    for attempt in &change.attempts {
        Metric::ProcessingTime.record(attempt.ended_at.since(attempt.claimed_at).as_millis());
        if attempt.end == AttemptEnd::Requeued {
            Metric::AttemptFailed.count();
        }
    }
}

/// What a change adds to which accounts.
fn additions(change: &MessageChange, prices: &Prices) -> Vec<(Account, Figures)> {
    let mut figures = Figures {
        messages: u64::from(change.ended.is_some()),
        failed: u64::from(change.ended == Some(MessageStatus::DeadLetter)),
        delivered: u64::from(change.delivered),
        ..Figures::default()
    };
    let mut additions = Vec::new();
    for attempt in &change.attempts {
        let of_attempt = Figures::of_attempt(attempt, prices);
        figures.add(&of_attempt);
        let model = attempt.usage.as_ref().and_then(|usage| usage.model.clone());
        additions.extend(model.map(|model| (Account::Model(model), of_attempt)));
    }
    let user = change.user.clone().map(|user| Account::User(user, change.agent.clone()));
    let accounts = [Account::Deployment, Account::Agent(change.agent.clone())].into_iter().chain(user);
    additions.extend(accounts.map(|account| (account, figures)));
    additions
}

/// Returns one page of the ledger.
pub async fn list(
    app: &App,
    rows: &Rows,
    days: Days,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<LedgerRow, String>> {
    Ok(app.store.ledger(rows, days, after, i32::try_from(limit).unwrap_or(i32::MAX)).await?)
}

/// Returns the last [`RECENT_DAYS`] days, up to `now`.
pub fn recent_days(now: Timestamp) -> Days {
    let to = Day::of_utc(now);
    Days { from: to.days_before(RECENT_DAYS - 1), to }
}

/// Returns the sum of the recent figures of `user` with `agent`.
pub async fn recent_of(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<Figures> {
    let (rows, days) = (Rows::OfUser(user.clone()), recent_days(app.now()));
    let (mut sum, mut after) = (Figures::default(), None);
    for _ in 0..MAX_PAGES {
        let page = list(app, &rows, days, after.as_deref(), PAGE_ROWS).await?;
        let of_agent = |row: &&LedgerRow| matches!(&row.account, Account::User(_, of) if of == agent);
        page.items.iter().filter(of_agent).for_each(|row| sum.add(&row.figures));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(sum)
}
