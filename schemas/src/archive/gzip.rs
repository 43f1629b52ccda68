//! The gzip frame around the tar stream.

use flate2::{Compression, Crc, Decompress, FlushDecompress, Status};

use super::limits::{LimitError, Limits};

/// Deflate, no flags, time 0, "best compression", unknown system: the only header there is.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff];
/// CRC-32 and length.
const TRAILER_BYTES: usize = 8;
/// Bytes inflated between two looks at the bounds.
const STEP_BYTES: usize = 64 << 10;

/// Why bytes are not the one gzip member that an archive is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GzipError {
    /// Does not begin like gzip.
    #[error("it is not a gzip file")]
    Magic,
    /// Gzip, but a time, a name, another flag, level or system in the header.
    #[error(
        "its gzip header has byte {found:#04x} at {at}, not {wanted:#04x}: no time, name or other field is allowed"
    )]
    Header {
        /// Offset of the first other byte.
        at: usize,
        /// What is there.
        found: u8,
        /// What must be there.
        wanted: u8,
    },
    /// Ends early.
    #[error("its gzip stream is cut off")]
    Truncated,
    /// Not a deflate stream.
    #[error("its deflate stream is broken")]
    Deflate,
    /// CRC-32 or length of the trailer is not that of the data.
    #[error("its gzip checksum is wrong")]
    Checksum,
    /// A second gzip member.
    #[error("a second gzip member follows the first")]
    SecondMember,
    /// Something else after the end.
    #[error("{bytes} bytes follow the gzip stream")]
    TrailingData {
        /// How many.
        bytes: usize,
    },
    /// Too much comes out.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

/// Compresses at the highest level in one piece, which gives the same bytes on every machine.
pub(super) fn deflate(tar: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    const WHY: &str = "writing to memory does not fail";
    let mut encoder =
        flate2::GzBuilder::new().mtime(0).operating_system(HEADER[9]).write(Vec::new(), Compression::best());
    encoder.write_all(tar).expect(WHY);
    encoder.finish().expect(WHY)
}

/// Inflates the one member that `archive` is, stopping at the first byte over `limits`.
///
/// Allocates no more than comes out, whatever the trailer says.
///
/// # Errors
/// [`GzipError`] names what is wrong with the frame, or the bound.
pub(super) fn inflate(archive: &[u8], limits: &Limits) -> Result<Vec<u8>, GzipError> {
    if !archive.starts_with(&HEADER[..2]) {
        return Err(GzipError::Magic);
    }
    for (at, wanted) in HEADER.into_iter().enumerate() {
        let found = *archive.get(at).ok_or(GzipError::Truncated)?;
        if found != wanted {
            return Err(GzipError::Header { at, found, wanted });
        }
    }
    let bound = Bound::of(archive.len() as u64, limits);
    let mut input = &archive[HEADER.len()..];
    let mut inflater = Decompress::new(false);
    let mut step = vec![0; STEP_BYTES];
    let mut tar = Vec::new();
    let mut crc = Crc::new();
    loop {
        let (in_before, out_before) = (inflater.total_in(), inflater.total_out());
        let status =
            inflater.decompress(input, &mut step, FlushDecompress::None).map_err(|_| GzipError::Deflate)?;
        let taken = (inflater.total_in() - in_before) as usize;
        let made = (inflater.total_out() - out_before) as usize;
        input = &input[taken..];
        if inflater.total_out() > bound.bytes {
            return Err(bound.error.into());
        }
        crc.update(&step[..made]);
        tar.extend_from_slice(&step[..made]);
        if status == Status::StreamEnd {
            break;
        }
        if taken == 0 && made == 0 {
            return Err(GzipError::Truncated);
        }
    }
    let (trailer, rest) = input.split_at_checked(TRAILER_BYTES).ok_or(GzipError::Truncated)?;
    // The length fits: the tar stream is bounded far below 2^32.
    if trailer[..4] != crc.sum().to_le_bytes() || trailer[4..] != (tar.len() as u32).to_le_bytes() {
        return Err(GzipError::Checksum);
    }
    if rest.starts_with(&HEADER[..2]) {
        return Err(GzipError::SecondMember);
    }
    if !rest.is_empty() {
        return Err(GzipError::TrailingData { bytes: rest.len() });
    }
    Ok(tar)
}

/// Bytes that an archive of a given size may unpack to, and what it is over if it does not stop there.
pub(super) struct Bound {
    pub(super) bytes: u64,
    pub(super) error: LimitError,
}

impl Bound {
    pub(super) fn of(archive_bytes: u64, limits: &Limits) -> Self {
        let by_ratio = archive_bytes.saturating_mul(limits.ratio);
        if by_ratio < limits.unpacked_bytes {
            Self { bytes: by_ratio, error: LimitError::Ratio { max: limits.ratio } }
        } else {
            let max = limits.unpacked_bytes;
            Self { bytes: max, error: LimitError::UnpackedBytes { max } }
        }
    }
}
