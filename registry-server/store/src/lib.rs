//! Where entries, checkpoints, catalogue and blobs live, durably.
//!
//! A [`Store`] is one directory: `registry.sqlite3` (entries, tiles, checkpoints, the folded index), `blobs/` (files by
//! digest) and `lock`. It checks no signature and decides nothing about trust; it keeps what it is given, whole or not
//! at all, and hands it out as of the size that readers may see.
//!
//! ```text
//! DIR/                0700
//!   lock              held by the one process that has the store open
//!   registry.sqlite3  WAL, synchronous=FULL, read back at start
//!   blobs/ab/cdef…    a blob: the first two hexadecimal digits of its SHA-256, then the other 62
//!   blobs/tmp/        blobs being received; emptied at start
//!   blobs/rotten/     files whose bytes no longer match their name, kept for the operator
//! ```
//!
//! Writing: everything that one step of a log changes is one [`LogStep`]; [`Store::commit`] writes any number of steps
//! in one transaction, and its return is the only acknowledgement. What is derived from a log is versioned by log size,
//! so that readers can be shown the state as of `served_size` while newer leaves are stored; [`Store::set_served`]
//! moves that size and drops what nobody can ask for any more.

#![warn(missing_docs)]

mod apply;
mod asking;
mod backup;
mod blob;
mod blob_writer;
mod buckets;
mod catalogue;
mod commit;
mod compare;
mod cosignature;
mod crash_point;
mod evidence;
mod fault;
mod inspect;
mod log;
mod meta;
mod missing;
mod open;
#[cfg(test)]
mod plans;
mod salvage;
mod seal;
mod search;
mod served;
mod services;
mod step;
mod sweep;
mod sync;
mod tiles;
mod trouble;
mod witness;
mod writer;

pub use asking::Standing;
pub use backup::{BackedUp, BackupError, RESTORED, copy_store, restore_store};
pub use blob::BlobError;
pub use blob_writer::{BlobWriter, Keeping};
pub use buckets::MAX_NODES_PER_READ;
pub use catalogue::ReleaseRow;
pub use commit::CommitError;
pub use compare::{Derived, Difference, DifferenceKind, MAX_DIFFERENCES};
pub use cosignature::{CosignatureError, CosignatureRow, MAX_COSIGNATURES};
pub use crash_point::{CRASH_POINT_VARIABLE, CRASH_POINTS, CrashPointError, check_crash_point, crash_point};
pub use evidence::{Evidence, EvidenceError, MAX_EVIDENCE_BYTES, MAX_EVIDENCE_PER_LOG};
pub use fault::{Fault, ReadError, SqlError};
pub use inspect::{BlobFile, MAX_INTEGRITY_LINES, MAX_NAMED_PER_READ, NamedBlob, digest_of_file};
pub use log::{CreateLogError, Log, LogId};
pub use meta::MAX_META_BYTES;
pub use missing::{BlobUse, MAX_MISSING_PER_READ, MissingBlob};
pub use open::{MAX_READERS, OpenError, Store, StoreOptions};
pub use salvage::{SalvagedHead, SalvagedLog, SalvagedWitness, is_whole, replace_database};
pub use seal::BrokenSeal;
pub use search::{BrickRow, MAX_BRICKS_PER_READ};
pub use served::ServeError;
pub use services::ServiceState;
pub use step::{
    BlobRow, BucketNodeRow, FileRow, LeafKind, LeafRow, LineRow, LogStep, MAX_LEAF_BYTES, MAX_LOG_SIZE,
    MAX_STEPS, MAX_TILE_HASHES, ServiceRow, TileRow,
};
pub use sweep::Swept;
pub use sync::{MAX_WHY_BYTES, SEEN_STEP_SECONDS, SyncRow, SyncState};
pub use tiles::{Checkpoint, MAX_CHECKPOINTS_PER_READ, MAX_LEAVES_PER_READ};
pub use trouble::{Again, Reopened, Trouble, is_out_of_files};
pub use witness::{WitnessError, WitnessState};
