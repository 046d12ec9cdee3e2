//! Properties of the interpreted resources. They are resolved when they are read, and not before.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::error::{Place, TemplateError};
use super::scope::{Resource, Scope, intrinsic, text};

/// A mapping in the template, with its place for error messages.
pub(super) struct Properties<'t> {
    scope: &'t Scope<'t>,
    place: Place,
    entries: Cow<'t, Map<String, Value>>,
}

impl<'t> Properties<'t> {
    /// The `Properties` (or another part) of a resource.
    pub(super) fn of(
        scope: &'t Scope<'t>,
        resource: &Resource<'t>,
        part: &str,
    ) -> Result<Self, TemplateError> {
        // Error messages omit the name `Properties`, because it contains almost all values.
        let place = if part == "Properties" { resource.place() } else { resource.place().property(part) };
        let entries = match resource.body.get(part) {
            None | Some(Value::Null) => Cow::Owned(Map::new()),
            Some(Value::Object(entries)) => Cow::Borrowed(entries),
            Some(other) => return Err(place.expected("a mapping", other)),
        };
        Ok(Self { scope, place, entries })
    }

    pub(super) fn new(scope: &'t Scope<'t>, place: Place, entries: Map<String, Value>) -> Self {
        Self { scope, place, entries: Cow::Owned(entries) }
    }

    /// The place of the property `name`.
    pub(super) fn at(&self, name: &str) -> Place {
        self.place.property(name)
    }

    /// The declared names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The resolved value; `None` when it is absent.
    pub(super) fn value(&self, name: &str) -> Result<Option<Value>, TemplateError> {
        match self.entries.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => self.scope.resolve(value, &self.at(name), 0),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, TemplateError> {
        let value = self.value(name)?;
        value.map(|value| text(&value).ok_or_else(|| self.at(name).expected("a text", &value))).transpose()
    }

    pub(super) fn required_text(&self, name: &str) -> Result<String, TemplateError> {
        let text = self.text(name)?;
        self.required(name, text)
    }

    pub(super) fn integer(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, TemplateError> {
        let Some(value) = self.text(name)? else {
            return Ok(None);
        };
        let whole = value.parse::<u64>().ok();
        let number = whole.ok_or_else(|| self.at(name).expected("a whole number", &Value::String(value)))?;
        if !range.contains(&number) {
            return Err(self.at(name).problem(format!("{number} is not within {range:?}")));
        }
        Ok(Some(number))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, TemplateError> {
        let value = self.text(name)?;
        let read = |value: String| match value.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.at(name).expected("true or false", &Value::String(value))),
        };
        value.map(read).transpose()
    }

    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<Value>>, TemplateError> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.at(name).expected("a list", &other)),
        }
    }

    /// The mapping `name`. It is not resolved yet, unless it is one intrinsic as a whole.
    pub(super) fn mapping(&self, name: &str) -> Result<Option<Properties<'t>>, TemplateError> {
        let entries = match self.entries.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Object(entries)) if intrinsic(entries).is_none() => entries.clone(),
            Some(_) => match self.value(name)? {
                None => return Ok(None),
                Some(Value::Object(entries)) => entries,
                Some(other) => return Err(self.at(name).expected("a mapping", &other)),
            },
        };
        Ok(Some(Properties::new(self.scope, self.at(name), entries)))
    }

    pub(super) fn required_mapping(&self, name: &str) -> Result<Properties<'t>, TemplateError> {
        let mapping = self.mapping(name)?;
        self.required(name, mapping)
    }

    /// The list `name` of mappings, each resolved.
    pub(super) fn mappings(&self, name: &str) -> Result<Option<Vec<Properties<'t>>>, TemplateError> {
        let Some(items) = self.list(name)? else {
            return Ok(None);
        };
        let items = items.into_iter().enumerate().map(|(number, item)| match item {
            Value::Object(entries) => {
                Ok(Properties::new(self.scope, self.at(name).property(number), entries))
            }
            other => Err(self.at(name).property(number).expected("a mapping", &other)),
        });
        items.collect::<Result<_, _>>().map(Some)
    }

    /// The value, or the error that it is missing.
    pub(super) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, TemplateError> {
        value.ok_or_else(|| self.at(name).problem("it is required"))
    }

    /// The declared entries themselves, unresolved.
    pub(super) fn into_entries(self) -> Map<String, Value> {
        self.entries.into_owned()
    }
}
