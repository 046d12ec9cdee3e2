//! Changes a table to its definition, as a deployment does: a missing table is created, and global indexes, stream
//! and time to live that differ are changed in place. After a crash, a repetition continues from the reached state.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, anyhow, ensure};
use dynoxide::DynoxideError;
use serde_json::{Value, json};

use super::Engine;

/// The definition of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableDefinition {
    /// The body of a `CreateTable` request, with its stream and indexes.
    pub create: Value,
    /// The attribute that holds an item's expiry in seconds since the epoch, if any.
    pub ttl_attribute: Option<String>,
}

/// The changes to one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChange {
    /// The table's name.
    pub table: String,
    /// The steps as text; none if the table already had its definition.
    pub steps: Vec<String>,
}

/// The properties of a table that can differ, from a `CreateTable` request or from the description of a table.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    keys: Vec<Key>,
    local: BTreeMap<String, Index>,
    global: BTreeMap<String, Index>,
    /// The view type of the stream; `None` if there is no stream.
    stream: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Index {
    keys: Vec<Key>,
    projection: String,
    attributes: BTreeSet<String>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    role: String,
    attribute: String,
    kind: String,
}

/// Changes one table to its definition.
pub(super) fn apply(engine: &Engine, definition: &TableDefinition) -> anyhow::Result<TableChange> {
    let table =
        definition.create["TableName"].as_str().context("a table definition has no TableName")?.to_owned();
    let refused = |error: DynoxideError| anyhow!("table {table}: {error}");
    let mut steps = Vec::new();
    match engine.execute("DescribeTable", json!({"TableName": table})) {
        Ok(description) => {
            let (is, must) = (Shape::of(&description["Table"]), Shape::of(&definition.create));
            ensure!(
                is.keys == must.keys && is.local == must.local,
                "table {table}: its keys or local indexes differ from those of the stored table, which cannot be \
                 changed; start with an empty data folder"
            );
            reindex(engine, definition, &is, &must, &mut steps).map_err(refused)?;
            steps.extend(restream(engine, &table, &is, &must).map_err(refused)?);
        }
        Err(DynoxideError::ResourceNotFoundException(_)) => {
            engine.execute("CreateTable", definition.create.clone()).map_err(refused)?;
            steps.push("created".to_owned());
        }
        Err(failed) => return Err(refused(failed)),
    }
    steps.extend(expire_by(engine, &table, definition.ttl_attribute.as_deref()).map_err(refused)?);
    Ok(TableChange { table, steps })
}

/// Removes the global indexes that are no longer declared or differ, then creates the missing ones, one with each
/// request as DynamoDB requires. The engine fills a new index from the items at once.
fn reindex(
    engine: &Engine,
    definition: &TableDefinition,
    is: &Shape,
    must: &Shape,
    steps: &mut Vec<String>,
) -> Result<(), DynoxideError> {
    let table = &definition.create["TableName"];
    for (name, index) in &is.global {
        if must.global.get(name) != Some(index) {
            let delete = json!({"Delete": {"IndexName": name}});
            engine.execute(
                "UpdateTable",
                json!({"TableName": table, "GlobalSecondaryIndexUpdates": [delete]}),
            )?;
            steps.push(format!("removed index {name}"));
        }
    }
    for index in elements(&definition.create["GlobalSecondaryIndexes"]) {
        let name = text(&index["IndexName"]);
        if is.global.get(&name) == must.global.get(&name) {
            continue;
        }
        let create = json!({"Create": {
            "IndexName": name,
            "KeySchema": index["KeySchema"],
            "Projection": index["Projection"],
        }});
        let request = json!({
            "TableName": table,
            "AttributeDefinitions": definition.create["AttributeDefinitions"],
            "GlobalSecondaryIndexUpdates": [create],
        });
        engine.execute("UpdateTable", request)?;
        steps.push(format!("made index {name}"));
    }
    Ok(())
}

/// Disables, enables or changes the stream. To change the view, the stream is disabled and enabled again.
fn restream(engine: &Engine, table: &str, is: &Shape, must: &Shape) -> Result<Option<String>, DynoxideError> {
    if is.stream == must.stream {
        return Ok(None);
    }
    let update = |specification: Value| {
        engine.execute("UpdateTable", json!({"TableName": table, "StreamSpecification": specification}))
    };
    if is.stream.is_some() {
        update(json!({"StreamEnabled": false}))?;
    }
    let Some(view) = &must.stream else { return Ok(Some("no stream".to_owned())) };
    update(json!({"StreamEnabled": true, "StreamViewType": view}))?;
    Ok(Some(format!("stream of {view}")))
}

fn expire_by(engine: &Engine, table: &str, attribute: Option<&str>) -> Result<Option<String>, DynoxideError> {
    let description = engine.execute("DescribeTimeToLive", json!({"TableName": table}))?;
    let description = &description["TimeToLiveDescription"];
    let enabled = description["TimeToLiveStatus"] == "ENABLED";
    let present = description["AttributeName"].as_str().filter(|_| enabled);
    if present == attribute {
        return Ok(None);
    }
    let update = |name: &str, enabled: bool| {
        let specification = json!({"AttributeName": name, "Enabled": enabled});
        let request = json!({"TableName": table, "TimeToLiveSpecification": specification});
        engine.execute("UpdateTimeToLive", request)
    };
    if let Some(present) = present {
        update(present, false)?;
    }
    let Some(attribute) = attribute else { return Ok(Some("no time to live".to_owned())) };
    update(attribute, true)?;
    Ok(Some(format!("time to live by {attribute}")))
}

impl Shape {
    fn of(table: &Value) -> Self {
        let kinds: BTreeMap<String, String> = elements(&table["AttributeDefinitions"])
            .map(|attribute| (text(&attribute["AttributeName"]), text(&attribute["AttributeType"])))
            .collect();
        let keys = |schema: &Value| {
            let mut keys: Vec<Key> = elements(schema)
                .map(|key| {
                    let attribute = text(&key["AttributeName"]);
                    let kind = kinds.get(&attribute).cloned().unwrap_or_default();
                    Key { role: text(&key["KeyType"]), attribute, kind }
                })
                .collect();
            keys.sort();
            keys
        };
        let indexes = |list: &Value| {
            elements(list)
                .map(|index| {
                    let shape = Index {
                        keys: keys(&index["KeySchema"]),
                        projection: text(&index["Projection"]["ProjectionType"]),
                        attributes: elements(&index["Projection"]["NonKeyAttributes"]).map(text).collect(),
                    };
                    (text(&index["IndexName"]), shape)
                })
                .collect()
        };
        let stream = &table["StreamSpecification"];
        Self {
            keys: keys(&table["KeySchema"]),
            local: indexes(&table["LocalSecondaryIndexes"]),
            global: indexes(&table["GlobalSecondaryIndexes"]),
            stream: (stream["StreamEnabled"] == true).then(|| text(&stream["StreamViewType"])),
        }
    }
}

fn elements(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
