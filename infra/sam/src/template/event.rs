//! The events of a function: schedules and table streams.

use af_domain::time::Millis;
use serde_json::Value;

use super::EventDef;
use super::error::{Place, TemplateError};
use super::property::Properties;
use super::scope::{Resource, Scope, stream_arn};
use crate::schedule::ScheduleDef;
use crate::stream::Mapping;
use crate::stream::filter::Pattern;

/// The default and the largest batch size of a DynamoDB mapping (AWS::Lambda::EventSourceMapping).
const BATCH_SIZE_DEFAULT: u64 = 100;
const MAX_BATCH_SIZE: u64 = 10_000;
/// Lambda's longest batching window.
const WINDOW_MAX_SECS: u64 = 300;
/// Lambda's highest number of retries.
const MAX_RETRIES: u64 = 10_000;

/// Reads one event. `None` is a disabled stream mapping, which delivers no records.
pub(super) fn event<'t>(
    scope: &'t Scope<'t>,
    resource: &Resource<'t>,
    name: &str,
    body: &Properties<'t>,
) -> Result<Option<EventDef>, TemplateError> {
    let kind = body.required_text("Type")?;
    let properties = body.required_mapping("Properties")?;
    // SAM names a rule after the function and the event. A mapping has no name of its own.
    let id = format!("{}{name}", resource.logical_id);
    match kind.as_str() {
        "Schedule" | "ScheduleV2" => schedule(&properties, id).map(|def| Some(EventDef::Schedule(def))),
        "DynamoDB" => Ok(stream(scope, id, &properties)?.map(EventDef::Stream)),
        _ => Err(body.at("Type").problem(unsupported(&kind))),
    }
}

fn unsupported(kind: &str) -> String {
    format!("events of type {kind} are not delivered locally")
}

fn schedule(properties: &Properties<'_>, default_name: String) -> Result<ScheduleDef, TemplateError> {
    // SAM calls it Schedule for EventBridge rules and ScheduleExpression for the scheduler.
    let property = if properties.names().any(|name| name == "ScheduleExpression") {
        "ScheduleExpression"
    } else {
        "Schedule"
    };
    let expression = properties.required_text(property)?;
    let every = rate(&expression).ok_or_else(|| {
        properties.at(property).problem(format!(
            "`{expression}` is not a schedule that runs locally: write rate(n minutes), rate(n hours) or rate(n days)"
        ))
    })?;
    let enabled = match (properties.flag("Enabled")?, properties.text("State")?.as_deref()) {
        (Some(enabled), _) => enabled,
        (None, None | Some("ENABLED")) => true,
        (None, Some("DISABLED")) => false,
        (None, Some(other)) => {
            return Err(properties.at("State").expected("ENABLED or DISABLED", &Value::from(other)));
        }
    };
    let input = properties.text("Input")?;
    let input = input.map(|input| json(&input, &properties.at("Input"))).transpose()?;
    let name = properties.text("Name")?.unwrap_or(default_name);
    Ok(ScheduleDef { name, every, enabled, input })
}

/// Parses `rate(5 minutes)`. As in EventBridge, the unit is singular for one and plural for more.
fn rate(expression: &str) -> Option<Millis> {
    let (number, unit) = expression.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let number: u64 = number.parse().ok()?;
    let unit = if number == 1 { unit } else { unit.strip_suffix('s')? };
    let secs = match unit {
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    let length = number.checked_mul(secs * 1_000).filter(|length| *length > 0)?;
    Some(Millis::new(length))
}

fn stream<'t>(
    scope: &'t Scope<'t>,
    id: String,
    properties: &Properties<'t>,
) -> Result<Option<Mapping>, TemplateError> {
    if properties.flag("Enabled")? == Some(false) {
        return Ok(None);
    }
    let position = properties.required_text("StartingPosition")?;
    // In the local stack both start at the oldest record, because a table is created together with its mappings.
    if !matches!(position.as_str(), "TRIM_HORIZON" | "LATEST") {
        let found = Value::String(position);
        return Err(properties.at("StartingPosition").expected("TRIM_HORIZON or LATEST", &found));
    }
    if properties.value("TumblingWindowInSeconds")?.is_some() {
        let unsupported = unsupported("DynamoDB with a tumbling window");
        return Err(properties.at("TumblingWindowInSeconds").problem(unsupported));
    }
    let window = properties.integer("MaximumBatchingWindowInSeconds", 0..=WINDOW_MAX_SECS)?;
    let batch_size = properties.integer("BatchSize", 1..=MAX_BATCH_SIZE)?.unwrap_or(BATCH_SIZE_DEFAULT);
    Ok(Some(Mapping {
        id,
        table: table_of(scope, properties)?,
        batch_size: usize::try_from(batch_size).unwrap_or(usize::MAX),
        window: Millis::from_secs(window.unwrap_or_default()),
        filters: filters(properties)?,
        max_retries: max_retries(properties)?,
        bisect: properties.flag("BisectBatchOnFunctionError")?.unwrap_or(false),
        report_batch_item_failures: reports_failures(properties)?,
    }))
}

