//! A call's parameters, in any of the four forms of the Bot API: query, form, JSON or multipart.

use std::collections::BTreeMap;

use axum::Form;
use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Query, Request};
use axum::http::{Method, Uri, header};
use serde_json::Value;

use super::answer::ApiError;

/// The most fields of one call. Real calls have a dozen.
const MAX_FIELDS: usize = 100;

/// An uploaded file. Its content is counted and dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upload {
    pub name: String,
    pub size_bytes: u64,
}

/// The parameters of a call. Some forms carry numbers as text, so that every getter accepts both.
#[derive(Debug, Default)]
pub(super) struct Params {
    values: BTreeMap<String, Value>,
    files: BTreeMap<String, Upload>,
}

impl Params {
    /// Reads the parameters of a request. The router limits the size of its body.
    pub async fn read(request: Request) -> Result<Self, ApiError> {
        let mut params = Self::default();
        params.take_pairs(pairs(request.uri())?)?;
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            _ if request.method() == Method::GET => {}
            "application/json" => params.take_json(request).await?,
            "application/x-www-form-urlencoded" => {
                let Form(pairs) = Form::from_request(request, &()).await.map_err(unreadable)?;
                params.take_pairs(pairs)?;
            }
            "multipart/form-data" => params.take_multipart(request).await?,
            // Telegram ignores a body of another type.
            _ => {}
        }
        Ok(params)
    }

    fn put(&mut self, name: String, value: Value) -> Result<(), ApiError> {
        if self.values.len() + self.files.len() >= MAX_FIELDS {
            return Err(ApiError::bad_request("too many parameters"));
        }
        if !value.is_null() {
            self.values.insert(name, value);
        }
        Ok(())
    }

    fn take_pairs(&mut self, pairs: Vec<(String, String)>) -> Result<(), ApiError> {
        pairs.into_iter().try_for_each(|(name, value)| self.put(name, Value::String(value)))
    }

    async fn take_json(&mut self, request: Request) -> Result<(), ApiError> {
        let body = Bytes::from_request(request, &()).await.map_err(unreadable)?;
        match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => {
                fields.into_iter().try_for_each(|(name, value)| self.put(name, value))
            }
            Err(_) if body.is_empty() => Ok(()),
            _ => Err(ApiError::bad_request("can't parse JSON object")),
        }
    }

    async fn take_multipart(&mut self, request: Request) -> Result<(), ApiError> {
        let mut form = Multipart::from_request(request, &()).await.map_err(unreadable)?;
        while let Some(field) = form.next_field().await.map_err(unreadable)? {
            let name = field.name().unwrap_or_default().to_owned();
            match field.file_name().map(str::to_owned) {
                Some(file_name) => {
                    let size_bytes = field.bytes().await.map_err(unreadable)?.len() as u64;
                    self.put(name.clone(), Value::String(String::new()))?;
                    self.files.insert(name, Upload { name: file_name, size_bytes });
                }
                None => {
                    let text = field.text().await.map_err(unreadable)?;
                    self.put(name, Value::String(text))?;
                }
            }
        }
        Ok(())
    }

    /// The parameter as text; numbers and booleans are converted.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.values.get(name)? {
            Value::String(text) => Some(text.clone()),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => None,
        }
    }

    /// A whole number, as a number or as text.
    pub fn integer(&self, name: &str) -> Option<i64> {
        as_integer(self.values.get(name)?)
    }

    /// Whether the parameter is `true`, `"true"`, `"1"` or similar.
    pub fn flag(&self, name: &str) -> bool {
        matches!(
            self.text(name).map(|text| text.to_ascii_lowercase()).as_deref(),
            Some("true" | "1" | "yes" | "t" | "y")
        )
    }

    /// An object or array, as JSON or as JSON text.
    pub fn json(&self, name: &str) -> Option<Value> {
        match self.values.get(name)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            value => Some(value.clone()),
        }
    }

    /// An uploaded file.
    pub fn file(&self, name: &str) -> Option<&Upload> {
        self.files.get(name)
    }

    /// The chat of the call.
    pub fn chat_id(&self) -> Result<i64, ApiError> {
        match self.text("chat_id") {
            None => Err(ApiError::bad_request("chat_id is empty")),
            Some(text) if text.is_empty() => Err(ApiError::bad_request("chat_id is empty")),
            // Names such as "@channel" are refused, because no chat of the emulator has a name.
            Some(text) => {
                text.parse().ok().filter(|id| *id != 0).ok_or(ApiError::bad_request("chat not found"))
            }
        }
    }
}

/// A whole number, as a number or as text.
pub(super) fn as_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, ApiError> {
    Query::try_from_uri(uri).map(|Query(pairs)| pairs).map_err(unreadable)
}

fn unreadable(_: impl std::error::Error) -> ApiError {
    ApiError::bad_request("can't read the request")
}
