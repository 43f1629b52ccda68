//! Tile numbers as paths, with few files in any folder.

use crate::checkpoint::MAX_TREE_SIZE;
use crate::lines::decimal;

use super::TILE_WIDTH;

/// The highest number of a tile or bundle that can be named.
pub const MAX_TILE_INDEX: u64 = MAX_TREE_SIZE / TILE_WIDTH as u64 - 1;

/// Three digits for each thousand, all groups but the last marked: 5 is `005`, 1234067 is `x001/x234/067`.
///
/// Source: C2SP tlog-tiles v0.1.0.
pub fn encode_path_number(number: u64) -> String {
    let mut path = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest != 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

/// The number that [`encode_path_number`] would write as `path`; `None` if there is none up to [`MAX_TILE_INDEX`].
fn parse_path_number(path: &str) -> Option<u64> {
    let (marked, last) = path.rsplit_once('/').map_or((None, path), |(marked, last)| (Some(marked), last));
    let mut number: u64 = 0;
    for group in marked.into_iter().flat_map(|marked| marked.split('/')) {
        number = append_group(number, group.strip_prefix('x')?)?;
    }
    number = append_group(number, last)?;
    // Groups of zeros in front are the one other spelling left.
    (encode_path_number(number) == path).then_some(number)
}

fn append_group(number: u64, digits: &str) -> Option<u64> {
    if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = number.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    (number <= MAX_TILE_INDEX).then_some(number)
}

/// A tile's place and width as the end of its path; a full one does not say its width.
pub(super) fn place(index: u64, width: u16) -> String {
    let number = encode_path_number(index);
    if width == TILE_WIDTH { number } else { format!("{number}.p/{width}") }
}

/// The place and width that [`place`] would write as `path`.
pub(super) fn parse_place(path: &str) -> Option<(u64, u16)> {
    let Some((number, width)) = path.split_once(".p/") else {
        return Some((parse_path_number(path)?, TILE_WIDTH));
    };
    let width = decimal(width, u64::from(TILE_WIDTH) - 1).filter(|width| *width != 0)?;
    Some((parse_path_number(number)?, width as u16))
}
