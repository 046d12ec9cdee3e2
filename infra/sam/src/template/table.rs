//! `AWS::DynamoDB::Table` as a CreateTable request.

use serde_json::{Value, json};

use super::TableDef;
use super::error::TemplateError;
use super::property::Properties;
use super::scope::{Resource, Scope};

pub(super) fn table<'t>(scope: &'t Scope<'t>, resource: &Resource<'t>) -> Result<TableDef, TemplateError> {
    let properties = Properties::of(scope, resource, "Properties")?;
    let name = scope.name_of(resource, &resource.place(), 0)?;
    let keys = keys(&properties)?;
    let attributes = properties.list("AttributeDefinitions")?;
    let attributes = properties.required("AttributeDefinitions", attributes)?;
    let mut request = json!({
        "TableName": name,
        "KeySchema": keys,
        "AttributeDefinitions": attributes,
    });
    for indexes in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        if let Some(declared) = properties.mappings(indexes)? {
            request[indexes] = declared.iter().map(index).collect::<Result<_, _>>()?;
        }
    }
    if let Some(mode) = properties.text("BillingMode")? {
        request["BillingMode"] = json!(mode);
    }
    if let Some(stream) = properties.mapping("StreamSpecification")? {
        let view = stream.required_text("StreamViewType")?;
        request["StreamSpecification"] = json!({ "StreamEnabled": true, "StreamViewType": view });
    }
    Ok(TableDef { name, create_table: request, ttl_attribute: ttl_attribute(&properties)? })
}

/// Copies the properties that both CloudFormation and CreateTable have.
fn index(properties: &Properties<'_>) -> Result<Value, TemplateError> {
    let name = properties.required_text("IndexName")?;
    let keys = keys(properties)?;
    let projection = properties.value("Projection")?;
    let projection = properties.required("Projection", projection)?;
    Ok(json!({ "IndexName": name, "KeySchema": keys, "Projection": projection }))
}

fn keys(properties: &Properties<'_>) -> Result<Vec<Value>, TemplateError> {
    let keys = properties.list("KeySchema")?.filter(|keys| !keys.is_empty());
    properties.required("KeySchema", keys)
}

fn ttl_attribute(properties: &Properties<'_>) -> Result<Option<String>, TemplateError> {
    let Some(ttl) = properties.mapping("TimeToLiveSpecification")? else {
        return Ok(None);
    };
    let enabled = ttl.flag("Enabled")?;
    if !ttl.required("Enabled", enabled)? {
        return Ok(None);
    }
    ttl.required_text("AttributeName").map(Some)
}
