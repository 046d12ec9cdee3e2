//! The ledger: what each day has used, by deployment, agent, user and model. It follows the table's stream.
//!
//! A batch of the stream counts once, however often it is delivered: the transaction that adds to the rows also stores a
//! mark with the hash of the batch, which is kept longer than the stream keeps its records.

use std::collections::BTreeMap;

use af_domain::agent::user_of;
use af_domain::attempt::Attempt;
use af_domain::ids::{AgentKey, ConsumerUserId, ConversationId, ModelName};
use af_domain::ledger::Figures;
use af_domain::message::MessageStatus;
use af_domain::outbox::DeliveryState;
use af_domain::push::Day;
use af_domain::time::{Millis, Timestamp};
use serde_json::Value as Json;

use crate::attempt::decode;
use crate::expression::Update;
use crate::item::{Item, Reader, Writer};
use crate::keys::{self, Key, ONLY};
use crate::outbox::is_in_state;
use crate::write::{Commit, queried};
use crate::{Page, Result, Store, StoreError};

/// How long a mark is kept. The stream keeps a record for one day.
const MARK_RETENTION: Millis = Millis::from_days(2);
/// Most rows that are added to in one transaction. DynamoDB accepts 100 writes, and one is the mark.
pub const MAX_LEDGER_ROWS: usize = 99;

/// The owner of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// The whole deployment.
    Deployment,
    /// An agent.
    Agent(AgentKey),
    /// A user with one agent.
    User(ConsumerUserId, AgentKey),
    /// A model, in the whole deployment.
    Model(ModelName),
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// The day, in UTC.
    pub day: Day,
    /// The owner.
    pub account: Account,
    /// The figures of that day.
    pub figures: Figures,
}

/// A range of days, with its first and its last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
}

/// Which rows a list has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Those of the deployment, one for each day.
    OfDeployment,
    /// Those of one agent, one for each day.
    OfAgent(AgentKey),
    /// Those of one user, one for each day and agent.
    OfUser(ConsumerUserId),
    /// Those of all models, by day.
    OfModels,
    /// Those of all agents, by day.
    OfAgents,
    /// Those of all users, by day.
    OfUsers,
}

/// A change of a message, as far as the ledger counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageChange {
    /// The agent.
    pub agent: AgentKey,
    /// The user; `None` for a conversation that belongs to no consumer user.
    pub user: Option<ConsumerUserId>,
    /// The state in which the message has ended by this change.
    pub ended: Option<MessageStatus>,
    /// Whether its reply has been delivered by this change.
    pub delivered: bool,
    /// The attempts that have ended by this change.
    pub attempts: Vec<Attempt>,
}

type Image = BTreeMap<String, Json>;

/// Returns the change of a message in a stream record; `None` if the record is of another item, or nothing has changed
/// that the ledger counts.
pub fn message_change(old: Option<&Image>, new: Option<&Image>) -> Result<Option<MessageChange>> {
    let (Some(old), Some(new)) = (old, new) else { return Ok(None) };
    let (Some(pk), Some(ONLY)) = (text(new, "pk"), text(new, "sk")) else { return Ok(None) };
    if !pk.starts_with("M#") {
        return Ok(None);
    }
    let malformed = |name: &str| StoreError::malformed(pk, format!("{name}: missing or malformed"));
    let status = |image| text(image, "st").and_then(MessageStatus::parse).ok_or_else(|| malformed("st"));
    let (before, after) = (status(old)?, status(new)?);
    let is_sent = |image| text(image, "dl").is_some_and(|stored| is_in_state(stored, DeliveryState::Sent));
    let known = attempts(old).ok_or_else(|| malformed("ats"))?;
    let mut ended = attempts(new).ok_or_else(|| malformed("ats"))?;
    ended.retain(|attempt| known.iter().all(|known| known.fence != attempt.fence));
    let agent = text(new, "ag").and_then(|ag| AgentKey::parse(ag).ok()).ok_or_else(|| malformed("ag"))?;
    let conversation = text(new, "cid").and_then(|cid| ConversationId::parse(cid).ok());
    let change = MessageChange {
        user: user_of(&conversation.ok_or_else(|| malformed("cid"))?, &agent),
        agent,
        ended: Some(after).filter(|after| before == MessageStatus::Queued && *after != before),
        delivered: is_sent(new) && !is_sent(old),
        attempts: ended,
    };
    let counts = change.ended.is_some() || change.delivered || !change.attempts.is_empty();
    Ok(Some(change).filter(|_| counts))
}

