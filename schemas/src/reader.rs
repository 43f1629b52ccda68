//! What does a TOML file that a person wrote say? Reads key by key, remembers every problem with its place, and knows at
//! the end which keys nobody asked for.

use std::cell::RefCell;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::date::Date;
use crate::diagnostic::{FileError, Problem};
use crate::near::near;
use crate::text::escape;

/// Integers in files stay below this, so that every JSON reader holds them exactly.
pub(crate) const MAX_WHOLE: u64 = 1 << 53;

/// Bytes of a file, from..to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    from: usize,
    to: usize,
}

impl Span {
    /// The bytes `range` within this value, for a value written as a basic or literal string on one line.
    pub(crate) fn inside(self, range: std::ops::Range<usize>) -> Self {
        let from = self.from.saturating_add(1).saturating_add(range.start).min(self.to);
        Self { from, to: self.from.saturating_add(1).saturating_add(range.end).clamp(from, self.to) }
    }
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self { from: range.start, to: range.end }
    }
}

/// The problems of one file.
pub(crate) struct Problems<'t> {
    text: &'t str,
    found: RefCell<Vec<Problem>>,
}

impl<'t> Problems<'t> {
    /// Remembers a problem at `span`; its line is found when all are known. Foreign text in `what`, `why` and `next` must have been escaped.
    pub(crate) fn add(
        &self,
        span: Span,
        what: impl Into<String>,
        why: impl Into<String>,
        next: Option<String>,
    ) {
        self.found.borrow_mut().push(Problem {
            line: 1,
            column: 1,
            span: span.from..span.to,
            what: what.into(),
            why: why.into(),
            next,
        });
    }

    fn too_large(&self, format: Format, found: usize, max_bytes: usize) {
        let what = format!("{} is too large", format.file);
        let why = format!("it has {found} bytes, at most {max_bytes} are allowed");
        self.add(Span { from: 0, to: 0 }, what, why, Some("move long texts into files of their own".into()));
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        self.found.borrow().len()
    }
}

/// Reads the file `text` with `read`, which returns none only after it has told a problem.
///
/// - `format`: key that holds the format version, the version that is known, and the file's usual name.
///
/// # Errors
/// [`FileError`] with every problem: of the bound, else of the syntax, else of the version, else of the content.
pub(crate) fn read_file<T>(
    text: &str,
    max_bytes: usize,
    format: Format,
    read: impl for<'r> FnOnce(&mut Table<'r>) -> Option<T>,
) -> Result<T, Box<FileError>> {
    let problems = Problems { text, found: RefCell::default() };
    let value = read_document(&problems, text, max_bytes, format, read);
    if value.is_none() && problems.count() == 0 {
        // Not reached as long as every reader tells why it returns none; better a vague word than a wrong one.
        problems.add(
            Span { from: 0, to: 0 },
            format!("{} was not understood", format.file),
            "somewhere here",
            None,
        );
    }
    let found = problems.found.into_inner();
    match value {
        Some(value) if found.is_empty() => Ok(value),
        _ => Err(Box::new(FileError::new(text, found))),
    }
}

/// Reads `bytes` as UTF-8 for [`read_file`]; of more than `max_bytes` none are looked at.
///
/// # Errors
/// [`FileError`] with the bound, or at the first byte that is not UTF-8.
pub(crate) fn utf8(bytes: &[u8], max_bytes: usize, format: Format) -> Result<&str, Box<FileError>> {
    let mut problems = Problems { text: "", found: RefCell::default() };
    if bytes.len() > max_bytes {
        problems.too_large(format, bytes.len(), max_bytes);
        return Err(Box::new(FileError::new(problems.text, problems.found.into_inner())));
    }
    std::str::from_utf8(bytes).map_err(|err| {
        let good = err.valid_up_to();
        problems.text = std::str::from_utf8(&bytes[..good]).unwrap_or_default();
        problems.add(
            Span { from: good, to: good },
            "the file is not UTF-8",
            format!("byte {} is where it stops being text", good + 1),
            Some("save the file as UTF-8".into()),
        );
        Box::new(FileError::new(problems.text, problems.found.into_inner()))
    })
}

/// How a file names its format.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    /// `brick.toml`.
    pub(crate) file: &'static str,
    /// `manifest`.
    pub(crate) key: &'static str,
    /// The one version that is known.
    pub(crate) version: u64,
}

fn read_document<T>(
    problems: &Problems<'_>,
    text: &str,
    max_bytes: usize,
    format: Format,
    read: impl for<'r> FnOnce(&mut Table<'r>) -> Option<T>,
) -> Option<T> {
    let start = Span { from: 0, to: 0 };
    if text.len() > max_bytes {
        problems.too_large(format, text.len(), max_bytes);
        return None;
    }
    // Only the first error of syntax: what follows it seldom means anything, and a hostile file could have one a byte.
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(err) => {
            let span = err.span().unwrap_or(0..0).into();
            problems.add(
                span,
                "this is not TOML",
                escape(err.message().trim()),
                syntax_hint(text, err.message()),
            );
            return None;
        }
    };
    let mut root = Table::of(problems, String::new(), start, document.get_ref());
    let version = match root.optional(format.key) {
        None => {
            let what = format!("`{}` is missing", format.key);
            let next = format!("begin the file with `{} = {}`", format.key, format.version);
            problems.add(start, what, "every file names its format version first", Some(next));
            format.version
        }
        Some(value) => value.whole()?,
    };
    if version != format.version {
        let span = root.span_of(format.key);
        let what = format!("`{} = {version}` is not known", format.key);
        let why = format!("this version of brick reads `{} = {}`", format.key, format.version);
        problems.add(span, what, why, Some("use a newer version of brick, or write the older format".into()));
        return None;
    }
    let value = read(&mut root);
    root.finish();
    value
}

fn syntax_hint(text: &str, message: &str) -> Option<String> {
    if text.lines().any(|line| line.starts_with("<<<<<<< ")) {
        return Some("the file holds marks of an unfinished merge (`<<<<<<<`): settle it first".into());
    }
    message.contains("duplicate key").then(|| "every key stands once: remove one of the two".into())
}

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
    fn of(problems: &'r Problems<'r>, path: String, span: Span, table: &'r DeTable<'r>) -> Self {
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
    ) -> std::collections::BTreeMap<K, V> {
        let Some(table) = self.table(key) else { return Default::default() };
        if table.is_over(max) {
            return Default::default();
        }
        let mut out = std::collections::BTreeMap::new();
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
    pub(crate) fn texts_of(
        self,
        known: &[&str],
        max: usize,
        max_chars: usize,
    ) -> std::collections::BTreeMap<String, String> {
        if self.is_over(max) {
            return Default::default();
        }
        let mut out = std::collections::BTreeMap::new();
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

/// A value that is being read, with the path of keys to it.
#[derive(Clone)]
pub(crate) struct Value<'r> {
    pub(crate) problems: &'r Problems<'r>,
    path: String,
    value: &'r Spanned<DeValue<'r>>,
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

/// `path.key`, the key escaped, cut, and quoted where TOML asks for it.
fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let key = if bare { escape(key) } else { format!("\"{}\"", escape(key)) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
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
