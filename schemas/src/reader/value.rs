//! What does a value say? Each as the type that is wanted, or a problem at its place.

use std::str::FromStr;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::table::Table;
use super::{Problems, Span};
use crate::date::Date;
use crate::near::near;
use crate::text::escape;

/// Integers in files stay below this, so that every JSON reader holds them exactly.
const MAX_WHOLE: u64 = 1 << 53;

/// A value that is being read, with the path of keys to it.
#[derive(Clone)]
pub(crate) struct Value<'r> {
    pub(crate) problems: &'r Problems<'r>,
    pub(super) path: String,
    pub(super) value: &'r Spanned<DeValue<'r>>,
}

impl<'r> Value<'r> {
    /// Where it stands.
    pub(crate) fn span(&self) -> Span {
        self.value.span().into()
    }

    /// Remembers that the value is wrong.
    pub(crate) fn wrong(&self, why: impl std::fmt::Display, next: Option<String>) {
        self.problems.add(self.span(), format!("`{}` is not right", self.path), why.to_string(), next);
    }

    fn wrong_type(&self, wanted: &str) {
        let found = in_words(self.value.get_ref().type_str());
        let next = match self.value.get_ref() {
            DeValue::String(_) if wanted == "a date" => {
                Some("write the day without quotes: 2027-01-31".into())
            }
            DeValue::String(_) => None,
            _ if wanted == "a text" => Some("put it between quotes".into()),
            _ => None,
        };
        let what = format!("`{}` has the wrong type", self.path);
        self.problems.add(self.span(), what, format!("{wanted} is needed, this is {found}"), next);
    }

    /// The string, whatever it holds.
    pub(crate) fn string(&self) -> Option<&'r str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            _ => {
                self.wrong_type("a text");
                None
            }
        }
    }

    /// A string that parses.
    pub(crate) fn parse<T: FromStr<Err: std::fmt::Display>>(&self) -> Option<T> {
        match self.string()?.parse() {
            Ok(value) => Some(value),
            Err(err) => {
                self.wrong(err, None);
                None
            }
        }
    }

    /// A text for people, at most `max_chars` characters.
    pub(crate) fn displayed(&self, max_chars: usize) -> Option<String> {
        let text = self.string()?;
        match crate::text::check_displayed("text", text, max_chars) {
            Ok(()) => Some(text.to_owned()),
            Err(err) => {
                self.wrong(err.rule, None);
                None
            }
        }
    }

    /// One word of the enumeration `T`.
    pub(crate) fn word<T: DeserializeOwned>(&self) -> Option<T> {
        let text = self.string()?;
        match T::deserialize(serde::de::value::StrDeserializer::<NotAWord>::new(text)) {
            Ok(word) => Some(word),
            Err(NotAWord { words }) => {
                let next =
                    near(text, words.iter().copied()).first().map(|word| format!("did you mean `{word}`?"));
                self.wrong(format!("`{}` is none of: {}", escape(text), words.join(", ")), next);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self) -> Option<bool> {
        let value = self.value.get_ref().as_bool();
        if value.is_none() {
            self.wrong_type("true or false");
        }
        value
    }

    /// A whole number from 0 to below 2^53.
    pub(crate) fn whole(&self) -> Option<u64> {
        let DeValue::Integer(integer) = self.value.get_ref() else {
            self.wrong_type("a whole number");
            return None;
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if number < MAX_WHOLE => Some(number),
            _ => {
                self.wrong("a whole number from 0 to below 2^53 is needed", None);
                None
            }
        }
    }

    /// A day, written without quotes.
    pub(crate) fn date(&self) -> Option<Date> {
        match self.value.get_ref() {
            DeValue::Datetime(toml::value::Datetime { date: Some(date), time: None, offset: None }) => {
                let day = i16::try_from(date.year)
                    .ok()
                    .and_then(|year| Date::of(year, i16::from(date.month), i16::from(date.day)));
                if day.is_none() {
                    self.wrong("there is no such day", None);
                }
                day
            }
            _ => {
                self.wrong_type("a date");
                None
            }
        }
    }

    /// The items of a list, at most `max`.
    pub(crate) fn list(self, max: usize) -> Vec<Value<'r>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            self.wrong_type("a list");
            return Vec::new();
        };
        if items.len() > max {
            let what = format!("`{}` has too many entries", self.path);
            let why = format!("it has {}, at most {max} are allowed", items.len());
            self.problems.add(self.span(), what, why, None);
            return Vec::new();
        }
        let item =
            |(at, value)| Value { problems: self.problems, path: format!("{}[{at}]", self.path), value };
        items.iter().enumerate().map(item).collect()
    }

    /// The items of a list without a word about what is wrong with it; [`Value::list`] of the same value says that.
    pub(crate) fn clone_list(&self, max: usize) -> Vec<Value<'r>> {
        match self.value.get_ref() {
            DeValue::Array(items) if items.len() <= max => self.clone().list(max),
            _ => Vec::new(),
        }
    }

    /// A list of strings that parse, each once, at most `max`; in the order of the file.
    pub(crate) fn parse_list<T: FromStr<Err: std::fmt::Display> + PartialEq>(self, max: usize) -> Vec<T> {
        self.unique(max, Value::parse)
    }

    /// A list of texts for people, each once, at most `max` of `max_chars`; in the order of the file.
    pub(crate) fn displayed_list(self, max: usize, max_chars: usize) -> Vec<String> {
        self.unique(max, |value| value.displayed(max_chars))
    }

    fn unique<T: PartialEq>(self, max: usize, read: impl Fn(&Value<'r>) -> Option<T>) -> Vec<T> {
        let mut out: Vec<T> = Vec::new();
        for value in self.list(max) {
            match read(&value) {
                Some(item) if out.contains(&item) => value.wrong("it stands in the list twice", None),
                Some(item) => out.push(item),
                None => {}
            }
        }
        out
    }

    /// Whether it is a string and not, say, a table.
    pub(crate) fn is_string(&self) -> bool {
        self.value.get_ref().is_str()
    }

    /// A table.
    pub(crate) fn table(self) -> Option<Table<'r>> {
        self.table_where("a table")
    }

    /// A table, where a text would have done too and [`Value::is_string`] said that it is none.
    pub(crate) fn table_not_text(self) -> Option<Table<'r>> {
        self.table_where("a text or a table")
    }

    fn table_where(self, wanted: &str) -> Option<Table<'r>> {
        match self.value.get_ref() {
            DeValue::Table(table) => {
                let span = self.span();
                Some(Table::of(self.problems, self.path, span, table))
            }
            _ => {
                self.wrong_type(wanted);
                None
            }
        }
    }

    /// The value as it is, for others to read. Its depth is bounded by the TOML parser.
    pub(crate) fn opaque(&self) -> Option<toml::Value> {
        let value = opaque(self.value.get_ref());
        if value.is_none() {
            self.wrong("a number is out of range", None);
        }
        value
    }

    /// A table as it is, for others to read.
    pub(crate) fn opaque_table(&self) -> Option<toml::Table> {
        match self.opaque()? {
            toml::Value::Table(table) => Some(table),
            _ => {
                self.wrong_type("a table");
                None
            }
        }
    }
}

