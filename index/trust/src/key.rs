//! Which keys are fit, and how are secret ones kept? OpenSSH private-key files, passphrase-encrypted by default.

use std::cell::RefCell;

use brick_schemas::{Digest, PublicKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{Cipher, Kdf, LineEnding, PrivateKey};
use zeroize::Zeroizing;

/// Bytes of one private-key file, at most.
pub const MAX_KEY_FILE_BYTES: usize = 16 * 1024;
/// Rounds of bcrypt-pbkdf over a passphrase: OpenSSH's default.
const BCRYPT_ROUNDS: u32 = 16;
/// Rounds that a foreign key file may ask for; beyond, opening it would take minutes.
const MAX_BCRYPT_ROUNDS: u32 = 1_024;

/// Why a public key is unfit to be admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyChoice {
    /// The bytes are not a point of the curve.
    #[error("key {0} is not a point on the curve")]
    NotAPoint(PublicKey),
    /// The bytes are another spelling of a point.
    #[error("key {0} is not the canonical encoding of its point")]
    NotCanonical(PublicKey),
    /// A point of small order: anybody could sign for it.
    #[error("key {0} is weak (of small order)")]
    Weak(PublicKey),
}

/// The key as a point, if it is fit to sign: canonical and not of small order.
///
/// # Errors
/// [`KeyChoice`] names what is wrong.
pub fn checked_key(key: &PublicKey) -> Result<VerifyingKey, KeyChoice> {
    let verifying = VerifyingKey::from_bytes(key.as_bytes()).map_err(|_| KeyChoice::NotAPoint(*key))?;
    if verifying.is_weak() {
        return Err(KeyChoice::Weak(*key));
    }
    // dalek keeps the bytes it was given; going through the point shows whether they were the canonical ones.
    if verifying.to_edwards().compress().as_bytes() != key.as_bytes() {
        return Err(KeyChoice::NotCanonical(*key));
    }
    Ok(verifying)
}

/// Keys that each thread keeps, at most: a log is signed by few, over and over.
const KEPT_KEYS: usize = 32;

thread_local! {
    /// Keys used last, the newest at the end, with what was made of each: a pure function of its bytes.
    static KEPT: RefCell<Vec<KeptKey>> = const { RefCell::new(Vec::new()) };
}

struct KeptKey {
    key: PublicKey,
    id: Digest,
    /// Once it was asked for.
    checked: Option<Result<VerifyingKey, KeyChoice>>,
}

fn with_kept<T>(key: &PublicKey, use_it: impl FnOnce(&mut KeptKey) -> T) -> T {
    KEPT.with_borrow_mut(|kept| {
        let at = kept.iter().rposition(|kept| kept.key == *key).unwrap_or_else(|| {
            if kept.len() >= KEPT_KEYS {
                kept.remove(0);
            }
            kept.push(KeptKey { key: *key, id: key.id(), checked: None });
            kept.len() - 1
        });
        use_it(&mut kept[at])
    })
}

/// [`PublicKey::id`], kept by the thread for the keys that it used last.
pub(crate) fn kept_id(key: &PublicKey) -> Digest {
    with_kept(key, |kept| kept.id)
}

/// [`checked_key`], kept likewise: making a point of the bytes and back costs a third of a verification.
pub(crate) fn kept_key(key: &PublicKey) -> Result<VerifyingKey, KeyChoice> {
    with_kept(key, |kept| *kept.checked.get_or_insert_with(|| checked_key(key)))
}

