//! The one header that a path and a size have.

use super::limits::LimitError;

/// Bytes of a header and of the unit that content is padded to.
pub(super) const BLOCK: usize = 512;
/// Zero blocks at the end.
pub(super) const END_BLOCKS: usize = 2;

const NAME_BYTES: usize = 100;
const PREFIX_BYTES: usize = 155;

/// Fields of a ustar header: what they are called and where they end. Each begins where the one before ends.
pub(super) const FIELDS: &[(&str, usize)] = &[
    ("name", 100),
    ("mode", 108),
    ("uid", 116),
    ("gid", 124),
    ("size", 136),
    ("mtime", 148),
    ("checksum", 156),
    ("type", 157),
    ("link name", 257),
    ("magic", 263),
    ("magic version", 265),
    ("user name", 297),
    ("group name", 329),
    ("device major", 337),
    ("device minor", 345),
    ("prefix", 500),
    ("last bytes", BLOCK),
];

/// The canonical header of a file of `bytes` bytes at `path` (folder included).
///
/// # Errors
/// [`LimitError::Header`] when the path can not be split into a prefix of up to 155 bytes and a name of up to 100.
pub(super) fn canonical(path: &str, bytes: u64) -> Result<[u8; BLOCK], LimitError> {
    let (prefix, name) = split(path).ok_or_else(|| LimitError::Header { path: path.to_owned() })?;
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(bytes);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    let ustar = header.as_ustar_mut().expect("new_ustar makes a ustar header");
    ustar.name[..name.len()].copy_from_slice(name.as_bytes());
    ustar.prefix[..prefix.len()].copy_from_slice(prefix.as_bytes());
    header.set_cksum();
    Ok(*header.as_bytes())
}

/// A short path stays whole; of a long one the prefix takes as many whole folders as fit, as `tar` and GNU tar do.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= NAME_BYTES {
        return Some(("", path));
    }
    let (at, _) = path.match_indices('/').take_while(|(at, _)| *at <= PREFIX_BYTES).last()?;
    let (prefix, name) = (&path[..at], &path[at + 1..]);
    (name.len() <= NAME_BYTES).then_some((prefix, name))
}

/// Zeros between the end of content of `bytes` bytes and the next block.
pub(super) fn padding(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK) - bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_the_one_drawn_in_the_documentation() {
        let header = canonical("case-handling-1.4.0/brick.toml", 42).unwrap();
        let mut drawn = Vec::new();
        for (text, width) in [
            ("case-handling-1.4.0/brick.toml", 100),
            ("0000644\0", 8),
            ("0000000\0", 8),
            ("0000000\0", 8),
            ("00000000052\0", 12),
            ("00000000000\0", 12),
            ("0013064\0", 8),
            ("0", 1),
            ("", 100),
            ("ustar\x0000", 8),
            ("", 64),
            ("", 16),
            ("", 155),
            ("", 12),
        ] {
            drawn.extend_from_slice(text.as_bytes());
            drawn.resize(drawn.len() + width - text.len(), 0);
        }
        let sum: u32 =
            header[..148].iter().chain(&header[156..]).map(|b| u32::from(*b)).sum::<u32>() + 8 * 32;
        assert_eq!(&header[148..156], format!("{sum:07o}\0").as_bytes());
        assert_eq!(header.as_slice(), drawn);
    }

    #[test]
    fn a_long_path_is_split_as_the_tar_crate_splits_it() {
        for path in [
            format!("{}/{}", "a".repeat(100), "b".repeat(100)),
            format!("{}/{}", "a".repeat(155), "b".repeat(100)),
            format!("{}/{}/c", "a".repeat(90), "b".repeat(60)),
            format!("{}{}", "ab/".repeat(60), "c".repeat(20)),
            "a".repeat(100),
        ] {
            let mut theirs = tar::Header::new_ustar();
            theirs.set_path(&path).unwrap();
            let ours = canonical(&path, 0).unwrap();
            assert_eq!(ours[..100], theirs.as_bytes()[..100], "{path}");
            assert_eq!(ours[345..500], theirs.as_bytes()[345..500], "{path}");
        }
        for path in ["a".repeat(101), format!("{}/b", "a".repeat(156)), format!("a/{}", "b".repeat(101))] {
            assert!(canonical(&path, 0).is_err(), "{path}");
        }
    }

    #[test]
    fn the_fields_cover_the_header() {
        assert!(FIELDS.windows(2).all(|pair| pair[0].1 < pair[1].1));
        assert_eq!(FIELDS.last().unwrap().1, BLOCK);
    }
}
