//! Does a file look like a secret? What is published cannot be taken back.

use brick_schemas::archive::ArchivePath;

/// Bytes of a file that are searched for a private key: more than any key file has.
const MAX_SEARCHED_BYTES: usize = 1 << 20;

/// What gave a secret away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// A file name that programs give to secrets.
    Name,
    /// A private key in PEM or OpenSSH form.
    PrivateKey,
}

impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "programs keep keys and passwords in files of this name",
            Self::PrivateKey => "it holds a private key",
        })
    }
}

/// Endings that only key stores have.
const ENDINGS: &[&str] = &[".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk"];

/// Whole names, without regard to case.
const NAMES: &[&str] = &[
    ".env",
    ".git-credentials",
    ".htpasswd",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    "_netrc",
    "id_dsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
    "id_rsa",
];

/// Endings of `.env` files that hold no values.
const EMPTY_ENVS: &[&str] = &[".env.example", ".env.sample", ".env.template", ".env.dist"];

/// Whether the name of a file is one that programs give to secrets.
pub(super) fn by_name(path: &ArchivePath) -> Option<Secret> {
    let name = path.file_name().to_ascii_lowercase();
    let is_env = name.starts_with(".env.") && !EMPTY_ENVS.contains(&name.as_str());
    let is_secret =
        is_env || NAMES.contains(&name.as_str()) || ENDINGS.iter().any(|ending| name.ends_with(ending));
    is_secret.then_some(Secret::Name)
}

/// Whether a line of the file begins a private key, as in `-----BEGIN OPENSSH PRIVATE KEY-----`.
///
/// Only the first MiB is searched. A line that merely speaks of such a header, in quotes or indented, is not one.
pub(super) fn by_content(content: &[u8]) -> Option<Secret> {
    content[..content.len().min(MAX_SEARCHED_BYTES)]
        .split(|byte| *byte == b'\n')
        .any(|line| {
            let line = line.trim_ascii_end();
            line.starts_with(b"-----BEGIN ") && line.ends_with(b"PRIVATE KEY-----")
                || line.starts_with(b"PuTTY-User-Key-File-")
        })
        .then_some(Secret::PrivateKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known() {
        for (name, secret) in [
            ("server.key", true),
            ("a/B/Server.KEY", true),
            (".env", true),
            (".env.production", true),
            (".env.example", false),
            ("id_ed25519", true),
            ("id_ed25519.pub", false),
            ("certificate.pem", false),
            ("store.p12", true),
            ("keys.md", false),
            ("environment.env.md", false),
            ("monkey", false),
        ] {
            assert_eq!(by_name(&ArchivePath::parse(name).unwrap()).is_some(), secret, "{name}");
        }
    }

    #[test]
    fn a_private_key_is_known_by_its_first_line() {
        // Put together here, so that this file itself is not mistaken for one.
        let key = |kind: &str| format!("text\n-----BEGIN {kind}PRIVATE KEY-----\r\nAAAA\n").into_bytes();
        for kind in ["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "] {
            assert_eq!(by_content(&key(kind)), Some(Secret::PrivateKey), "{kind}");
        }
        assert_eq!(by_content(b"-----BEGIN CERTIFICATE-----\n"), None);
        assert_eq!(by_content(b"-----BEGIN PUBLIC KEY-----\n"), None);
        assert_eq!(by_content(b"a line `-----BEGIN PRIVATE KEY-----` in a text\n"), None);
        assert_eq!(by_content(b""), None);
    }
}
