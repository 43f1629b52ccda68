//! JSON that means one thing: no member twice, no depth or size without a bound.

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Nesting of foreign JSON, at most.
pub const MAX_JSON_DEPTH: usize = 64;

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
                return Err(serde::de::Error::custom(format_args!(
                    "member `{}` stands twice",
                    key.escape_default()
                )));
            }
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_twice_is_refused_at_any_depth() {
        assert!(
            parse_unique(br#"{"a":{"b":1,"b":2}}"#).unwrap_err().to_string().contains("`b` stands twice")
        );
        assert!(parse_unique(br#"[{"a":1},{"a":2}]"#).is_ok());
        assert!(parse_unique(b"{} x").is_err());
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "[".repeat(MAX_JSON_DEPTH + 1) + &"]".repeat(MAX_JSON_DEPTH + 1);
        assert!(parse_unique(deep.as_bytes()).unwrap_err().to_string().contains("deeper than 64"));
        let fine = "[".repeat(MAX_JSON_DEPTH) + &"]".repeat(MAX_JSON_DEPTH);
        assert!(parse_unique(fine.as_bytes()).is_ok());
    }
}
