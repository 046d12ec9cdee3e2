//! Examples of schemas: by the name of a field if it is known, and otherwise by its type.

use serde_json::{Map, Value, json};

use crate::openapi::document::object;

/// The depth limit of nested schemas; real schemas are less deep and contain no cycle.
const MAX_DEPTH: usize = 12;

/// The example values of fields with these names.
const KNOWN: &[(&str, &str)] = &[
    ("actor", "ann@example.com"),
    ("agentKey", "support"),
    ("appBaseUrlMapJsonSecretRef", "crm.urls"),
    ("appKey", "crm"),
    ("appName", "my-workers"),
    ("baseSha256", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ("baseUrl", "https://crm.example/bridge"),
    ("botIdentity", "7000000001"),
    ("broadcastId", "01KE3N4AZ0000000000000000B"),
    ("callId", "call-1"),
    ("chat", "7000000001:42"),
    ("chatId", "42"),
    ("code", "not_found"),
    ("companyId", "acme"),
    ("confirm", "my-workers"),
    ("consumerUserId", "ann"),
    ("content", "Where is my parcel?"),
    ("conversationId", "user-agent:support:ann"),
    ("createdBy", "01KE3N4AZ0"),
    ("currentUrl", "https://api.example.com/agent-factory/telegram/webhook/7000000001"),
    ("description", "Greets the person with the given name."),
    ("displayName", "Support"),
    ("downloadUrl", "https://bucket.example/snapshots/…"),
    ("enqueuedMessageId", "push:scheduled:01KE3N4AZ0000000000000000A:1767225600000"),
    ("entryPoint", "default"),
    ("error", "user ann has no active binding"),
    ("errorMessage", "the model did not answer"),
    ("fallbackAgentKey", "default"),
    ("image", "registry.fly.io/my-workers:1"),
    ("jobId", "01KE3N4AZ0000000000000000A"),
    ("keyId", "01KE3N4AZ0"),
    ("lastRunKey", "scheduled:01KE3N4AZ0000000000000000A:1767225600000"),
    ("leaseId", "abcdefghijklmnopqrstuvwx23.7.5.1.1767225600000.0000000000000abc"),
    ("machineId", "3d8d9014f32389"),
    ("messageId", "01KE3N4AZ0000000000000000A"),
    ("messageText", "Where is my parcel?"),
    ("method", "PUT"),
    ("model", "gpt-5-mini"),
    ("name", "app one"),
    ("organizationSlug", "acme"),
    ("pairingCode", "7KQ2MBX4RWPN"),
    ("path", "SKILL.md"),
    ("plaintextValue", "the value"),
    ("progress", "It searches."),
    ("scope", "app"),
    ("provider", "app"),
    ("providerUserId", "ann"),
    ("failure", "Sorry, please send your message again later."),
    ("greeting", "Hello! Send a message to begin."),
    ("managerAgentKey", "manager"),
    ("missingFile", "I could not get your file."),
    ("nothingToStop", "There is nothing to stop."),
    ("paired", "You are connected with {agent}."),
    ("rateLimit", "Please wait a moment."),
    ("stopped", "Stopped."),
    ("templateId", "acme:morning"),
    ("tooManyWrongCodes", "Please wait ten minutes."),
    ("unbound", "Please connect this chat in the app."),
    ("unknownGreeting", "Hello! Please connect this chat in the app."),
    ("wrongCode", "This code is not valid."),
    ("pushJobId", "01KE3N4AZ0000000000000000A"),
    ("reason", "the worker hangs"),
    ("region", "fra"),
    ("releaseChannel", "stable"),
    ("requestedBy", "marketing"),
    ("role", "assistant"),
    ("runKey", "scheduled:01KE3N4AZ0000000000000000A:1767225600000"),
    ("secretRef", "crm.key"),
    ("secretsRef", "crm.key"),
    ("serviceId", "support"),
    ("serviceKeySecretRef", "crm.service-key"),
    ("sha256", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ("slug", "hello"),
    ("snapshotId", "abcdefghijklmnopqrstuvwx23.7.01KE3N4AZ0000000000000000A"),
    ("sourceTemplateId", "acme:morning"),
    ("storageId", "abcdefghijklmnopqrstuvwx23.01KE3N4AZ0000000000000000A"),
    ("systemPrompt", "Answer in one sentence."),
    ("telegramChatId", "42"),
    ("telegramUserId", "42"),
    ("tag", "greeting"),
    ("templateKey", "good-morning"),
    ("text", "Where is my parcel?"),
    ("timezone", "Europe/Rome"),
    ("title", "Morning"),
    ("token", "afw_…"),
    ("toolName", "search"),
    ("updatedBy", "01KE3N4AZ0"),
    ("uploadUrl", "https://bucket.example/snapshots/…"),
    ("userId", "42"),
    ("version", "1.0.0"),
    ("volumeId", "vol_4xk5m2"),
    ("volumeName", "data"),
    ("volumePath", "/data"),
    ("webhookUrl", "https://api.example.com/agent-factory/telegram/webhook/7000000001"),
    ("workerId", "w-01ke3n4az0000000000000000a"),
];
/// 2026-01-01, midnight in Greenwich.
const EXAMPLE_TIME: u64 = 1_767_225_600_000;
/// A year later.
const EXAMPLE_EXPIRY: u64 = 1_798_761_600_000;

/// An example of `schema` for a field with this name.
pub fn example_of(name: &str, schema: &Value, schemas: &Value) -> Value {
    made(name, schema, schemas, 0)
}

fn made(name: &str, schema: &Value, schemas: &Value, depth: usize) -> Value {
    assert!(depth <= MAX_DEPTH, "{name} holds itself");
    let inner = |name: &str, schema: &Value| made(name, schema, schemas, depth + 1);
    if let Some(example) = schema.get("example").or_else(|| schema.get("default")) {
        return example.clone();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let referred = reference.rsplit('/').next().unwrap_or_default();
        return inner(name, &schemas[referred]);
    }
    if let Some(all) = schema["allOf"].as_array() {
        let parts = all.iter().map(|part| inner(name, part));
        let fields = parts.filter_map(|part| part.as_object().cloned()).flatten();
        return Value::Object(fields.collect());
    }
    if let Some(one) = schema["oneOf"].as_array() {
        let real = one.iter().find(|s| s["type"] != "null");
        return real.map_or(Value::Null, |schema| inner(name, schema));
    }
    if let Some(words) = schema["enum"].as_array() {
        let known = KNOWN.iter().find(|(known, _)| *known == name).map(|(_, word)| json!(word));
        return known.filter(|word| words.contains(word)).unwrap_or_else(|| words[0].clone());
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find_map(|k| k.as_str().filter(|k| *k != "null")),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => object_of(schema, &inner),
        Some("array") => json!([inner(&singular(name), &schema["items"])]),
        Some("boolean") => json!(false),
        Some("integer" | "number") => number(name),
        // A parameter has no schema here.
        Some("string") | None if !schema.is_null() || !name.is_empty() => text(name, schema),
        _ => Value::Null,
    }
}

fn object_of(schema: &Value, inner: &impl Fn(&str, &Value) -> Value) -> Value {
    // Only an earlier answer has a cursor or a version, and a message has a text or a template.
    let is_required = |name: &String| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
    };
    let left_out = ["cursor", "since", "templateId", "restoreVersion", "ifVersion"];
    let fields = object(&schema["properties"])
        .filter(|(name, _)| is_required(name) || !left_out.contains(&name.as_str()));
    let fields = fields.map(|(name, field)| (name.clone(), inner(name, field)));
    let mut fields: Map<_, _> = fields.collect();
    if fields.is_empty() && schema["additionalProperties"].is_object() {
        fields.insert("name".to_owned(), inner("value", &schema["additionalProperties"]));
    }
    fields.into()
}

fn singular(name: &str) -> String {
    name.strip_suffix('s').unwrap_or(name).to_owned()
}

fn number(name: &str) -> Value {
    let is_time =
        name.ends_with("At") || matches!(name, "at" | "until" | "scheduledFor" | "drainBy" | "asOf");
    match name {
        _ if is_time && name != "expiresAt" => json!(EXAMPLE_TIME),
        "telegramAttachmentRetentionMs" => json!(86_400_000),
        _ if name.ends_with("Ms") => json!(1_000),
        "expiresAt" => json!(EXAMPLE_EXPIRY),
        "fence" => json!(7),
        "memoryMb" => json!(256),
        "sizeBytes" => json!(1_048_576),
        "priority" => json!(50),
        _ => json!(1),
    }
}

/// By its name, else the first word that its description sets in code.
fn text(name: &str, schema: &Value) -> Value {
    if let Some((_, known)) = KNOWN.iter().find(|(known, _)| *known == name) {
        return json!(known);
    }
    let description = schema["description"].as_str().unwrap_or_default();
    json!(description.split('`').nth(1).unwrap_or("…"))
}
