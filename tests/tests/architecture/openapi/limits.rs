//! The limits of strings and numbers in requests, by the name of the field. A name means the same everywhere; where it does
//! not, the entry begins with the schema.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::openapi::document::object;

/// Control characters, and the character that replaces broken ones.
const NOT_PRINTABLE: &str = r"\u0000-\u001f\u007f-\u009f\ufffd";
const TOKEN: &str = r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$";
/// Tokens with commas between them.
const SECRET_REFS: &str =
    r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*(,[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*)*$";
/// A chat of a bot; the ids of groups are negative.
const CHAT: &str = r"^[1-9][0-9]{0,18}:-?[1-9][0-9]{0,18}$";
/// A workspace document.
const DOCUMENT_PATH: &str =
    r"^((AGENTS|SOUL|IDENTITY|TOOLS|HEARTBEAT|USER|MEMORY)|memory/[0-9]{4}-[0-9]{2}-[0-9]{2})\.md$";
/// The id of a push template: its company and its key.
const PUSH_TEMPLATE: &str =
    r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*:[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$";
const TELEGRAM_NUMBER: &str = "^[1-9][0-9]*$";
const SEMANTIC_VERSION: &str = r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$";
/// A text without a limit of its own is limited by the body, which has 4 MB at most.
const BODY: u64 = af_http::MAX_BODY_BYTES as u64;
/// The largest number of the format int64.
const INT64: u64 = i64::MAX as u64;
const GIB: u64 = 1024 * 1024 * 1024;

/// The form of a string: fewest and most characters, and a pattern unless it is empty.
struct Text(&'static str, u64, u64, &'static str);

/// Ids, which path parameters have too.
const IDS: [Text; 19] = [
    Text("agentKey", 1, 64, TOKEN),
    Text("botIdentity", 1, 19, TELEGRAM_NUMBER),
    Text("chat", 3, 40, CHAT),
    Text("companyId", 1, 64, TOKEN),
    Text("consumerUserId", 1, 128, ""),
    Text("conversationId", 1, 256, ""),
    Text("keyId", 1, 64, ""),
    Text("leaseId", 1, 128, ""),
    Text("messageId", 1, 128, "^[A-Za-z0-9:._-]+$"),
    Text("pairingCode", 4, 128, "^[A-Za-z0-9_-]+$"),
    Text("secretRef", 1, 200, TOKEN),
    Text("sha256", 64, 64, "^[0-9a-f]{64}$"),
    Text("slug", 2, 128, "^[a-z0-9][a-z0-9_-]*$"),
    Text("snapshotId", 1, 96, ""),
    Text("templateId", 1, 64, ""),
    Text("templateKey", 1, 64, ""),
    Text("version", 5, 64, SEMANTIC_VERSION),
    Text("volumeId", 1, 64, TOKEN),
    Text("workerId", 1, 64, TOKEN),
];

const TEXTS: &[Text] = &[
    Text("Idempotency-Key", 1, 255, "^[!-~]+$"),
    Text("SkipSnapshotRequest.reason", 1, 2_000, r"\S"),
    Text("ConfigureAgentRequest.version", 1, 200, ""),
    Text("ConfigureAgentRequest.displayName", 0, 200, ""),
    Text("actor", 1, 100, ""),
    Text("appBaseUrlMapJsonSecretRef", 1, 200, TOKEN),
    Text("appKey", 1, 200, ""),
    Text("baseUrl", 1, 2_000, ""),
    Text("chatId", 1, 19, TELEGRAM_NUMBER),
    Text("cursor", 1, BODY, ""),
    Text("historyCursor", 1, BODY, ""),
    Text("queueCursor", 1, BODY, ""),
    Text("refs", 1, BODY, SECRET_REFS),
    Text("contentType", 3, 100, ""),
    Text("description", 0, 2_000, ""),
    Text("displayName", 1, 200, ""),
    Text("entryPoint", 1, 100, ""),
    Text("messageText", 1, 262_144, r"\S"),
    Text("SendMessageToUserAgentRequest.content", 1, 262_144, r"\S"),
    Text("CreateKeyRequest.name", 1, 100, ""),
    Text("path", 1, 200, ""),
    Text(".path", 7, 20, DOCUMENT_PATH),
    Text("RunEditBody.path", 7, 20, DOCUMENT_PATH),
    Text("PutDocumentRequest.content", 0, 65_536, ""),
    Text("RunEditBody.content", 0, 65_536, ""),
    Text("baseSha256", 64, 64, "^[0-9a-f]{64}$"),
    Text("plaintextValue", 1, 65_536, ""),
    Text("FreeConversationRequest.reason", 1, 150, ""),
    Text("ReplyBody.text", 0, 65_536, ""),
    Text("secretsRef", 1, 200, TOKEN),
    Text("serviceId", 1, 200, ""),
    Text("NoticeTextsBody.greeting", 0, 500, ""),
    Text("NoticeTextsBody.unknownGreeting", 0, 500, ""),
    Text("NoticeTextsBody.paired", 0, 500, ""),
    Text("NoticeTextsBody.wrongCode", 0, 500, ""),
    Text("NoticeTextsBody.tooManyWrongCodes", 0, 500, ""),
    Text("NoticeTextsBody.unbound", 0, 500, ""),
    Text("NoticeTextsBody.rateLimit", 0, 500, ""),
    Text("NoticeTextsBody.stopped", 0, 500, ""),
    Text("NoticeTextsBody.nothingToStop", 0, 500, ""),
    Text("NoticeTextsBody.failure", 0, 500, ""),
    Text("NoticeTextsBody.missingFile", 0, 500, ""),
    Text("systemPrompt", 0, 8_000, ""),
    Text("sourceTemplateId", 3, 129, PUSH_TEMPLATE),
    Text("title", 1, 200, r"\S"),
    Text("CreateMessageTemplateRequest.title", 1, 100, r"\S"),
    Text("UpdateMessageTemplateRequest.title", 1, 100, r"\S"),
    Text("CreateMessageTemplateRequest.content", 1, 4_096, r"\S"),
    Text("UpdateMessageTemplateRequest.content", 1, 4_096, r"\S"),
    Text("tags", 1, 40, r"\S"),
    Text("userId", 1, 19, TELEGRAM_NUMBER),
];

/// Closed vocabularies.
const WORDS: [(&str, &[&str]); 10] = [
    ("conversationPer", &["chat", "topic"]),
    ("cpuKind", &["shared", "performance"]),
    ("delivery", &["outbox", "self"]),
    ("format", &["plain", "html", "markdown"]),
    ("groupTrigger", &["all", "mention"]),
    ("owner", &["operator", "agent"]),
    ("moduleFormat", &["esm", "cjs"]),
    ("WorkerPrepareSnapshotRequest.reason", &["drain", "signal", "manual"]),
    ("releaseChannel", &["stable", "canary"]),
    ("role", &["user", "assistant", "system", "tool"]),
];

/// The smallest and the largest number.
const NUMBERS: [(&str, u64, u64); 12] = [
    ("cpus", 1, 16),
    ("maxAttempts", 1, 100),
    ("maxBurst", 1, 200),
    ("maxPerMinute", 1, 6_000),
    ("memoryMb", 256, 131_072),
    ("ordinal", 0, 999_950),
    ("priority", 0, 100),
    ("WorkerAnnounceMediaRequest.sizeBytes", 1, 256 * 1024 * 1024),
    ("WorkerPrepareSnapshotRequest.sizeBytes", 1, 5 * GIB),
    ("telegramAttachmentRetentionMs", 3_600_000, 31_536_000_000),
    ("volumeSizeGb", 1, 500),
    ("load", 0, u32::MAX as u64),
];

/// Adds the limits to `schema` of the field `name` in the schema `owner`.
pub fn limit(owner: &str, name: &str, schema: &mut Value) {
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let is = |kind: &str| kinds.iter().any(|k| k == kind);
    if schema.get("enum").is_some() {
        return;
    }
    let own = format!("{owner}.{name}");
    if let Some((_, words)) = WORDS.iter().find(|(known, _)| *known == own || *known == name) {
        let words = words.iter().map(|word| json!(word));
        schema["enum"] = words.chain(is("null").then_some(Value::Null)).collect();
        return;
    }
    if is("string") {
        let texts = || TEXTS.iter().chain(&IDS);
        let text = texts().find(|t| t.0 == own).or_else(|| texts().find(|t| t.0 == name));
        let &Text(_, min, max, pattern) = text.unwrap_or(&Text("", 0, BODY, ""));
        schema["minLength"] = min.into();
        schema["maxLength"] = max.into();
        if matches!(name, "conversationId" | "consumerUserId" | "actor") {
            schema["pattern"] =
                format!(r"^[^{NOT_PRINTABLE}]*[^\s{NOT_PRINTABLE}][^{NOT_PRINTABLE}]*$").into();
        } else if !pattern.is_empty() {
            schema["pattern"] = pattern.into();
        }
    }
    if is("integer") && schema["maximum"].is_null() {
        let number = NUMBERS.iter().find(|n| n.0 == own).or_else(|| NUMBERS.iter().find(|n| n.0 == name));
        let &(_, min, max) = number.unwrap_or(&("", 0, INT64));
        schema["minimum"] = min.into();
        schema["maximum"] = max.into();
    }
}

/// Adds the limits to the parameters and the bodies of all operations.
pub fn add(document: &mut Value) {
    let mut wanted = Vec::new();
    for operation in
        document["paths"].as_object_mut().expect("there are paths").values_mut().flat_map(operations)
    {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let name = parameter["name"].as_str().expect("a parameter has a name").to_owned();
            limit("", &name, &mut parameter["schema"]);
        }
        references(&operation["requestBody"], &mut wanted);
    }
    let schemas = document["components"]["schemas"].as_object_mut().expect("there are schemas");
    let mut done = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if !done.insert(name.clone()) {
            continue;
        }
        let schema = schemas.get_mut(&name).expect("a reference has a schema");
        limit_fields(&name, schema);
        references(schema, &mut wanted);
    }
}