/// Why a private-key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Over the bound.
    #[error("a key file has at most {MAX_KEY_FILE_BYTES} bytes")]
    TooLong,
    /// Not an OpenSSH private key.
    #[error("not an OpenSSH private-key file")]
    Form(#[source] ssh_key::Error),
    /// Another algorithm.
    #[error("the key is of type {found}; only ssh-ed25519 is used")]
    Algorithm {
        /// The algorithm's name.
        found: String,
    },
    /// Encrypted, and no passphrase at hand.
    #[error("the key is encrypted and no passphrase was given")]
    NeedsPassphrase,
    /// A passphrase that takes too long to check.
    #[error("the key's passphrase is hardened with more than {MAX_BCRYPT_ROUNDS} rounds")]
    Rounds,
    /// The wrong passphrase (or a damaged file).
    #[error("the passphrase does not open the key")]
    Passphrase,
    /// Writing failed.
    #[error("cannot encode the key")]
    Encode(#[source] ssh_key::Error),
}

/// Parses an OpenSSH private-key file that holds an Ed25519 key.
///
/// - `passphrase`: tried where the file is encrypted.
///
/// # Errors
/// [`KeyFileError`]; `NeedsPassphrase` is the caller's cue to ask for one.
pub fn parse_key_file(bytes: &[u8], passphrase: Option<&[u8]>) -> Result<SigningKey, KeyFileError> {
    if bytes.len() > MAX_KEY_FILE_BYTES {
        return Err(KeyFileError::TooLong);
    }
    let mut key = PrivateKey::from_openssh(bytes).map_err(KeyFileError::Form)?;
    if key.is_encrypted() {
        if let Kdf::Bcrypt { rounds, .. } = key.kdf()
            && *rounds > MAX_BCRYPT_ROUNDS
        {
            return Err(KeyFileError::Rounds);
        }
        let passphrase = passphrase.ok_or(KeyFileError::NeedsPassphrase)?;
        key = key.decrypt(passphrase).map_err(|_| KeyFileError::Passphrase)?;
    }
    match key.key_data() {
        KeypairData::Ed25519(pair) => Ok(SigningKey::from_bytes(&pair.private.to_bytes())),
        other => Err(KeyFileError::Algorithm {
            found: other.algorithm().map_or_else(|_| "unknown".to_owned(), |a| a.to_string()),
        }),
    }
}

/// The public key of an OpenSSH private-key file, which stands there unencrypted.
///
/// # Errors
/// [`KeyFileError`].
pub fn public_of_key_file(bytes: &[u8]) -> Result<PublicKey, KeyFileError> {
    if bytes.len() > MAX_KEY_FILE_BYTES {
        return Err(KeyFileError::TooLong);
    }
    let key = PrivateKey::from_openssh(bytes).map_err(KeyFileError::Form)?;
    match key.public_key().key_data().ed25519() {
        Some(public) => Ok(PublicKey::from(public.0)),
        None => Err(KeyFileError::Algorithm { found: key.algorithm().to_string() }),
    }
}

/// The text of an OpenSSH private-key file.
///
/// - `comment`: shown by `ssh-add -l`; not secret.
/// - `encryption`: the passphrase with 16 random bytes of salt and 4 random bytes of check integer; `None` leaves it open.
///
/// # Errors
/// [`KeyFileError::Encode`].
pub fn write_key_file(
    key: &SigningKey,
    comment: &str,
    encryption: Option<(&[u8], [u8; 16], u32)>,
) -> Result<Zeroizing<String>, KeyFileError> {
    let pair = Ed25519Keypair {
        public: ssh_key::public::Ed25519PublicKey(key.verifying_key().to_bytes()),
        private: ssh_key::private::Ed25519PrivateKey::from_bytes(&key.to_bytes()),
    };
    let mut private = PrivateKey::new(KeypairData::from(pair), comment).map_err(KeyFileError::Encode)?;
    if let Some((passphrase, salt, checkint)) = encryption {
        let kdf = Kdf::Bcrypt { salt: salt.to_vec(), rounds: BCRYPT_ROUNDS };
        private = private
            .encrypt_with(Cipher::Aes256Ctr, kdf, checkint, passphrase)
            .map_err(KeyFileError::Encode)?;
    }
    private.to_openssh(LineEnding::LF).map_err(KeyFileError::Encode)
}

/// One line as in `authorized_keys`: `ssh-ed25519 AAAA… comment`.
pub fn ssh_public_line(key: &PublicKey, comment: &str) -> String {
    let public = ssh_key::PublicKey::new(
        ssh_key::public::KeyData::Ed25519(ssh_key::public::Ed25519PublicKey(*key.as_bytes())),
        comment,
    );
    public.to_openssh().unwrap_or_default()
}

/// Reads a public key as people hand it over: 64 hexadecimal digits, or an `ssh-ed25519 AAAA…` line.
///
/// # Errors
/// [`KeyFileError`] when it is neither.
pub fn parse_public_key(text: &str) -> Result<PublicKey, KeyFileError> {
    if let Ok(key) = PublicKey::parse(text.trim()) {
        return Ok(key);
    }
    let key = ssh_key::PublicKey::from_openssh(text.trim()).map_err(KeyFileError::Form)?;
    match key.key_data().ed25519() {
        Some(public) => Ok(PublicKey::from(public.0)),
        None => Err(KeyFileError::Algorithm { found: key.algorithm().to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Signer as _;

    #[test]
    fn a_key_survives_its_file() {
        let key = SigningKey::from_bytes(&[9; 32]);
        let open = write_key_file(&key, "test", None).unwrap();
        assert_eq!(parse_key_file(open.as_bytes(), None).unwrap(), key);
        let closed = write_key_file(&key, "test", Some((b"correct horse", [1; 16], 7))).unwrap();
        assert!(matches!(parse_key_file(closed.as_bytes(), None), Err(KeyFileError::NeedsPassphrase)));
        assert!(matches!(parse_key_file(closed.as_bytes(), Some(b"wrong")), Err(KeyFileError::Passphrase)));
        assert_eq!(parse_key_file(closed.as_bytes(), Some(b"correct horse")).unwrap(), key);
        assert_eq!(public_of_key_file(closed.as_bytes()).unwrap(), key.public());
        assert_eq!(parse_public_key(&ssh_public_line(&key.public(), "x")).unwrap(), key.public());
    }

    #[test]
    fn weak_and_twisted_keys_are_refused() {
        let identity = {
            let mut bytes = [0; 32];
            bytes[0] = 1;
            bytes
        };
        assert!(matches!(checked_key(&PublicKey::from(identity)), Err(KeyChoice::Weak(_))));
        assert!(matches!(checked_key(&PublicKey::from([0; 32])), Err(KeyChoice::Weak(_))));
        // y = p + 3, a spelling of y = 3 above the field's prime.
        let mut high = [0xff; 32];
        high[0] = 0xed + 3;
        high[31] = 0x7f;
        assert!(matches!(
            checked_key(&PublicKey::from(high)),
            Err(KeyChoice::NotCanonical(_) | KeyChoice::NotAPoint(_))
        ));
        assert!(parse_key_file(b"-----BEGIN OPENSSH PRIVATE KEY-----\n", None).is_err());
        assert!(parse_key_file(&[b'x'; MAX_KEY_FILE_BYTES + 1], None).is_err());
    }
}
