//! Signing a note, and checking its signatures.

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier};

use super::{Algorithm, KeyName, MAX_SIGNATURE_LINES, Note, SignatureLine, Vkey, key::key_id};

const TIME_BYTES: usize = 8;

/// One signature that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedLine {
    /// Which of the keys given, counted from 0.
    pub key: usize,
    /// Which of the note's lines, counted from 0.
    pub line: usize,
    /// When, in seconds since 1970, if the key makes cosignatures. Not compared with any clock.
    pub time: Option<u64>,
}

/// Why a note's signatures do not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A line under the name and id of a key given that this key did not make.
    #[error("the signature of {name} on the note is false")]
    FalseSignature {
        /// The key's name.
        name: KeyName,
    },
    /// No line is by any of the keys given.
    #[error("the note is not signed by any of the keys given")]
    NoKnownSignature,
    /// Two different keys given share name and id.
    #[error("two keys of name {name} share their id")]
    AmbiguousKeys {
        /// Their name.
        name: KeyName,
    },
    /// Over [`MAX_SIGNATURE_LINES`].
    #[error("the note has more than {MAX_SIGNATURE_LINES} signature lines")]
    TooManySignatures,
}

/// The signatures on `note` by keys among `keys`, one for each key, in the order of the lines.
///
/// Lines of other names and ids are ignored. Several lines of one key count once, and all must hold: for
/// cosignatures the newest is given, otherwise the first. Two entries of `keys` with the same public key count as
/// one key, the first of them.
///
/// # Errors
/// [`NoteError`]; one line of a known name and id that fails to verify rejects the whole note.
///
/// Source: C2SP signed-note v1.0.0, verifying.
pub fn verify_note(note: &Note, keys: &[Vkey]) -> Result<Vec<VerifiedLine>, NoteError> {
    let verified = verify_lines(note, keys)?;
    if verified.is_empty() { Err(NoteError::NoKnownSignature) } else { Ok(verified) }
}

/// [`verify_note`], for whom no known signature is an answer and not an error.
pub(crate) fn verify_lines(note: &Note, keys: &[Vkey]) -> Result<Vec<VerifiedLine>, NoteError> {
    if note.signatures.len() > MAX_SIGNATURE_LINES {
        return Err(NoteError::TooManySignatures);
    }
    let mut verified: Vec<VerifiedLine> = Vec::new();
    for (line, signature) in note.signatures.iter().enumerate() {
        let Some(found) = known_key(signature, keys)? else { continue };
        let time = check_line(&note.text, signature, found)
            .ok_or_else(|| NoteError::FalseSignature { name: signature.name.clone() })?;
        // One public key, one vote, under whatever names it appears.
        let key = keys.iter().position(|key| key.key() == found.key()).expect("found is one of keys");
        let next = VerifiedLine { key, line, time };
        match verified.iter_mut().find(|earlier| earlier.key == key) {
            Some(earlier) if earlier.time < time => *earlier = next,
            Some(_) => {}
            None => verified.push(next),
        }
    }
    Ok(verified)
}

/// The key among `keys` that `line` names.
fn known_key<'k>(line: &SignatureLine, keys: &'k [Vkey]) -> Result<Option<&'k Vkey>, NoteError> {
    let mut named = keys.iter().filter(|key| key.id() == line.id && *key.name() == line.name);
    let Some(first) = named.next() else { return Ok(None) };
    if named.any(|other| other != first) {
        return Err(NoteError::AmbiguousKeys { name: line.name.clone() });
    }
    Ok(Some(first))
}

/// The time in `line`, if it has one, when `key` made it over `text`; `None` when it did not.
fn check_line(text: &str, line: &SignatureLine, key: &Vkey) -> Option<Option<u64>> {
    let (time, signature) = match key.algorithm() {
        Algorithm::Ed25519 => (None, line.signature.as_slice()),
        Algorithm::CosignatureV1 => {
            let (time, signature) = line.signature.split_first_chunk::<TIME_BYTES>()?;
            (Some(u64::from_be_bytes(*time)), signature)
        }
    };
    let signature = Signature::from_slice(signature).ok()?;
    let held = match time {
        None => key.key().verify(text.as_bytes(), &signature),
        Some(time) => key.key().verify(cosignature_message(text, time).as_bytes(), &signature),
    };
    held.ok().map(|()| time)
}

/// What a cosigner signs at `time` about a note's `text`.
///
/// Source: C2SP tlog-cosignature v1.0.1.
pub(crate) fn cosignature_message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// The signature of `key`, under `name`, over a note's `text`.
///
/// - `text`: as [`Note::text`](super::Note), with its last line end.
///
/// Ed25519 is deterministic: the same arguments give the same line.
pub fn sign_note(text: &str, name: &KeyName, key: &SigningKey) -> SignatureLine {
    SignatureLine {
        name: name.clone(),
        id: key_id(name, Algorithm::Ed25519, key.verifying_key().as_bytes()),
        signature: key.sign(text.as_bytes()).to_bytes().to_vec(),
    }
}
