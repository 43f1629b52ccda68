//! Who signed these bytes? DSSE envelopes in the strict profile: one encoding, no unsigned freight.
//!
//! ```text
//! {"payload":"eyJf…","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"63d0…35b9","sig":"FDBu…qgCg=="}]}
//! ```
//! Standard base64, exactly these members in this order, compact, `keyid` the TUF key id, signatures in ascending order of
//! key id, each once; no string in which something would have to be escaped. Source: DSSE 1.0.2; the strictness is ours, so that a leaf
//! has one encoding.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write;

use brick_schemas::{Digest, PublicKey};
use brick_tlog::base64;
use ed25519_dalek::Signature;

use crate::key::{KeyChoice, kept_id, kept_key};

/// Bytes of one entry, at most. Source: C2SP tlog-tiles, entry bundles.
pub const MAX_ENTRY_BYTES: usize = 65_535;
/// Signatures of one envelope, at most.
pub const MAX_SIGNATURES: usize = 16;

/// A signed payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// What the payload is.
    pub payload_type: String,
    /// The signed bytes.
    pub payload: Vec<u8>,
    /// In ascending order of key id, each once.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EnvelopeSignature {
    /// The signer's TUF key id; a hint, not a proof.
    pub keyid: Digest,
    /// Ed25519 over [`pae`].
    pub signature: [u8; 64],
}

/// Why bytes are not an envelope in the strict profile.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Over C2SP's bound.
    #[error("an entry has at most {MAX_ENTRY_BYTES} bytes, this one has {bytes}")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// Not JSON with these members.
    #[error("the entry is not a DSSE envelope")]
    Json(#[source] brick_schemas::json::JsonError),
    /// base64 that is not standard, padded and canonical.
    #[error("the entry's {member} is not canonical base64")]
    Base64 {
        /// Which member.
        member: &'static str,
    },
    /// None, too many, out of order, or one key id twice.
    #[error("the entry's signatures: {rule}")]
    Signatures {
        /// The rule that they break.
        rule: &'static str,
    },
    /// Well-formed, but another spelling of what it says.
    #[error(
        "the entry is not in the one allowed encoding (member order, spaces, escapes or additions differ)"
    )]
    Encoding,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct RawEnvelope<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    #[serde(borrow, rename = "payloadType")]
    payload_type: Cow<'a, str>,
    #[serde(borrow)]
    signatures: Vec<RawSignature<'a>>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct RawSignature<'a> {
    keyid: Digest,
    #[serde(borrow)]
    sig: Cow<'a, str>,
}

impl<'a> RawEnvelope<'a> {
    /// Reads the one encoding and nothing else: every byte is one that is written again from what is found, if the base64
    /// that is found has one spelling.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        // Up to the quote that ends a string. In those of an envelope nothing has to be escaped.
        let string = |text: &'a str| text.split_once('"');
        let rest = str::from_utf8(bytes).ok()?.strip_prefix(r#"{"payload":""#)?;
        let (payload, rest) = string(rest)?;
        let (payload_type, rest) = string(rest.strip_prefix(r#","payloadType":""#)?)?;
        if payload_type.contains(|c: char| c == '\\' || c < ' ') {
            return None;
        }
        let mut rest = rest.strip_prefix(r#","signatures":["#)?.strip_suffix("]}")?;
        let mut signatures = Vec::new();
        while !rest.is_empty() {
            if !signatures.is_empty() {
                rest = rest.strip_prefix(',')?;
            }
            let (keyid, after) = string(rest.strip_prefix(r#"{"keyid":""#)?)?;
            let (sig, after) = string(after.strip_prefix(r#","sig":""#)?)?;
            signatures.push(RawSignature { keyid: Digest::parse(keyid).ok()?, sig: sig.into() });
            rest = after.strip_prefix('}')?;
        }
        Some(Self { payload: payload.into(), payload_type: payload_type.into(), signatures })
    }
}

/// DSSE's pre-authentication encoding: what is signed.
///
/// `DSSEv1 <type bytes> <type> <body bytes> <body>`, lengths in decimal. Source: DSSE 1.0.2, protocol.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let (of_type, of_payload) = (payload_type.len(), payload.len());
    let mut out = Vec::with_capacity(of_type + of_payload + 64);
    write!(out, "DSSEv1 {of_type} {payload_type} {of_payload} ").expect("memory takes it");
    out.extend_from_slice(payload);
    out
}

impl Envelope {
    /// An envelope without signatures, to be signed.
    pub fn unsigned(payload_type: &str, payload: Vec<u8>) -> Self {
        Self { payload_type: payload_type.to_owned(), payload, signatures: Vec::new() }
    }

    /// Parses an envelope with at least one signature.
    ///
    /// # Errors
    /// [`EnvelopeError`]; in particular everything that [`Envelope::to_bytes`] would write differently.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let envelope = Self::parse_draft(bytes)?;
        if envelope.signatures.is_empty() {
            return Err(EnvelopeError::Signatures { rule: "there is none" });
        }
        Ok(envelope)
    }

    /// Parses an envelope that may still lack signatures: one on its way between signers.
    ///
    /// # Errors
    /// As [`Envelope::parse`], but for the missing signatures.
    pub fn parse_draft(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EnvelopeError::TooLong { bytes: bytes.len() });
        }
        let Some(raw) = RawEnvelope::read(bytes) else {
            return Err(match serde_json::from_slice::<RawEnvelope<'_>>(bytes) {
                Ok(_) => EnvelopeError::Encoding,
                Err(err) => EnvelopeError::Json(err.into()),
            });
        };
        if raw.signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::Signatures { rule: "there are more than 16" });
        }
        let payload =
            base64::decode(&raw.payload).map_err(|_| EnvelopeError::Base64 { member: "payload" })?;
        let mut signatures = Vec::with_capacity(raw.signatures.len());
        for signature in &raw.signatures {
            signatures.push(EnvelopeSignature {
                keyid: signature.keyid,
                signature: base64::decode_array(&signature.sig)
                    .map_err(|_| EnvelopeError::Base64 { member: "signature" })?,
            });
        }
        if !signatures.is_sorted_by(|a, b| a.keyid < b.keyid) {
            return Err(EnvelopeError::Signatures { rule: "key ids must ascend, each once" });
        }
        Ok(Self { payload_type: raw.payload_type.into_owned(), payload, signatures })
    }

