//! Who signed this text?
//!
//! A signed note is a short text that people can read, an empty line, and one line for each signature:
//!
//! ```text
//! This is an example message.
//!
//! — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
//! ```
//!
//! A signature line is U+2014, a space, the key's name, a space, and the base64 of the four-byte key id followed by
//! the signature. The text may itself hold empty lines: the **last** empty line divides.
//!
//! Source: C2SP signed-note v1.0.0. Off-spec: key names are at most 255 bytes, as ML-DSA cosignatures need them.

mod key;
mod verify;

use std::fmt;
use std::str;

use crate::base64;

pub use key::{
    Algorithm, InvalidKeyName, KeyId, KeyName, MAX_KEY_NAME_BYTES, MAX_VKEY_BYTES, Vkey, VkeyError,
};
pub use verify::{NoteError, VerifiedLine, sign_note, verify_note};
pub(crate) use verify::{cosignature_message, verify_lines};

/// The longest note that is read, text and signatures together.
pub const MAX_NOTE_BYTES: usize = 1_000_000;

/// The most signature lines a note may have. The specification asks for at least 16.
pub const MAX_SIGNATURE_LINES: usize = 100;

/// Bytes in a key id, which come before every signature.
pub(crate) const KEY_ID_BYTES: usize = 4;

const LINE_START: &str = "\u{2014} ";

/// A text with the signatures that are said to be over it; none of them is checked yet.
///
/// [`verify_note`] checks them. Whoever makes one otherwise than by [`parse`](Note::parse) or [`new`](Note::new)
/// keeps to their rules, or it cannot be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is signed, with its last line end.
    pub text: String,
    /// At least one in a note that was read.
    pub signatures: Vec<SignatureLine>,
}

/// One line under a note: who is said to have signed, and with what bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    /// The key's name.
    pub name: KeyName,
    /// The key's id; the name and it together choose the key.
    pub id: KeyId,
    /// The signature proper, without the key id: at least one byte.
    pub signature: Vec<u8>,
}

/// Why bytes are not a note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNoteError {
    /// Over [`MAX_NOTE_BYTES`].
    #[error("the note is longer than {MAX_NOTE_BYTES} bytes")]
    TooLong,
    /// Over [`MAX_SIGNATURE_LINES`].
    #[error("the note has more than {MAX_SIGNATURE_LINES} signature lines")]
    TooManySignatures,
    /// Bytes that are not UTF-8.
    #[error("the note is not UTF-8")]
    NotUtf8,
    /// A character below 0x20 other than the line end.
    #[error("the note has control characters")]
    ControlCharacter,
    /// The text is empty or its last line does not end.
    #[error("the text of the note does not end in a line end")]
    UnfinishedText,
    /// No empty line between text and signatures.
    #[error("the note has no empty line before its signatures")]
    NoSignaturePart,
    /// Nothing after the last empty line.
    #[error("the note has no signature lines")]
    NoSignatures,
    /// A line that is not of the form drawn above.
    #[error("signature line {line} of the note is malformed")]
    SignatureLine {
        /// Counted from 1 after the empty line.
        line: usize,
    },
}

impl Note {
    /// A note over `text` with no signature yet; [`sign_note`] makes them.
    ///
    /// # Errors
    /// [`ParseNoteError`] for a text that could not be read back.
    pub fn new(text: String) -> Result<Note, ParseNoteError> {
        check_text(&text)?;
        Ok(Note { text, signatures: Vec::new() })
    }

    /// The note that `bytes` spell. What [`to_bytes`](Note::to_bytes) gives back is the same bytes.
    ///
    /// # Errors
    /// [`ParseNoteError`], each case of which has its own name.
    pub fn parse(bytes: &[u8]) -> Result<Note, ParseNoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(ParseNoteError::TooLong);
        }
        let whole = str::from_utf8(bytes).map_err(|_| ParseNoteError::NotUtf8)?;
        let gap = whole.rfind("\n\n").ok_or(ParseNoteError::NoSignaturePart)?;
        let (text, signatures) = (&whole[..=gap], &whole[gap + 2..]);
        check_text(text)?;
        Ok(Note { text: text.to_owned(), signatures: parse_signature_lines(signatures)? })
    }

    /// The note as it is stored and sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

/// The signature lines that `text` consists of, as a witness answers with them.
///
/// # Errors
/// [`ParseNoteError`] if there is none, a line is malformed, the last does not end, or there are too many.
pub fn parse_signature_lines(text: &str) -> Result<Vec<SignatureLine>, ParseNoteError> {
    let lines = text.strip_suffix('\n').ok_or(if text.is_empty() {
        ParseNoteError::NoSignatures
    } else {
        ParseNoteError::SignatureLine { line: text.matches('\n').count() + 1 }
    })?;
    if text.matches('\n').count() > MAX_SIGNATURE_LINES {
        return Err(ParseNoteError::TooManySignatures);
    }
    lines
        .split('\n')
        .enumerate()
        .map(|(at, line)| SignatureLine::parse(line).ok_or(ParseNoteError::SignatureLine { line: at + 1 }))
        .collect()
}

fn check_text(text: &str) -> Result<(), ParseNoteError> {
    if text.len() > MAX_NOTE_BYTES {
        return Err(ParseNoteError::TooLong);
    }
    if !text.ends_with('\n') {
        return Err(ParseNoteError::UnfinishedText);
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(ParseNoteError::ControlCharacter);
    }
    Ok(())
}

impl SignatureLine {
    /// The signature line that `line` spells, without its line end; `None` if it spells none.
    pub fn parse(line: &str) -> Option<SignatureLine> {
        let (name, encoded) = line.strip_prefix(LINE_START)?.split_once(' ')?;
        let decoded = base64::decode(encoded).ok()?;
        let (id, signature) = decoded.split_first_chunk::<KEY_ID_BYTES>()?;
        if signature.is_empty() {
            return None;
        }
        Some(SignatureLine {
            name: KeyName::new(name).ok()?,
            id: KeyId::from(*id),
            signature: signature.to_vec(),
        })
    }
}

impl fmt::Display for SignatureLine {
    /// The line without its line end.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blob = [self.id.as_bytes().as_slice(), &self.signature].concat();
        write!(out, "{LINE_START}{} {}", self.name, base64::encode(blob))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.text)?;
        for line in &self.signatures {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}