fn text<'a>(image: &'a Image, name: &str) -> Option<&'a str> {
    image.get(name)?.get("S")?.as_str()
}

fn attempts(image: &Image) -> Option<Vec<Attempt>> {
    let Some(list) = image.get("ats") else { return Some(Vec::new()) };
    let texts = list.get("L")?.as_array()?.iter().map(|text| text.get("S")?.as_str());
    texts.filter(|text| *text != Some("")).map(|text| decode(text?)).collect()
}

impl Account {
    fn key(&self, day: Day) -> Key {
        match self {
            Self::Deployment => keys::ledger_of_deployment(day),
            Self::Agent(agent) => keys::ledger_of_agent(agent, day),
            Self::User(user, agent) => keys::ledger_of_user(user, agent, day),
            Self::Model(model) => keys::ledger_of_model(model, day),
        }
    }

    /// The place of the row in the index of messages, which lists the agents and the users of a day.
    fn listed(&self, day: Day) -> Option<(&'static str, String)> {
        match self {
            Self::Agent(agent) => Some((keys::LEDGER_OF_AGENTS, format!("{day}#{agent}"))),
            Self::User(user, agent) => Some((keys::LEDGER_OF_USERS, format!("{day}#{agent}#{user}"))),
            Self::Deployment | Self::Model(_) => None,
        }
    }
}

impl Store {
    /// Adds figures to rows of one day, at most [`MAX_LEDGER_ROWS`], and stores the mark of the batch `batch`: one
    /// transaction. `Stale` means that the batch was counted before.
    pub async fn add_to_ledger_if_new(
        &self,
        batch: &str,
        rows: &[LedgerRow],
        now: Timestamp,
    ) -> Result<Commit> {
        let mark = Writer::at(keys::ledger_batch(batch)).put("ttl", (now + MARK_RETENTION).as_ttl());
        let transaction = self.transaction().put_new_at(mark.build(), now);
        let transaction = rows.iter().fold(transaction, |transaction, row| transaction.update(addition(row)));
        self.commit_or_stale(transaction).await
    }

