//! The triggers of functions besides routes: the table's stream.

use crate::template::{Template, one_function};

/// The function that recognizes a repeated batch only as a whole, so that its mapping must not split a batch.
const OF_WHOLE_BATCHES: &str = "Effects";

/// A stream mapping filters its records, splits a failed batch unless its function needs it whole, limits its retries,
/// and sends failed events to a queue.
fn mapping_mistakes(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for function in template.functions() {
        for mapping in function.events("DynamoDB") {
            let filters =
                mapping["FilterCriteria"]["Filters"].as_sequence().map(Vec::as_slice).unwrap_or_default();
            let patterns = filters.iter().map(|f| f["Pattern"].as_str().unwrap_or_default());
            let valid = patterns.filter(|p| serde_json::from_str::<serde_json::Value>(p).is_ok()).count();
            let complete = valid > 0
                && valid == filters.len()
                && mapping["MaximumRetryAttempts"].is_u64()
                && mapping["MaximumRecordAgeInSeconds"].is_u64()
                && mapping["BisectBatchOnFunctionError"].as_bool() == Some(function.id != OF_WHOLE_BATCHES)
                && !mapping["DestinationConfig"]["OnFailure"].is_null();
            if !complete {
                wrong.push(format!(
                    "{} has a stream mapping without filter, limits or destination",
                    function.id
                ));
            }
        }
    }
    wrong
}

#[test]
fn stream_mappings_filter_records_and_have_a_failure_queue() {
    let template = Template::real();
    assert_eq!(mapping_mistakes(&template), [""; 0]);
    let streamed: Vec<&str> =
        template.functions().iter().filter(|f| !f.events("DynamoDB").is_empty()).map(|f| f.binary).collect();
    assert_eq!(streamed, ["reconcile", "effects"]);
}

#[test]
fn a_stream_mapping_without_limits_is_noticed() {
    let mapping = |rest: &str| {
        one_function(&format!(
            "{{Events: {{E: {{Type: DynamoDB, Properties: {{BisectBatchOnFunctionError: true, \
             DestinationConfig: {{OnFailure: {{Type: SQS}}}}, MaximumRecordAgeInSeconds: 60{rest}}}}}}}}}"
        ))
    };
    let filter = |pattern: &str| format!(", FilterCriteria: {{Filters: [{{Pattern: '{pattern}'}}]}}");
    let fine = format!(", MaximumRetryAttempts: 3{}", filter("{\"dynamodb\":{}}"));
    assert_eq!(mapping_mistakes(&mapping(&fine)), [""; 0]);
    assert_eq!(mapping_mistakes(&mapping(&filter("{\"dynamodb\":{}}"))).len(), 1, "retries without end");
    assert_eq!(mapping_mistakes(&mapping(", MaximumRetryAttempts: 3")).len(), 1, "no filter");
    let broken = format!(", MaximumRetryAttempts: 3{}", filter("{no json"));
    assert_eq!(mapping_mistakes(&mapping(&broken)).len(), 1, "a filter that is not JSON");
}
