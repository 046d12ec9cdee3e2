//! `AWS::DynamoDB::Table` as a CreateTable request.

use serde_json::{Map, Value, json};

use super::TableDef;
use super::error::{Problem, TemplateError};
use super::property::Properties;
use super::scope::{Resource, Scope};

pub(super) fn table<'t>(scope: &'t Scope<'t>, resource: &Resource<'t>) -> Result<TableDef, TemplateError> {
    let properties = Properties::of(scope, resource, "Properties")?;
    let name = scope.name_of(resource, &resource.place(), 0)?;
    let mut request = Map::from_iter([("TableName".to_owned(), json!(name))]);
    copy_keys(&properties, &mut request)?;
    let attributes = properties.list("AttributeDefinitions")?;
    let attributes = properties.required("AttributeDefinitions", attributes)?;
    request.insert("AttributeDefinitions".to_owned(), Value::Array(attributes));
    for indexes in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        if let Some(declared) = properties.mappings(indexes)? {
            let declared = declared.iter().map(index).collect::<Result<Vec<_>, _>>()?;
            request.insert(indexes.to_owned(), Value::Array(declared));
        }
    }
    if let Some(mode) = properties.text("BillingMode")? {
        request.insert("BillingMode".to_owned(), json!(mode));
    }
    copy_throughput(&properties, &mut request)?;
    if let Some(stream) = properties.mapping("StreamSpecification")? {
        let view = stream.text("StreamViewType")?;
        let view = stream.required("StreamViewType", view)?;
        let specification = json!({ "StreamEnabled": true, "StreamViewType": view });
        request.insert("StreamSpecification".to_owned(), specification);
    }
    Ok(TableDef {
        logical_id: resource.logical_id.to_owned(),
        name,
        create_table: Value::Object(request),
        ttl_attribute: ttl_attribute(&properties)?,
    })
}

/// Copies the properties that both CloudFormation and CreateTable have.
fn index(properties: &Properties<'_>) -> Result<Value, TemplateError> {
    let name = properties.text("IndexName")?;
    let name = properties.required("IndexName", name)?;
    let mut index = Map::from_iter([("IndexName".to_owned(), json!(name))]);
    copy_keys(properties, &mut index)?;
    let projection = properties.value("Projection")?;
    index.insert("Projection".to_owned(), properties.required("Projection", projection)?);
    copy_throughput(properties, &mut index)?;
    Ok(Value::Object(index))
}

fn copy_keys(properties: &Properties<'_>, request: &mut Map<String, Value>) -> Result<(), TemplateError> {
    let keys = properties.list("KeySchema")?;
    let keys = properties.required("KeySchema", keys)?;
    if keys.is_empty() {
        return Err(properties.at("KeySchema").problem(Problem::Missing));
    }
    request.insert("KeySchema".to_owned(), Value::Array(keys));
    Ok(())
}

fn copy_throughput(
    properties: &Properties<'_>,
    request: &mut Map<String, Value>,
) -> Result<(), TemplateError> {
    let Some(throughput) = properties.mapping("ProvisionedThroughput")? else {
        return Ok(());
    };
    let mut units = Map::new();
    for name in ["ReadCapacityUnits", "WriteCapacityUnits"] {
        let declared = throughput.integer(name, 1..=u64::from(u32::MAX))?;
        units.insert(name.to_owned(), json!(throughput.required(name, declared)?));
    }
    request.insert("ProvisionedThroughput".to_owned(), Value::Object(units));
    Ok(())
}

fn ttl_attribute(properties: &Properties<'_>) -> Result<Option<String>, TemplateError> {
    let Some(ttl) = properties.mapping("TimeToLiveSpecification")? else {
        return Ok(None);
    };
    let enabled = ttl.flag("Enabled")?;
    if !ttl.required("Enabled", enabled)? {
        return Ok(None);
    }
    let attribute = ttl.text("AttributeName")?;
    ttl.required("AttributeName", attribute).map(Some)
}