/// The DynamoDB name of the table with this stream.
fn table_of<'t>(scope: &'t Scope<'t>, properties: &Properties<'t>) -> Result<String, TemplateError> {
    let arn = properties.required_text("Stream")?;
    for table in scope.resources()?.iter().filter(|resource| resource.kind == "AWS::DynamoDB::Table") {
        let name = scope.name_of(table, &table.place(), 0)?;
        if stream_arn(&name) == arn {
            return Ok(name);
        }
    }
    Err(properties.at("Stream").problem(format!("`{arn}` is not the stream of a table in this template")))
}

fn filters(properties: &Properties<'_>) -> Result<Vec<Pattern>, TemplateError> {
    let Some(criteria) = properties.mapping("FilterCriteria")? else {
        return Ok(Vec::new());
    };
    let filters = criteria.mappings("Filters")?.unwrap_or_default();
    let pattern = |filter: &Properties<'_>| {
        let at = filter.at("Pattern");
        let pattern = json(&filter.required_text("Pattern")?, &at)?;
        Pattern::compile(&pattern)
            .map_err(|refused| at.problem(format!("it is no filter pattern: {refused}")))
    };
    filters.iter().map(pattern).collect()
}

/// In Lambda, `-1` means that there is no limit.
fn max_retries(properties: &Properties<'_>) -> Result<Option<u32>, TemplateError> {
    const PROPERTY: &str = "MaximumRetryAttempts";
    if properties.text(PROPERTY)?.as_deref() == Some("-1") {
        return Ok(None);
    }
    let retries = properties.integer(PROPERTY, 0..=MAX_RETRIES)?;
    Ok(retries.and_then(|retries| u32::try_from(retries).ok()))
}

fn reports_failures(properties: &Properties<'_>) -> Result<bool, TemplateError> {
    let types = properties.list("FunctionResponseTypes")?.unwrap_or_default();
    match types.iter().find(|kind| *kind != "ReportBatchItemFailures") {
        Some(other) => Err(properties.at("FunctionResponseTypes").expected("ReportBatchItemFailures", other)),
        None => Ok(!types.is_empty()),
    }
}

fn json(text: &str, at: &Place) -> Result<Value, TemplateError> {
    serde_json::from_str(text).map_err(|error| at.problem(format!("it is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_eventbridge_reads_them() {
        assert_eq!(rate("rate(1 minute)"), Some(Millis::from_secs(60)));
        assert_eq!(rate("rate(5 minutes)"), Some(Millis::from_secs(300)));
        assert_eq!(rate("rate(1 hour)"), Some(Millis::from_secs(3_600)));
        assert_eq!(rate("rate(2 days)"), Some(Millis::from_days(2)));
        for refused in [
            "rate(1 minutes)",
            "rate(5 minute)",
            "rate(0 minutes)",
            "rate(1 second)",
            "rate(-1 minutes)",
            "rate(5minutes)",
            "rate 5 minutes",
            "rate(99999999999999999999 days)",
            "rate(18446744073709551 days)",
            "cron(0 12 * * ? *)",
        ] {
            assert_eq!(rate(refused), None, "{refused}");
        }
    }
}
