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
    let mut de = serde_json::Deserializer::from_slice(bytes);
    Seen(Unique { depth: MAX_JSON_DEPTH }).deserialize(&mut de)?;
    de.end()?;
    Ok(())
}

/// [`Unique`], of which only the refusals are wanted.
#[derive(Clone, Copy)]
struct Seen(Unique);

impl<'de> DeserializeSeed<'de> for Seen {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seen {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = Self(self.0.deeper()?);
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = Self(self.0.deeper()?);
        let (mut few, mut many) = (Vec::with_capacity(FEW_MEMBERS), BTreeSet::new());
        while let Some(Name(name)) = map.next_key()? {
            map.next_value_seed(inner)?;
            if few.contains(&name) || many.contains(&name) {
                return Err(twice(&name));
            }
            match few.len() < FEW_MEMBERS {
                true => few.push(name),
                false => drop(many.insert(name)),
            }
        }
        Ok(())
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
    fn deep_nesting_is_refused() {
        let deep = "[".repeat(MAX_JSON_DEPTH + 1) + &"]".repeat(MAX_JSON_DEPTH + 1);
        assert!(asked(&deep).unwrap_err().contains("deeper than 64"));
        let fine = "[".repeat(MAX_JSON_DEPTH) + &"]".repeat(MAX_JSON_DEPTH);
        asked(&fine).unwrap();
    }
}
