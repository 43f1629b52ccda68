//! What does a registry say of itself before anybody vouches for it? `introduction.json`, made by `brickyard init`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::key::PublicKey;
use crate::name::PublisherName;
use crate::predicate::Registry;
use crate::predicate::registry::MAX_URLS;
use crate::url::RegistryUrl;

/// The file that holds it, beside `registry.toml`.
pub const INTRODUCTION_FILE: &str = "introduction.json";
/// Bytes of an introduction, at most.
pub const MAX_INTRODUCTION_BYTES: usize = 64 * 1_024;
/// The format's version.
const VERSION: u64 = 1;

/// What the registrars need to know of a registry to draft its record.
///
/// It is not signed: whoever drafts or signs the record compares its [`fingerprint`](Introduction::fingerprint) with what
/// the registry's operator sees. Unknown members pass.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Introduction {
    /// Format version: 1.
    pub v: u64,
    /// The registry's name, a DNS name.
    pub registry: PublisherName,
    /// The organisation that runs it.
    pub operator: PublisherName,
    /// The key that signs the logs it hosts.
    pub log_key: PublicKey,
    /// Its witness key, as a C2SP vkey of the cosignature type.
    pub witness: String,
    /// Where it answers, the preferred address first; at most 16.
    pub urls: Vec<RegistryUrl>,
}

/// Why bytes are no introduction.
#[derive(Debug, thiserror::Error)]
pub enum IntroductionError {
    /// Not JSON, or a member is missing or wrong.
    #[error("it does not read as an introduction")]
    Json(#[from] crate::json::JsonError),
    /// Of another version.
    #[error("it is of version {0}, known is {VERSION}")]
    Version(u64),
    /// No address, or more than can be.
    #[error("it names {0} addresses, 1 to {MAX_URLS} can be")]
    Urls(usize),
}

impl Introduction {
    /// A registry's introduction.
    pub fn new(
        registry: PublisherName,
        operator: PublisherName,
        log_key: PublicKey,
        witness: String,
        urls: Vec<RegistryUrl>,
    ) -> Self {
        Self { v: VERSION, registry, operator, log_key, witness, urls }
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`IntroductionError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, IntroductionError> {
        #[derive(Deserialize)]
        struct Versioned {
            v: u64,
        }
        let versioned: Versioned = crate::json::from_slice(bytes)?;
        if versioned.v != VERSION {
            return Err(IntroductionError::Version(versioned.v));
        }
        let read: Self = crate::json::from_slice(bytes)?;
        match read.urls.len() {
            1..=MAX_URLS => Ok(read),
            count => Err(IntroductionError::Urls(count)),
        }
    }

    /// The file: indented JSON with a newline at the end.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("an introduction has only string keys");
        text.push('\n');
        text
    }

    /// What two people compare, by voice or on paper: eight groups of four hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let urls = self.urls.iter().map(|url| url.as_str());
        fingerprint(&self.registry, &self.operator, &self.log_key, &self.witness, urls)
    }
}

impl Registry {
    /// The fingerprint of the introduction that says what this record says.
    pub fn fingerprint(&self) -> String {
        let urls = self.urls.iter().map(String::as_str);
        fingerprint(&self.id, &self.operator, &self.log_key, &self.witness, urls)
    }
}

/// The first 16 bytes of the SHA-256 of the facts, one a line.
fn fingerprint<'u>(
    registry: &PublisherName,
    operator: &PublisherName,
    log_key: &PublicKey,
    witness: &str,
    urls: impl Iterator<Item = &'u str>,
) -> String {
    let mut facts = format!("brickyard/introduction/v1\n{registry}\n{operator}\n{log_key}\n{witness}\n");
    for url in urls {
        facts.push_str(url);
        facts.push('\n');
    }
    let hex = Digest::of(facts.as_bytes()).to_string();
    let groups: Vec<&str> = (0..8).map(|group| &hex[group * 4..group * 4 + 4]).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn north() -> Introduction {
        Introduction::new(
            PublisherName::parse("registry.north.example").unwrap(),
            PublisherName::parse("north.example").unwrap(),
            PublicKey::from([7; 32]),
            "registry.north.example/witness+01234567+BA==".into(),
            vec![RegistryUrl::parse("https://registry.north.example").unwrap()],
        )
    }

    #[test]
    fn an_introduction_is_read_as_it_was_written() {
        assert_eq!(Introduction::parse(north().to_text().as_bytes()).unwrap(), north());
        let newer = north().to_text().replacen('{', "{ \"greeting\": \"hello\",", 1);
        assert_eq!(Introduction::parse(newer.as_bytes()).unwrap(), north(), "unknown members pass");
    }

    #[test]
    fn what_is_no_introduction_is_refused_by_what_is_wrong() {
        let text = north().to_text();
        for (case, bytes, says) in [
            ("no JSON", "{".to_owned(), "does not read"),
            ("another version", text.replace("\"v\": 1", "\"v\": 2"), "version 2"),
            ("no version", text.replace("\"v\": 1,", ""), "does not read"),
            ("no name", text.replace("registry.north.example\",", "..\","), "does not read"),
            ("no address", text.replace("\"https://registry.north.example\"", ""), "0 addresses"),
            ("another scheme", text.replace("https:", "ftp:"), "does not read"),
            ("a member twice", text.replacen('{', "{ \"v\": 1,", 1), "does not read"),
        ] {
            let err = Introduction::parse(bytes.as_bytes()).expect_err(case);
            assert!(err.to_string().contains(says), "{case}: {err}");
        }
    }

    #[test]
    fn every_fact_changes_the_fingerprint() {
        let change = |change: fn(&mut Introduction)| {
            let mut other = north();
            change(&mut other);
            other.fingerprint()
        };
        let mut seen = std::collections::BTreeSet::from([north().fingerprint()]);
        assert_eq!(north().fingerprint().len(), 39);
        for other in [
            change(|north| north.registry = PublisherName::parse("registry.mid.example").unwrap()),
            change(|north| north.operator = PublisherName::parse("mid.example").unwrap()),
            change(|north| north.log_key = PublicKey::from([8; 32])),
            change(|north| north.witness.push('=')),
            change(|north| north.urls.push(RegistryUrl::parse("http://10.0.0.1").unwrap())),
        ] {
            assert!(seen.insert(other));
        }
    }
}
