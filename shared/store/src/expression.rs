//! Builder of update expressions. Names are always written as `#name` and values as `:name`, so that no
//! attribute name conflicts with a reserved word.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure, Update as SdkUpdate};

use crate::item::{Item, Value};
use crate::keys::Key;

/// One conditional update of one item.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub key: Key,
    set: Vec<String>,
    remove: Vec<String>,
    conditions: Vec<String>,
    values: HashMap<String, AttributeValue>,
}

impl Update {
    pub fn of(key: Key) -> Self {
        Self { key, set: Vec::new(), remove: Vec::new(), conditions: Vec::new(), values: HashMap::new() }
    }

    /// Sets the attribute at `path`. Dots step into maps.
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let placeholder = format!(":set_{}", path.replace('.', "_"));
        self.set.push(format!("{} = {placeholder}", named(path)));
        self.values.insert(placeholder, value.into().0);
        self
    }

    /// Sets all attributes of `item`.
    pub fn set_all(self, item: Item) -> Self {
        item.into_iter().fold(self, |update, (name, value)| update.set(&name, Value(value)))
    }

    /// Sets the attribute at `path` to an expression such as `list_append(#pe, :e)`.
    pub fn set_to(mut self, path: &str, expression: &str) -> Self {
        self.set.push(format!("{} = {expression}", named(path)));
        self
    }

    /// Sets the attribute at `path`, if there is a value.
    pub fn set_some(self, path: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(path, value),
            None => self,
        }
    }

    /// Sets the attribute at `path`, or removes it if there is no value.
    pub fn set_or_remove(self, path: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(path, value),
            None => self.remove(path),
        }
    }

    pub fn remove(mut self, path: &str) -> Self {
        self.remove.push(named(path));
        self
    }

    /// Adds a condition. All conditions must hold.
    pub fn when(mut self, condition: &str) -> Self {
        self.conditions.push(condition.to_owned());
        self
    }

    /// Adds the condition that the attribute at `path` is `value`.
    pub fn when_is(self, path: &str, value: impl Into<Value>) -> Self {
        let placeholder = format!(":is_{}", path.replace('.', "_"));
        self.when(&format!("{} = {placeholder}", named(path))).bind(&placeholder, value)
    }

    /// Binds `:name` to a value.
    pub fn bind(mut self, placeholder: &str, value: impl Into<Value>) -> Self {
        self.values.insert(placeholder.to_owned(), value.into().0);
        self
    }

    pub fn expression(&self) -> String {
        let mut clauses = Vec::new();
        if !self.set.is_empty() {
            clauses.push(format!("SET {}", self.set.join(", ")));
        }
        if !self.remove.is_empty() {
            clauses.push(format!("REMOVE {}", self.remove.join(", ")));
        }
        clauses.join(" ")
    }

    pub fn condition(&self) -> Option<String> {
        let all: Vec<_> = self.conditions.iter().map(|c| format!("({c})")).collect();
        (!all.is_empty()).then(|| all.join(" AND "))
    }

    pub fn names(&self) -> HashMap<String, String> {
        let mut names = names_in(&self.expression());
        names.extend(self.condition().map(|c| names_in(&c)).unwrap_or_default());
        names
    }

    pub fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    pub fn into_transact(self, table: &str) -> SdkUpdate {
        SdkUpdate::builder()
            .table_name(table)
            .set_key(Some(self.key.attributes()))
            .update_expression(self.expression())
            .set_condition_expression(self.condition())
            .set_expression_attribute_names(Some(self.names()))
            .set_expression_attribute_values(self.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .expect("table, key and expression are set")
    }
}

/// Converts `ls.ex` to `#ls.#ex`.
fn named(path: &str) -> String {
    path.split('.').map(|segment| format!("#{segment}")).collect::<Vec<_>>().join(".")
}

/// Returns every `#name` in an expression with its attribute name.
pub(crate) fn names_in(expression: &str) -> HashMap<String, String> {
    expression
        .split('#')
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default())
        .map(|name| (format!("#{name}"), name.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    #[test]
    fn an_update_escapes_every_attribute_and_joins_its_conditions() {
        let update = Update::of(keys::config("x"))
            .set("ls.ex", 5_u64)
            .set_to("pe", "list_append(#pe, :e)")
            .remove("bo")
            .when("#ls.#l = :l")
            .when("#v = :v OR attribute_not_exists(#rk)");
        assert_eq!(update.expression(), "SET #ls.#ex = :set_ls_ex, #pe = list_append(#pe, :e) REMOVE #bo");
        let condition = update.condition().unwrap();
        assert_eq!(condition, "(#ls.#l = :l) AND (#v = :v OR attribute_not_exists(#rk))");
        let mut names: Vec<_> = update.names().into_values().collect();
        names.sort();
        assert_eq!(names, ["bo", "ex", "l", "ls", "pe", "rk", "v"]);
    }
}
