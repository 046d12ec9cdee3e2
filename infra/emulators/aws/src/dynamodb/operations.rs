//! Maps the operations of the DynamoDB API to the actions of the engine, by name.

use af_domain::time::Timestamp;
use dynoxide::{DynoxideError, actions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{State, finish};

/// Runs `operation` with the request `body` and returns the response body.
pub(super) fn execute(
    state: &mut State,
    now: Timestamp,
    operation: &str,
    body: Value,
) -> Result<Value, DynoxideError> {
    let State { storage, tokens, vectors } = state;
    macro_rules! run {
        ($action:ident($body:expr $(, $more:expr)?)) => {
            answer(finish(actions::$action::execute(&*storage, read($body)? $(, $more)?))?)
        };
    }
    match operation {
        "GetItem" => run!(get_item(body)),
        "PutItem" => run!(put_item(body)),
        "UpdateItem" => run!(update_item(body)),
        "DeleteItem" => run!(delete_item(body)),
        "Query" => run!(query(body)),
        "Scan" => run!(scan(body)),
        "BatchGetItem" => run!(batch_get_item(body)),
        "BatchWriteItem" => run!(batch_write_item(body)),
        "TransactGetItems" => run!(transact_get_items(body)),
        "TransactWriteItems" => tokens.once(now, body, |body| run!(transact_write_items(body))),
        "CreateTable" => run!(create_table(body)),
        "UpdateTable" => run!(update_table(body, vectors)),
        "DeleteTable" => run!(delete_table(body, vectors)),
        "DescribeTable" => run!(describe_table(body, vectors)),
        "ListTables" => run!(list_tables(body)),
        "UpdateTimeToLive" => run!(update_time_to_live(body)),
        "DescribeTimeToLive" => run!(describe_time_to_live(body)),
        "ListStreams" => run!(list_streams(body)),
        "DescribeStream" => run!(describe_stream(body)),
        "GetShardIterator" => run!(get_shard_iterator(body)),
        "GetRecords" => run!(get_records(body)),
        other => Err(DynoxideError::UnsupportedCapability(other.to_owned())),
    }
}

/// Whether a successful `operation` may have written items.
pub(super) fn writes(operation: &str) -> bool {
    matches!(
        operation,
        "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems" | "DeleteTable"
    )
}

/// Parses a request. The parsers of the engine mark each error with its class.
pub(super) fn read<T: DeserializeOwned>(body: Value) -> Result<T, DynoxideError> {
    const VALIDATION_MARKS: [&str; 3] = ["VALIDATION_REQUEST:", "VALIDATION_AS_READ:", "VALIDATION:"];
    const SERIALIZATION_MARKS: [&str; 2] = ["SERIALIZATION_AS_READ:", "SERIALIZATION:"];
    /// Errors in a request that DynamoDB reports as invalid and not as unreadable.
    const INVALID: [&str; 4] = ["missing field", "unknown variant", "invalid type: null", "AttributeValue"];
    serde_json::from_value(body).map_err(|error| {
        let text = error.to_string();
        if let Some(message) = VALIDATION_MARKS.iter().find_map(|mark| text.strip_prefix(mark)) {
            DynoxideError::ValidationException(message.to_owned())
        } else if let Some(message) = SERIALIZATION_MARKS.iter().find_map(|mark| text.strip_prefix(mark)) {
            DynoxideError::SerializationException(message.to_owned())
        } else if INVALID.iter().any(|sign| text.contains(sign)) {
            DynoxideError::ValidationException(text)
        } else {
            DynoxideError::SerializationException(text)
        }
    })
}

fn answer(response: impl Serialize) -> Result<Value, DynoxideError> {
    serde_json::to_value(response).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
