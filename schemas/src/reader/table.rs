//! What does a table hold? Asked key by key, so that at the end it is known which keys nobody asked for.

use std::collections::BTreeMap;
use std::str::FromStr;

use toml::de::DeTable;

use super::value::Value;
use super::{Problems, Span};
use crate::near::near;
use crate::text::escape;

/// A table that is being read. Each key that is asked for is known; [`Table::finish`] reports the others.
pub(crate) struct Table<'r> {
    pub(crate) problems: &'r Problems<'r>,
    path: String,
    pub(crate) span: Span,
    table: &'r DeTable<'r>,
    asked: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'r> Table<'r> {
    pub(super) fn of(problems: &'r Problems<'r>, path: String, span: Span, table: &'r DeTable<'r>) -> Self {
        Self { problems, path, span, table, asked: Vec::new(), missing: Vec::new() }
    }

    /// The value of `key`, if it is there.
    pub(crate) fn optional(&mut self, key: &'static str) -> Option<Value<'r>> {
        self.asked.push(key);
        let (name, value) = self.table.get_key_value(key)?;
        Some(Value { problems: self.problems, path: join(&self.path, name.get_ref()), value })
    }

    /// The value of `key`; if it is not there, [`Table::finish`] tells.
    pub(crate) fn required(&mut self, key: &'static str) -> Option<Value<'r>> {
        let value = self.optional(key);
        if value.is_none() {
            self.missing.push(key);
        }
        value
    }

    /// The table `key`, if it is there and a table.
    pub(crate) fn table(&mut self, key: &'static str) -> Option<Table<'r>> {
        self.optional(key)?.table()
    }

    /// The table `key`; a problem if it is not there.
    pub(crate) fn required_table(&mut self, key: &'static str) -> Option<Table<'r>> {
        if self.table.contains_key(key) {
            return self.table(key);
        }
        self.asked.push(key);
        self.missing.push(key);
        None
    }

    /// The tables `[[key]]`, at most `max`; none if there are none.
    pub(crate) fn tables(&mut self, key: &'static str, max: usize) -> Vec<Table<'r>> {
        self.optional(key)
            .map(|v| v.list(max))
            .unwrap_or_default()
            .into_iter()
            .filter_map(Value::table)
            .collect()
    }

    /// Reads each entry of the table `key` as (name, value), at most `max`; empty if it is not there.
    pub(crate) fn map<K: FromStr<Err: std::fmt::Display> + Ord, V>(
        &mut self,
        key: &'static str,
        max: usize,
        mut read: impl FnMut(&K, Value<'r>) -> Option<V>,
    ) -> BTreeMap<K, V> {
        let Some(table) = self.table(key) else { return Default::default() };
        if table.is_over(max) {
            return Default::default();
        }
        let mut out = BTreeMap::new();
        for (name, value) in table.table {
            match name.get_ref().parse::<K>() {
                Ok(parsed) => {
                    let path = join(&table.path, name.get_ref());
                    let value = read(&parsed, Value { problems: self.problems, path, value });
                    out.extend(value.map(|value| (parsed, value)));
                }
                Err(err) => {
                    let what = format!("`{}` has a key that it cannot have", table.path);
                    self.problems.add(name.span().into(), what, err.to_string(), None);
                }
            }
        }
        out
    }

    /// Every entry as a text for people, at most `max`; a problem for a key that is not one of `known`.
    pub(crate) fn texts_of(self, known: &[&str], max: usize, max_chars: usize) -> BTreeMap<String, String> {
        if self.is_over(max) {
            return Default::default();
        }
        let mut out = BTreeMap::new();
        for (name, value) in self.table {
            if !known.contains(&name.get_ref().as_ref()) {
                let next = near(name.get_ref(), known.iter().copied())
                    .first()
                    .map(|k| format!("did you mean `{k}`?"));
                let what = format!("`{}` gives a reason for what is not set", self.path);
                let why = format!("there is no setting `{}`", escape(name.get_ref()));
                self.problems.add(name.span().into(), what, why, next);
            }
            let path = join(&self.path, name.get_ref());
            let text = Value { problems: self.problems, path, value }.displayed(max_chars);
            out.extend(text.map(|text| (name.get_ref().clone().into_owned(), text)));
        }
        out
    }

    fn is_over(&self, max: usize) -> bool {
        if self.table.len() > max {
            let what = format!("`{}` has too many entries", self.path);
            let why = format!("it has {}, at most {max} are allowed", self.table.len());
            self.problems.add(self.span, what, why, None);
        }
        self.table.len() > max
    }

    /// Where the value of `key` stands, or the table itself.
    pub(crate) fn span_of(&self, key: &str) -> Span {
        self.table.get(key).map_or(self.span, |value| value.span().into())
    }

    /// Reports every key that nobody asked for, with the nearest one that is known, and every key that is missing, but for
    /// those that were only misspelt.
    pub(crate) fn finish(mut self) {
        for (name, _) in self.table {
            if self.asked.contains(&name.get_ref().as_ref()) {
                continue;
            }
            let nearest = near(name.get_ref(), self.asked.iter().copied());
            let misspelt = nearest.iter().find(|key| self.missing.contains(key)).or(nearest.first()).copied();
            self.missing.retain(|key| Some(*key) != misspelt);
            let next = match misspelt {
                Some(key) => format!("did you mean `{key}`?"),
                None => format!("the keys here are {}", self.asked.join(", ")),
            };
            let place = if self.path.is_empty() { "the file".into() } else { format!("`[{}]`", self.path) };
            let what = format!("`{}` is not a key of {place}", escape(name.get_ref()));
            self.problems.add(name.span().into(), what, "unknown key", Some(next));
        }
        for key in &self.missing {
            let what = format!("`{}` is missing", join(&self.path, key));
            self.problems.add(self.span, what, format!("`{key}` is needed here"), None);
        }
    }
}

/// `path.key`, the key escaped, cut, and quoted where TOML asks for it.
fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let key = if bare { escape(key) } else { format!("\"{}\"", escape(key)) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
