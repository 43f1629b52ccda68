//! JSON that means one thing: no member twice, no depth or size without a bound.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Nesting of foreign JSON, at most.
pub const MAX_JSON_DEPTH: usize = 64;
/// Members of an object that are compared one by one; beyond, they are sorted.
const FEW_MEMBERS: usize = 16;

/// Why bytes are not JSON that means one thing.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The parser's words: syntax, a member twice, too deep, a missing or wrong field.
    #[error(transparent)]
    Syntax(#[from] serde_json::Error),
}

/// Parses JSON, refusing an object member that stands twice (readers differ on which one counts) and deep nesting.
///
/// # Errors
/// [`JsonError`] with the place.
pub fn parse_unique(bytes: &[u8]) -> Result<Value, JsonError> {
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let value = Unique { depth: MAX_JSON_DEPTH }.deserialize(&mut de)?;
    de.end()?;
    Ok(value)
}

/// Parses JSON into `T` under the rules of [`parse_unique`].
///
/// # Errors
/// [`JsonError`] with the place or the field.
pub fn from_slice<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    Ok(serde_json::from_value(parse_unique(bytes)?)?)
}

#[derive(Clone, Copy)]
struct Unique {
    depth: usize,
}

impl Unique {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth }),
            None => Err(E::custom(format_args!("nested deeper than {MAX_JSON_DEPTH}"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(inner)?;
            if members.contains_key(&key) {
                return Err(twice(&key));
            }
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

/// Demands that no object has a member twice and nothing nests too deeply, and keeps nothing of it: for whoever then parses
/// into types.
///
/// # Errors
/// [`JsonError`] with the place.
pub fn demand_unique(bytes: &[u8]) -> Result<(), JsonError> {
    unique_texts(bytes, []).map(|[]| ())
}

/// As [`demand_unique`]; of the members of the outermost object it keeps those with the given names, where they are texts.
///
/// # Errors
/// [`JsonError`] with the place.
pub fn unique_texts<'a, const N: usize>(
    bytes: &'a [u8],
    names: [&str; N],
) -> Result<[Option<Cow<'a, str>>; N], JsonError> {
    let mut texts = [const { None }; N];
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let rules = Unique { depth: MAX_JSON_DEPTH };
    Seen { rules, names: &names, texts: &mut texts }.deserialize(&mut de)?;
    de.end()?;
    Ok(texts)
}

/// [`Unique`], of which only the refusals are wanted, and of an object the texts of those names. Gives the text that it was itself.
struct Seen<'de, 'k> {
    rules: Unique,
    names: &'k [&'k str],
    /// As many as `names`.
    texts: &'k mut [Option<Cow<'de, str>>],
}

impl Seen<'_, '_> {
    fn inner(rules: Unique) -> Self {
        Self { rules, names: &[], texts: &mut [] }
    }
}

impl<'de> DeserializeSeed<'de> for Seen<'de, '_> {
    type Value = Option<Cow<'de, str>>;
    fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seen<'de, '_> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Some(v.into()))
    }
    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Some(v.to_owned().into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let inner = self.rules.deeper()?;
        while seq.next_element_seed(Seen::inner(inner))?.is_some() {}
        Ok(None)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let inner = self.rules.deeper()?;
        // Nearly all objects have few, for which nothing is allocated.
        let (mut few, mut many) = ([const { Cow::Borrowed("") }; FEW_MEMBERS], BTreeSet::new());
        let mut free = 0;
        while let Some(Name(name)) = map.next_key()? {
            let text = map.next_value_seed(Seen::inner(inner))?;
            if few[..free].contains(&name) || many.contains(&name) {
                return Err(twice(&name));
            }
            if let Some(at) = self.names.iter().position(|wanted| *wanted == name) {
                self.texts[at] = text;
            }
            match few.get_mut(free) {
                Some(place) => (*place, free) = (name, free + 1),
                None => drop(many.insert(name)),
            }
        }
        Ok(None)
    }
}

/// A member's name, as it stands there where it needs no unescaping.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn twice<E: serde::de::Error>(name: &str) -> E {
    E::custom(format_args!("member `{}` stands twice", name.escape_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways of asking, which must say the same.
    fn asked(text: &str) -> Result<(), String> {
        let parsed = parse_unique(text.as_bytes()).map(drop).map_err(|err| err.to_string());
        assert_eq!(demand_unique(text.as_bytes()).map_err(|err| err.to_string()), parsed, "{text}");
        parsed
    }

    #[test]
    fn a_member_twice_is_refused_at_any_depth() {
        assert!(asked(r#"{"a":{"b":1,"b":2}}"#).unwrap_err().contains("`b` stands twice"));
        assert!(asked(r#"{"b":1,"\u0062":2}"#).unwrap_err().contains("`b` stands twice"));
        asked(r#"[{"a":1},{"a":2}]"#).unwrap();
        asked(r#"{"a":[null,true,-1,2,1.5,"x\n"]}"#).unwrap();
        for broken in ["{} x", "", "[1,]", "{\"a\"}", "\"\u{1}\"", "1e999", "nul", "{\"a\":1"] {
            asked(broken).unwrap_err();
        }
    }

    #[test]
    fn of_many_members_each_is_compared_with_all() {
        let members = |last: usize| {
            let names = (0..40).chain([last]).map(|n| format!("\"m{n}\":{n}"));
            format!("{{{}}}", names.collect::<Vec<_>>().join(","))
        };
        asked(&members(40)).unwrap();
        for twice in [0, 15, 16, 39] {
            assert!(asked(&members(twice)).unwrap_err().contains(&format!("`m{twice}` stands twice")));
        }
    }

    #[test]
    fn texts_are_those_of_the_outermost_object() {
        let json = br#"{"a":"x\ny","b":7,"c":{"d":"in"},"e":"out","\u0066":"f"}"#;
        let texts = unique_texts(json, ["a", "b", "d", "e", "f", "g"]).unwrap();
        assert_eq!(
            texts.each_ref().map(Option::as_deref),
            [Some("x\ny"), None, None, Some("out"), Some("f"), None]
        );
        assert_eq!(unique_texts(br#"["a","b"]"#, ["a"]).unwrap(), [None]);
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "[".repeat(MAX_JSON_DEPTH + 1) + &"]".repeat(MAX_JSON_DEPTH + 1);
        assert!(asked(&deep).unwrap_err().contains("deeper than 64"));
        let fine = "[".repeat(MAX_JSON_DEPTH) + &"]".repeat(MAX_JSON_DEPTH);
        asked(&fine).unwrap();
    }
}
