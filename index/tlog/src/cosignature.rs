//! Who else saw that tree, and when?
//!
//! A cosignature is one more signature line under a checkpoint. It says: as of this time, this is the largest
//! head of that log that the cosigner has seen, and it extends every head it saw before. The bytes signed are
//!
//! ```text
//! cosignature/v1
//! time 1679315147
//! example.com/behind-the-sofa
//! 20852163
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//! ```
//!
//! and the line carries the time as eight big-endian bytes before the 64 of the Ed25519 signature. The cosigner's
//! name is not among the bytes signed: one key, one cosigner.
//!
//! Source: C2SP tlog-cosignature v1.0.1.

use ed25519_dalek::{Signer, SigningKey};

use crate::note::{
    Algorithm, KeyName, Note, NoteError, SignatureLine, Vkey, cosignature_message, verify_lines,
};

/// One cosignature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Which of the keys given, counted from 0.
    pub key: usize,
    /// That key's name.
    pub name: KeyName,
    /// Seconds since 1970, as the cosigner says; not compared with any clock.
    pub time: u64,
}

/// The cosignature of `key`, under `name`, at `time` over a checkpoint's text.
///
/// - `note_text`: all of the note's text, with its last line end.
/// - `time`: seconds since 1970.
pub fn cosign(note_text: &str, name: &KeyName, key: &SigningKey, time: u64) -> SignatureLine {
    let vkey = Vkey::of(name.clone(), Algorithm::CosignatureV1, key);
    let signature = key.sign(cosignature_message(note_text, time).as_bytes());
    SignatureLine {
        name: name.clone(),
        id: vkey.id(),
        signature: [time.to_be_bytes().as_slice(), &signature.to_bytes()].concat(),
    }
}

/// The cosignatures on `note` by keys among `cosigners`: one for each distinct public key, the newest it made, in
/// the order of the lines; none if there is none.
///
/// - `cosigners`: keys of type [`Algorithm::CosignatureV1`]; others in the list are passed over.
///
/// # Errors
/// [`NoteError`]; one line of a known name and id that fails to verify rejects the whole note.
pub fn verify_cosignatures(note: &Note, cosigners: &[Vkey]) -> Result<Vec<Cosignature>, NoteError> {
    let places: Vec<usize> =
        (0..cosigners.len()).filter(|at| cosigners[*at].algorithm() == Algorithm::CosignatureV1).collect();
    let keys: Vec<Vkey> = places.iter().map(|at| cosigners[*at].clone()).collect();
    let cosignatures = verify_lines(note, &keys)?.into_iter().filter_map(|line| {
        let name = keys[line.key].name().clone();
        Some(Cosignature { key: places[line.key], name, time: line.time? })
    });
    Ok(cosignatures.collect())
}
