//! The check of every answer against the OpenAPI document. [`Call::send`](crate::calls::Call::send) makes it, so each
//! test of an API is also a test of the document.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, LazyLock, Mutex};

use http::{HeaderMap, Method, StatusCode};
use jsonschema::{Registry, Validator};
use serde_json::{Value, json};

use crate::workspace::root;

/// The name under which schemas refer to the document.
const DOCUMENT_URI: &str = "urn:agent-factory:openapi";

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
    let text = fs::read_to_string(root().join("docs/openapi.json")).expect("the document is committed");
    Document::new(serde_json::from_str(&text).expect("the document is JSON"))
});

/// The OpenAPI document, with the schemas that were used so far.
struct Document {
    content: Value,
    registry: Registry<'static>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// Checks the status, the headers and the body of an answer against the committed document. An answer to a path or
/// method outside the document is not checked.
///
/// # Errors
/// The difference.
pub fn check(
    method: &Method,
    path: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &Value,
) -> Result<(), String> {
    DOCUMENT.check(method, path, status, headers, body)
}

impl Document {
    fn new(content: Value) -> Self {
        let registry = Registry::new().add(DOCUMENT_URI, content.clone()).expect("the document has a URI");
        let registry = registry.prepare().expect("the document refers to itself only");
        Self { content, registry, validators: Mutex::default() }
    }

    fn check(
        &self,
        method: &Method,
        path: &str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &Value,
    ) -> Result<(), String> {
        let Some(operation) = self.operation(method, path) else { return Ok(()) };
        let documented = format!("{operation}/responses/{}", status.as_u16());
        let Some(response) = self.resolved(&documented) else {
            return Err(format!("the document has no status {}", status.as_u16()));
        };
        for (name, header) in self
            .content
            .pointer(&format!("{response}/headers"))
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if header["required"] == true && !headers.contains_key(name) {
                return Err(format!("the header {name} is missing"));
            }
        }
        let contents = self.content.pointer(&format!("{response}/content")).and_then(Value::as_object);
        let Some(contents) = contents else {
            return if body.is_null() { Ok(()) } else { Err("the document has no body".to_owned()) };
        };
        let content_type = headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let content_type = content_type.split(';').next().unwrap_or_default();
        if !contents.contains_key(content_type) {
            return Err(format!("the document has no content type {content_type:?}"));
        }
        let schema = format!("{response}/content/{}/schema", content_type.replace('/', "~1"));
        let validator = self.validator(&schema);
        let errors: Vec<_> =
            validator.iter_errors(body).map(|e| format!("{}: {e}", e.instance_path())).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }

    /// The JSON pointer to the operation, if the document has it. A path without a parameter comes before one that
    /// has a parameter in its place.
    fn operation(&self, method: &Method, path: &str) -> Option<String> {
        let path = path.split('?').next().unwrap_or_default();
        let paths = self.content["paths"].as_object()?;
        let template = paths
            .keys()
            .filter(|template| is_instance(path, template))
            .min_by_key(|template| template.matches('{').count())?;
        let pointer =
            format!("/paths/{}/{}", template.replace('/', "~1"), method.as_str().to_ascii_lowercase());
        self.content.pointer(&pointer).is_some().then_some(pointer)
    }

    /// The pointer, or the one to which a `$ref` in its place leads.
    fn resolved(&self, pointer: &str) -> Option<String> {
        let found = self.content.pointer(pointer)?;
        match found["$ref"].as_str() {
            Some(reference) => Some(reference.trim_start_matches('#').to_owned()),
            None => Some(pointer.to_owned()),
        }
    }

    fn validator(&self, pointer: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().expect("a schema that cannot be used ends the test");
        let made = validators.entry(pointer.to_owned()).or_insert_with(|| {
            // A fragment of a URI cannot have braces.
            let fragment = pointer.replace('{', "%7B").replace('}', "%7D");
            let schema = json!({"$ref": format!("{DOCUMENT_URI}#{fragment}")});
            let options = jsonschema::options().with_registry(&self.registry);
            Arc::new(options.build(&schema).unwrap_or_else(|e| panic!("{pointer}: {e}")))
        });
        made.clone()
    }
}

fn is_instance(path: &str, template: &str) -> bool {
    let mut given = path.split('/');
    let mut expected = template.split('/');
    loop {
        match (given.next(), expected.next()) {
            (None, None) => return true,
            (Some(part), Some(name)) if name.starts_with('{') && !part.is_empty() => {}
            (Some(part), Some(name)) if part == name => {}
            _ => return false,
        }
    }
}
