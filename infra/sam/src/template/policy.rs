//! The policies of a function: inline documents whose statements allow actions on resources.

use serde_json::Value;

use super::StatementDef;
use super::error::TemplateError;
use super::property::Properties;

/// Reads the statements of all `Policies` of a function. A policy that is only a name, a denial and a condition are not
/// supported.
pub(super) fn statements(function: &Properties<'_>) -> Result<Vec<StatementDef>, TemplateError> {
    let mut statements = Vec::new();
    for policy in function.mappings("Policies")?.unwrap_or_default() {
        for declared in policy.mappings("Statement")?.unwrap_or_default() {
            statements.push(statement(&declared)?);
        }
    }
    Ok(statements)
}

fn statement(declared: &Properties<'_>) -> Result<StatementDef, TemplateError> {
    let effect = declared.required_text("Effect")?;
    if effect != "Allow" {
        return Err(declared.at("Effect").expected("Allow", &effect.into()));
    }
    let supported = ["Sid", "Effect", "Action", "Resource"];
    if let Some(other) = declared.names().find(|name| !supported.contains(name)) {
        return Err(declared.at(other).problem("statements with this element are not evaluated locally"));
    }
    Ok(StatementDef { actions: texts(declared, "Action")?, resources: texts(declared, "Resource")? })
}

/// One text or a list of texts.
fn texts(declared: &Properties<'_>, name: &str) -> Result<Vec<String>, TemplateError> {
    let value = declared.value(name)?;
    let items = match declared.required(name, value)? {
        Value::Array(items) => items,
        one => vec![one],
    };
    let text = |item: &Value| item.as_str().map(str::to_owned);
    items.iter().map(|item| text(item).ok_or_else(|| declared.at(name).expected("a text", item))).collect()
}
