//! Where on the web? Addresses in files and entries: checked for form, never followed here.

use crate::newtype::string_newtype;
use crate::text::TextError;

/// Bytes in an address, at most.
pub const MAX_URL_BYTES: usize = 2_048;

/// An `https://` address: ASCII, no user, no spaces, quotes or controls, at most 2,048 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url(String);

impl Url {
    /// Parses an `https://` address.
    ///
    /// # Errors
    /// [`TextError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        check("address", text, &["https://"])?;
        Ok(Self(text.to_owned()))
    }
}

string_newtype!(Url, TextError, MAX_URL_BYTES, r"^https://[!-~]+$", "An https address");

/// Where a registry answers: as [`Url`], but `http://` too, for loopback and for networks of one's own.
///
/// What comes over it is checked by signatures, so plain HTTP costs privacy and not integrity.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryUrl(String);

impl RegistryUrl {
    /// Parses an `https://` or `http://` address without a query or a fragment.
    ///
    /// # Errors
    /// [`TextError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        const WHAT: &str = "registry address";
        check(WHAT, text, &["https://", "http://"])?;
        if text.contains(['?', '#']) {
            return Err(TextError::new(WHAT, text, "a registry's address has no `?` and no `#`"));
        }
        Ok(Self(text.to_owned()))
    }
}

string_newtype!(
    RegistryUrl,
    TextError,
    MAX_URL_BYTES,
    r"^https?://[!-~]+$",
    "Where a registry answers: an https or http address"
);

fn check(what: &'static str, text: &str, schemes: &[&str]) -> Result<(), TextError> {
    let bad = |rule: &str| Err(TextError::new(what, text, rule));
    if text.len() > MAX_URL_BYTES {
        return bad("it has more than 2,048 bytes");
    }
    let Some(rest) = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
        return bad(&format!("it must begin with `{}`", schemes.join("` or `")));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return bad("it must not hold a user or a password");
    }
    if !is_authority(authority) {
        return bad("the host is a DNS name or an IP address, with a port if need be");
    }
    let visible =
        |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{'..=b'}');
    if !rest.bytes().all(visible) {
        return bad("spaces, quotes and characters outside ASCII must be percent-encoded");
    }
    Ok(())
}

/// `host` or `host:port`, where host is a DNS name, an IPv4 address, or an IPv6 address in brackets.
fn is_authority(authority: &str) -> bool {
    let (host_ok, port) = if let Some(rest) = authority.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else { return false };
        (host.parse::<std::net::Ipv6Addr>().is_ok(), port)
    } else {
        let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        let label = |l: &str| {
            !l.is_empty()
                && l.len() <= 63
                && !l.starts_with('-')
                && !l.ends_with('-')
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        (host.len() <= 253 && host.split('.').all(label), port)
    };
    let port_ok = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
    };
    host_ok && port_ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_are_kept_as_written() {
        for text in [
            "https://northshire.gov.uk",
            "https://a.example:8443/x?y=1#z",
            "https://192.0.2.1/",
            "https://[::1]:1/",
        ] {
            assert_eq!(Url::parse(text).unwrap().as_str(), text);
        }
        for text in ["http://127.0.0.1:4873", "http://localhost:1/", "https://registry.example/base/"] {
            assert_eq!(RegistryUrl::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_broken_address_is_refused_by_its_rule() {
        for (text, says) in [
            ("http://a.example", "begin with `https://`"),
            ("javascript:alert(1)", "begin with"),
            ("https://", "host is"),
            ("https:///x", "host is"),
            ("https://user:pw@a.example", "user or a password"),
            ("https://a..example", "host is"),
            ("https://-a.example", "host is"),
            ("https://a.example:99999", "host is"),
            ("https://a.example:+1", "host is"),
            ("https://[::1", "host is"),
            ("https://bücher.example", "host is"),
            ("https://a.example/ x", "percent-encoded"),
            ("https://a.example/\"x", "percent-encoded"),
            ("https://a.example/\u{202e}", "percent-encoded"),
        ] {
            let error = Url::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(Url::parse(&format!("https://a.example/{}", "x".repeat(2_048))).is_err());
        assert!(RegistryUrl::parse("https://a.example/?x").is_err());
    }
}