    /// Returns one page of the rows of `days`, in order of day, after the position `after`. `next` is
    /// the position of the last row of the page.
    pub async fn ledger(
        &self,
        rows: &Rows,
        days: Days,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<LedgerRow, String>> {
        let pk = match rows {
            Rows::OfDeployment => keys::LEDGER_OF_DEPLOYMENT.to_owned(),
            Rows::OfModels => keys::LEDGER_OF_MODELS.to_owned(),
            Rows::OfAgent(agent) => keys::ledger_of_agent(agent, days.from).pk,
            Rows::OfUser(user) => keys::ledger_partition_of_user(user),
            Rows::OfAgents => return self.listed(keys::LEDGER_OF_AGENTS, days, after, limit).await,
            Rows::OfUsers => return self.listed(keys::LEDGER_OF_USERS, days, after, limit).await,
        };
        let [first, last] = bounds(days, after);
        let values = [(":pk", pk.into()), (":first", first.into()), (":last", last.into())];
        let query = self.query("#pk = :pk AND #sk BETWEEN :first AND :last", values);
        let answer = queried(query.limit(limit)).await?;
        let items = answer.items.unwrap_or_default();
        let last = items.last().filter(|_| answer.last_evaluated_key.is_some());
        let next = last.map(|item| Reader::of(item).text("sk").map(str::to_owned)).transpose()?;
        Ok(Page { items: items.iter().map(row_from).collect::<Result<_>>()?, next })
    }

    /// Returns a page of the rows that a partition of the index of messages names.
    async fn listed(
        &self,
        partition: &str,
        days: Days,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<LedgerRow, String>> {
        let [first, last] = bounds(days, after);
        let values = [(":lp", partition.into()), (":first", first.into()), (":last", last.into())];
        let query = self.query("#lp = :lp AND #lk BETWEEN :first AND :last", values);
        let answer = queried(query.index_name(keys::MESSAGES_INDEX).limit(limit)).await?;
        let named = answer.items.unwrap_or_default();
        let last = named.last().filter(|_| answer.last_evaluated_key.is_some());
        let next = last.map(|item| Reader::of(item).text("lk").map(str::to_owned)).transpose()?;
        let key = |item: &Item| {
            let reader = Reader::of(item);
            Ok(Key { pk: reader.text("pk")?.to_owned(), sk: reader.text("sk")?.to_owned() })
        };
        let wanted = named.iter().map(key).collect::<Result<Vec<_>>>()?;
        let found = self.batch_get(wanted.into_iter(), false).await?;
        let mut rows = found.iter().map(row_from).collect::<Result<Vec<_>>>()?;
        rows.sort_by_cached_key(|row| row.account.listed(row.day));
        Ok(Page { items: rows, next })
    }
}

/// The first and the last sort key of `days` after the position `after`. BETWEEN includes its ends, so the
/// first key is the one that follows `after`.
fn bounds(days: Days, after: Option<&str>) -> [String; 2] {
    let first = after.map_or_else(|| days.from.to_string(), |after| format!("{after} "));
    [first, format!("{}~", days.to)]
}

/// The update that adds the figures of `row`.
fn addition(row: &LedgerRow) -> Update {
    let listed = row.account.listed(row.day);
    let update = Update::of(row.account.key(row.day)).bind(":zero", 0_u64);
    let update = update
        .set_some("lp", listed.as_ref().map(|(partition, _)| *partition))
        .set_some("lk", listed.as_ref().map(|(_, key)| key.as_str()));
    fields(&row.figures).into_iter().filter(|(_, figure)| *figure > 0).fold(
        update,
        |update, (name, figure)| {
            let placeholder = format!(":{name}");
            update
                .set_to(name, &format!("if_not_exists(#{name}, :zero) + {placeholder}"))
                .bind(&placeholder, figure)
        },
    )
}

fn fields(figures: &Figures) -> [(&'static str, u64); 10] {
    [
        ("me", figures.messages),
        ("fa", figures.failed),
        ("de", figures.delivered),
        ("an", figures.attempts),
        ("un", figures.unpriced_attempts),
        ("it", figures.input_tokens),
        ("ci", figures.cached_input_tokens),
        ("ot", figures.output_tokens),
        ("cm", figures.cost_micros),
        ("rm", figures.run_ms),
    ]
}

fn row_from(item: &Item) -> Result<LedgerRow> {
    let reader = Reader::of(item);
    let (pk, sk) = (reader.text("pk")?, reader.text("sk")?);
    let (day, rest) = sk.split_once('#').map_or((sk, None), |(day, rest)| (day, Some(rest)));
    let account = match (pk.strip_prefix("L#").unwrap_or_default().split_once('#'), rest) {
        (Some(("A", agent)), None) => AgentKey::parse(agent).ok().map(Account::Agent),
        (Some(("U", user)), Some(agent)) => ConsumerUserId::parse(user)
            .ok()
            .zip(AgentKey::parse(agent).ok())
            .map(|(u, a)| Account::User(u, a)),
        (None, Some(model)) => ModelName::parse(model).ok().map(Account::Model),
        (None, None) => Some(Account::Deployment),
        _ => None,
    };
    let figure = |name| Ok::<_, StoreError>(reader.number_if(name)?.unwrap_or_default());
    Ok(LedgerRow {
        day: Day::parse(day).ok_or_else(|| reader.malformed("sk", "not a day"))?,
        account: account.ok_or_else(|| reader.malformed("pk", "not an account of the ledger"))?,
        figures: Figures {
            messages: figure("me")?,
            failed: figure("fa")?,
            delivered: figure("de")?,
            attempts: figure("an")?,
            unpriced_attempts: figure("un")?,
            input_tokens: figure("it")?,
            cached_input_tokens: figure("ci")?,
            output_tokens: figure("ot")?,
            cost_micros: figure("cm")?,
            run_ms: figure("rm")?,
        },
    })
}