    /// The one encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let raw = RawEnvelope {
            payload: base64::encode(&self.payload).into(),
            payload_type: self.payload_type.as_str().into(),
            signatures: self
                .signatures
                .iter()
                .map(|s| RawSignature { keyid: s.keyid, sig: base64::encode(s.signature).into() })
                .collect(),
        };
        let mut out = Vec::with_capacity(raw.payload.len() + 512);
        serde_json::to_writer(&mut out, &raw).expect("the type has only string keys");
        out
    }

    /// SHA-256 of the payload: what makes an entry the same entry, whoever signed it.
    pub fn payload_digest(&self) -> Digest {
        Digest::of(&self.payload)
    }

    /// Adds (or replaces) a signature.
    ///
    /// # Errors
    /// What the signer says.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<(), SignError> {
        let signature = signer.sign(&pae(&self.payload_type, &self.payload))?;
        let keyid = signer.public().id();
        let at = self.signatures.partition_point(|s| s.keyid < keyid);
        if self.signatures.get(at).is_some_and(|s| s.keyid == keyid) {
            self.signatures.remove(at);
        }
        self.signatures.insert(at, EnvelopeSignature { keyid, signature });
        Ok(())
    }

    /// Checks every signature against `keys` and returns the distinct keys that signed.
    ///
    /// # Errors
    /// [`SignatureError`] if one is by a key outside `keys` (it would be unsigned freight), or does not verify.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<BTreeSet<PublicKey>, SignatureError> {
        let message = pae(&self.payload_type, &self.payload);
        let mut signers = BTreeSet::new();
        for signature in &self.signatures {
            let Some(key) = keys.iter().find(|key| kept_id(key) == signature.keyid) else {
                return Err(SignatureError::UnknownKey { keyid: signature.keyid });
            };
            let verifying = kept_key(key).map_err(|choice| SignatureError::BadKey { choice })?;
            // Plain `verify`: Go, OpenSSL and dalek agree on exactly the same signatures with it.
            ed25519_dalek::Verifier::verify(
                &verifying,
                &message,
                &Signature::from_bytes(&signature.signature),
            )
            .map_err(|_| SignatureError::Wrong { keyid: signature.keyid })?;
            signers.insert(*key);
        }
        Ok(signers)
    }
}

/// Why an envelope's signatures do not count.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// Signed with a key that the record or root does not hold.
    #[error("key {keyid} is not one that may sign here")]
    UnknownKey {
        /// The signature's key id.
        keyid: Digest,
    },
    /// The key itself is unfit.
    #[error("{choice}")]
    BadKey {
        /// What is wrong with it.
        choice: KeyChoice,
    },
    /// The signature is not that key's over these bytes.
    #[error("the signature of key {keyid} does not verify")]
    Wrong {
        /// The signature's key id.
        keyid: Digest,
    },
}