fn operations(item: &mut Value) -> impl Iterator<Item = &mut Value> {
    item.as_object_mut().expect("an item has operations").values_mut()
}

fn limit_fields(owner: &str, schema: &mut Value) {
    for (name, field) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        limit(owner, name, field);
        for part in ["items", "additionalProperties"] {
            if field[part]["type"].is_string() {
                limit(owner, name, &mut field[part]);
            } else if field[part].is_null() {
                field.as_object_mut().expect("a schema is an object").remove(part);
            }
        }
    }
}

/// The names of the schemas that `value` refers to.
pub fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let name = map.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit_once("/schemas/"));
            found.extend(name.map(|(_, name)| name.to_owned()));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// The example of an id at its limits: the longest text that the schema of an id allows.
pub fn longest(name: &str) -> Option<String> {
    let &Text(_, _, max, _) = IDS.iter().find(|id| id.0 == name)?;
    Some("1".repeat(usize::try_from(max).expect("a small number")))
}

/// The most characters of the text with this name.
pub fn longest_text(name: &str) -> Option<usize> {
    let &Text(_, _, max, _) = TEXTS.iter().find(|text| text.0 == name)?;
    usize::try_from(max).ok()
}

/// The strings and numbers in the fields of a request that have no limit.
pub fn without_limit(schema: &Value) -> Vec<String> {
    let is = |field: &Value, kind: &str| match &field["type"] {
        Value::Array(kinds) => kinds.iter().any(|k| k == kind),
        own => own == kind,
    };
    let unlimited = |field: &Value| {
        field.get("enum").is_none()
            && (is(field, "string") && field["maxLength"].is_null()
                || is(field, "integer") && field["maximum"].is_null())
    };
    let fields = object(&schema["properties"]);
    fields.filter(|(_, field)| unlimited(field)).map(|(name, _)| name.clone()).collect()
}

/// A refusal of the gateway itself, which no function sees.
pub fn gateway_error() -> Value {
    json!({
        "type": "object",
        "description": "A refusal of the gateway itself, which no function of the deployment sees: a path that matches no \
            route is 404, and a body of more than 10 MB, or an event of more than 6 MB, is 413.",
        "properties": {"message": {"type": "string", "description": "The reason, in the gateway's words."}},
        "required": ["message"],
    })
}