fn opaque(value: &DeValue<'_>) -> Option<toml::Value> {
    Some(match value {
        DeValue::String(text) => toml::Value::String(text.clone().into_owned()),
        DeValue::Integer(i) => toml::Value::Integer(i64::from_str_radix(i.as_str(), i.radix()).ok()?),
        DeValue::Float(f) => toml::Value::Float(f.as_str().parse().ok()?),
        DeValue::Boolean(b) => toml::Value::Boolean(*b),
        DeValue::Datetime(d) => toml::Value::Datetime(*d),
        DeValue::Array(items) => {
            toml::Value::Array(items.iter().map(|v| opaque(v.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Table(table) => {
            let entry = |(k, v): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
                Some((k.get_ref().clone().into_owned(), opaque(v.get_ref())?))
            };
            toml::Value::Table(table.iter().map(entry).collect::<Option<_>>()?)
        }
    })
}

/// What people call a type of TOML.
fn in_words(type_name: &str) -> &str {
    match type_name {
        "string" => "a text",
        "integer" => "a whole number",
        "float" => "a number with a point",
        "boolean" => "true or false",
        "datetime" => "a date or time",
        "array" => "a list",
        "table" => "a table",
        other => other,
    }
}

/// serde's complaint about an unknown variant, kept for the words it would have taken.
#[derive(Debug)]
struct NotAWord {
    words: &'static [&'static str],
}

impl std::fmt::Display for NotAWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not one of the words")
    }
}

impl std::error::Error for NotAWord {}

impl serde::de::Error for NotAWord {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self { words: &[] }
    }
    fn unknown_variant(_: &str, words: &'static [&'static str]) -> Self {
        Self { words }
    }
}