/// Something that can sign: a key in memory, or one that an SSH agent holds.
pub trait Signer {
    /// The public half.
    fn public(&self) -> PublicKey;
    /// An Ed25519 signature over `message`.
    ///
    /// # Errors
    /// [`SignError`] when the holder of the key refuses or fails.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// Why a signature could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign with key {key}: {reason}")]
pub struct SignError {
    /// The public key.
    pub key: PublicKey,
    /// The holder's words.
    pub reason: String,
}

impl Signer for ed25519_dalek::SigningKey {
    fn public(&self) -> PublicKey {
        PublicKey::from(self.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(ed25519_dalek::Signer::sign(self, message).to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    fn seed_key() -> SigningKey {
        let mut seed = [0; 32];
        for (i, byte) in seed.iter_mut().enumerate() {
            *byte = i as u8;
        }
        SigningKey::from_bytes(&seed)
    }

    #[test]
    fn the_specifications_vectors_hold() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        let mut envelope = Envelope::unsigned("http://example.com/HelloWorld", b"hello world".to_vec());
        envelope.sign(&seed_key()).unwrap();
        assert_eq!(
            base64::encode(envelope.signatures[0].signature),
            "FDBuhhGZHrQaLnHA+xYDozNBKtORTT3EFhGJXczChh8PCqB471sDESzy2zguMGQOk8D+Ij2hb/eoUkqxc/qgCg=="
        );
        let statement = br#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"brick-1.0.0.tar.gz","digest":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}],"predicateType":"https://commons.example/publish/v1","predicate":{"name":"a.example/brick","version":"1.0.0"}}"#;
        assert_eq!(statement.len(), 282);
        let mut envelope = Envelope::unsigned("application/vnd.in-toto+json", statement.to_vec());
        envelope.sign(&seed_key()).unwrap();
        assert_eq!(
            base64::encode(envelope.signatures[0].signature),
            "rtDtf3EAJoPsj/eYcPWGImhU7CS10sKmHHcHtscQMgB88/VvR4e+fAptltH74A1ZtCOsPEoK2ZBGnLyD0KFeDg=="
        );
    }

    #[test]
    fn an_envelope_has_one_encoding() {
        let mut envelope = Envelope::unsigned("t", b"body".to_vec());
        envelope.sign(&seed_key()).unwrap();
        let good = String::from_utf8(envelope.to_bytes()).unwrap();
        assert_eq!(Envelope::parse(good.as_bytes()).unwrap(), envelope);
        for (what, bad) in [
            ("a space", good.replacen(':', ": ", 1)),
            ("a newline at the end", format!("{good}\n")),
            ("an added member", good.replacen('{', r#"{"x":1,"#, 1)),
            ("a member twice", good.replacen('{', r#"{"payload":"","#, 1)),
            ("unpadded base64", good.replacen("Ym9keQ==", "Ym9keQ", 1)),
            ("non-canonical base64", good.replacen("Ym9keQ==", "Ym9keR==", 1)),
            ("an escape", good.replacen(r#""t""#, "\"\\u0074\"", 1)),
            ("a quote in the payload type", good.replacen(r#""t""#, r#""t\"""#, 1)),
            ("a comma before the end", good.replacen("}]}", "},]}", 1)),
            ("a comma at the beginning", good.replacen("[{", "[,{", 1)),
            ("another member of a signature", good.replacen("}]}", r#","x":1}]}"#, 1)),
            ("upper-case key id", good.replace("63d00ee3", "63D00EE3")),
            (
                "no signatures",
                Envelope::unsigned("t", b"body".to_vec())
                    .to_bytes()
                    .escape_ascii()
                    .to_string()
                    .replace("\\\"", "\""),
            ),
        ] {
            assert!(Envelope::parse(bad.as_bytes()).is_err(), "{what}: {bad}");
        }
        let mut twice = envelope.clone();
        twice.signatures.push(twice.signatures[0]);
        assert!(matches!(Envelope::parse(&twice.to_bytes()), Err(EnvelopeError::Signatures { .. })));
        assert!(matches!(Envelope::parse(&vec![b' '; 65_536]), Err(EnvelopeError::TooLong { .. })));
    }

    #[test]
    fn what_is_read_is_what_would_be_written() {
        let mut envelope = Envelope::unsigned("t/x", b"body".to_vec());
        envelope.sign(&seed_key()).unwrap();
        envelope.sign(&SigningKey::from_bytes(&[7; 32])).unwrap();
        let good = envelope.to_bytes();
        let mut accepted = 0;
        for at in 0..good.len() {
            let mut changed = good.clone();
            for byte in 0..=255 {
                changed[at] = byte;
                if let Ok(read) = Envelope::parse(&changed) {
                    assert_eq!(read.to_bytes(), changed);
                    accepted += 1;
                }
            }
            let (mut less, mut more) = (good.clone(), good.clone());
            less.remove(at);
            more.insert(at, good[at]);
            for changed in [less, more] {
                assert!(Envelope::parse(&changed).map_or(true, |read| read.to_bytes() == changed));
            }
        }
        assert!(accepted > good.len());
    }

    #[test]
    fn only_known_keys_and_right_signatures_count() {
        let key = seed_key();
        let other = SigningKey::from_bytes(&[7; 32]);
        let mut envelope = Envelope::unsigned("t", b"body".to_vec());
        envelope.sign(&key).unwrap();
        envelope.sign(&key).unwrap();
        assert_eq!(envelope.verify(&[key.public()]).unwrap().len(), 1);
        assert!(matches!(envelope.verify(&[other.public()]), Err(SignatureError::UnknownKey { .. })));
        envelope.payload.push(b'!');
        assert!(matches!(envelope.verify(&[key.public()]), Err(SignatureError::Wrong { .. })));
    }
}
