//! The local copy of states: a log-structured store for what memory has no room for, and a cache that spares a restart
//! most of the changelog.
//!
//! It is never trusted: every entry carries a checksum, every partition's copy says at which record of the changelog it
//! stands and what that record was, and whatever does not fit is thrown away, because the changelog has it all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use bytes::Bytes;
use fjall::config::{BlockSizePolicy, CompressionPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use prost::Message;

use super::overlay::Change;
use super::{StateError, Stored};

/// How entries and marks are laid out. Another number in a directory and it is thrown away.
const FORMAT: &str = "groundswell state 1\n";
const FORMAT_FILE: &str = "FORMAT";
/// Changed entries that a partition's store collects in memory before it sorts them into a file.
const WRITE_BUFFER_BYTES: u64 = 4 << 20;
/// Its journal is cut off by then; the store's own minimum.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Entries are read one by one: a block is what one of them costs.
const BLOCK_BYTES: u32 = 4 << 10;
const CHECKSUM_BYTES: usize = 4;
/// No entry has this key: kinds begin with 0 to 228.
const MARK_KEY: &[u8] = &[0xff];

/// The local copies of a stage's states: one directory, one process.
pub struct Local {
    database: Database,
    directory: PathBuf,
}

/// Where a copy stands: at a record of its changelog, which is still the same one.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Mark {
    #[prost(int64, tag = "1")]
    pub offset: i64,
    #[prost(int64, tag = "2")]
    pub timestamp_ms: i64,
    /// Checksum of the record's key and value.
    #[prost(fixed32, tag = "3")]
    pub checksum: u32,
    /// When the mark was set: deletions older than the changelog remembers could be missing from what comes after it.
    #[prost(int64, tag = "4")]
    pub set_ms: i64,
}

/// One partition's copy.
pub struct Copy {
    database: Database,
    entries: Keyspace,
    /// What falls due later than memory has room for. Derived from the entries, and emptied when the copy is opened.
    due: Keyspace,
}

impl Local {
    /// Opens the copies, and says why they were thrown away if they were. `cache_bytes` bounds the blocks kept in memory.
    pub fn open(directory: &Path, cache_bytes: u64) -> Result<(Local, Option<String>), StateError> {
        let cannot = |e: io::Error| StateError::Directory(format!("state directory {}: {e}", directory.display()));
        fs::create_dir_all(directory).map_err(cannot)?;
        let store = directory.join("store");
        let mut discarded = None;
        let there = store.exists();
        if there && fs::read_to_string(directory.join(FORMAT_FILE)).ok().as_deref() != Some(FORMAT) {
            discarded = Some("written in another format".to_owned());
        }
        if discarded.is_none() {
            match open_store(&store, cache_bytes) {
                Ok(database) => {
                    fs::write(directory.join(FORMAT_FILE), FORMAT).map_err(cannot)?;
                    return Ok((Local { database, directory: directory.to_owned() }, None));
                }
                Err(Unopened::Locked) => {
                    let why = format!("state directory {} is in use by another process", directory.display());
                    return Err(StateError::Directory(why));
                }
                Err(Unopened::Damaged(why)) => discarded = Some(why),
            }
        }
        if there {
            fs::remove_dir_all(&store).map_err(cannot)?;
        }
        fs::write(directory.join(FORMAT_FILE), FORMAT).map_err(cannot)?;
        let database = open_store(&store, cache_bytes).map_err(|e| {
            StateError::Directory(format!("state directory {} cannot be used: {e}", directory.display()))
        })?;
        Ok((Local { database, directory: directory.to_owned() }, discarded.filter(|_| there)))
    }

    /// The copy of a partition, made if it is not there.
    pub fn copy(&self, name: &str) -> Result<Copy, StateError> {
        let open = |name: &str| {
            let options = || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(WRITE_BUFFER_BYTES)
                    .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
                    .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
                    // One flush to the system a batch, not a change.
                    .manual_journal_persist(true)
            };
            unpanicked(|| self.database.keyspace(name, options)).map_err(StateError::Damaged)
        };
        let copy = Copy { database: self.database.clone(), entries: open(name)?, due: open(&format!("{name}#due"))? };
        copy.due.clear().map_err(damaged)?;
        Ok(copy)
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

enum Unopened {
    Locked,
    Damaged(String),
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unopened::Locked => "in use by another process",
            Unopened::Damaged(why) => why,
        })
    }
}

fn open_store(path: &Path, cache_bytes: u64) -> Result<Database, Unopened> {
    let opened = catch_unwind(|| {
        Database::builder(path)
            .cache_size(cache_bytes)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .manual_journal_persist(true)
            .open()
    });
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(fjall::Error::Locked)) => Err(Unopened::Locked),
        Ok(Err(error)) => Err(Unopened::Damaged(error.to_string())),
        Err(_) => Err(Unopened::Damaged("the store panicked when it was opened".into())),
    }
}

/// The store asserts what a damaged file may break; a panic of it is one more way to say so.
fn unpanicked<T>(what: impl FnOnce() -> fjall::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(what)) {
        Ok(done) => done.map_err(|e| e.to_string()),
        Err(_) => Err("the store panicked".into()),
    }
}

fn damaged(error: impl fmt::Display) -> StateError {
    StateError::Damaged(error.to_string())
}

impl Copy {
    pub fn get(&self, key: &[u8]) -> Result<Option<Stored>, StateError> {
        let Some(bytes) = self.entries.get(key).map_err(damaged)? else { return Ok(None) };
        unsealed(key, bytes.into()).map(Some)
    }

    /// Writes these changes as one: all of them, or after a crash none.
    pub fn write(&self, changes: impl IntoIterator<Item = Change>) -> Result<(), StateError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in changes {
            match value {
                Some(value) => {
                    let sealed = sealed(&key, value.bytes());
                    batch.insert(&self.entries, key, sealed);
                }
                None => batch.remove(&self.entries, key),
            }
        }
        batch.commit().map_err(damaged)
    }

    /// Everything in the order of the keys, each checked; ends at the first that is damaged.
    pub fn scan(&self, mut each: impl FnMut(Bytes, Stored)) -> Result<(), StateError> {
        let scan = AssertUnwindSafe(|| -> Result<(), StateError> {
            for entry in self.entries.iter() {
                let (key, bytes) = entry.into_inner().map_err(damaged)?;
                if &*key != MARK_KEY {
                    let stored = unsealed(&key, bytes.into())?;
                    each(key.into(), stored);
                }
            }
            Ok(())
        });
        catch_unwind(scan).unwrap_or_else(|_| Err(StateError::Damaged("the store panicked".into())))
    }

    /// True where nothing was ever written.
    pub fn is_empty(&self) -> Result<bool, StateError> {
        unpanicked(|| self.entries.is_empty()).map_err(StateError::Damaged)
    }

    pub fn mark(&self) -> Result<Option<Mark>, StateError> {
        let Some(bytes) = unpanicked(|| self.entries.get(MARK_KEY)).map_err(StateError::Damaged)? else {
            return Ok(None);
        };
        let payload = checked(MARK_KEY, bytes.into())?;
        Mark::decode(payload).map(Some).map_err(damaged)
    }

    pub fn set_mark(&self, mark: Mark) -> Result<(), StateError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        let sealed = sealed(MARK_KEY, &mark.encode_to_vec());
        batch.insert(&self.entries, MARK_KEY, sealed);
        batch.commit().map_err(damaged)
    }

    /// Throws everything away.
    pub fn clear(&self) -> Result<(), StateError> {
        self.entries.clear().map_err(damaged)?;
        self.due.clear().map_err(damaged)
    }

    pub fn bytes(&self) -> u64 {
        self.entries.disk_space() + self.due.disk_space()
    }

    pub(super) fn due(&self) -> DueRows {
        DueRows { database: self.database.clone(), rows: self.due.clone() }
    }
}

/// Keys in the order in which they fall due, for what memory has no room for.
pub(super) struct DueRows {
    database: Database,
    rows: Keyspace,
}

impl DueRows {
    pub fn insert(&self, items: impl IntoIterator<Item = (u8, i64, Bytes)>) -> Result<(), StateError> {
        let mut batch = self.database.batch();
        for (queue, due_ms, key) in items {
            batch.insert(&self.rows, due_row(queue, due_ms, &key), Bytes::new());
        }
        batch.commit().map_err(damaged)
    }

    /// Takes out the first rows of a queue, at most so many.
    pub fn take(&self, queue: u8, most: usize) -> Result<Vec<(i64, Bytes)>, StateError> {
        let mut taken = Vec::new();
        let mut batch = self.database.batch();
        for row in self.rows.prefix([queue]).take(most) {
            let row = row.key().map_err(damaged)?;
            let (due_ms, key) = read_due_row(&row).ok_or_else(|| damaged("a row of what falls due is too short"))?;
            taken.push((due_ms, key));
            batch.remove(&self.rows, row);
        }
        batch.commit().map_err(damaged)?;
        Ok(taken)
    }
}

fn due_row(queue: u8, due_ms: i64, key: &[u8]) -> Bytes {
    let mut row = Vec::with_capacity(9 + key.len());
    row.push(queue);
    row.extend_from_slice(&(due_ms.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    row.extend_from_slice(key);
    row.into()
}

fn read_due_row(row: &[u8]) -> Option<(i64, Bytes)> {
    let due: [u8; 8] = row.get(1..9)?.try_into().ok()?;
    let due_ms = (u64::from_be_bytes(due) ^ (1 << 63)).cast_signed();
    Some((due_ms, Bytes::copy_from_slice(&row[9..])))
}

/// Checksum of a key and its value.
pub fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(key.len() as u32).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

fn sealed(key: &[u8], value: &[u8]) -> Bytes {
    let mut sealed = Vec::with_capacity(value.len() + CHECKSUM_BYTES);
    sealed.extend_from_slice(value);
    sealed.extend_from_slice(&checksum(key, value).to_le_bytes());
    sealed.into()
}

fn checked(key: &[u8], sealed: Bytes) -> Result<Bytes, StateError> {
    let wrong = || damaged(format!("the checksum of an entry of {} bytes is wrong", sealed.len()));
    let at = sealed.len().checked_sub(CHECKSUM_BYTES).ok_or_else(wrong)?;
    let value = sealed.slice(..at);
    if sealed[at..] == checksum(key, &value).to_le_bytes() { Ok(value) } else { Err(wrong()) }
}

fn unsealed(key: &[u8], sealed: Bytes) -> Result<Stored, StateError> {
    Stored::parse(checked(key, sealed)?).ok_or_else(|| damaged("an entry is none"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::folder;
    use super::*;

    fn entry(n: u32) -> Change {
        let value = fastrand::Rng::with_seed(u64::from(n)).u64(..).to_le_bytes().repeat(100);
        (Bytes::copy_from_slice(&n.to_be_bytes()), Some(Stored::new(1, None, &value)))
    }

    fn open(folder: &Path) -> (Local, Option<String>) {
        Local::open(folder, 1 << 20).expect("a directory")
    }

    /// More than one write buffer holds, so that files of both sorts are there.
    fn filled(folder: &Path) {
        let (local, _) = open(folder);
        let copy = local.copy("a").expect("a copy");
        for from in (0..8_000).step_by(1_000) {
            copy.write((from..from + 1_000).map(entry)).expect("a sound disk");
        }
        copy.set_mark(Mark { offset: 7, ..Mark::default() }).expect("a sound disk");
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
        }
        found.sort();
        found
    }

    /// The copy as it was, or the news that it is damaged; never something else.
    fn judge(folder: &Path, what: &str) {
        let (local, discarded) = open(folder);
        let copy = match local.copy("a") {
            Ok(copy) => copy,
            Err(error) => return assert!(matches!(error, StateError::Damaged(_)), "{what}: {error}"),
        };
        let mut count = 0;
        let scanned = copy.scan(|key, stored| {
            let n = u32::from_be_bytes((&*key).try_into().expect("a key"));
            assert_eq!(Some(stored), entry(n).1, "{what}");
            count += 1;
        });
        match (scanned, copy.mark()) {
            (Err(StateError::Damaged(_)), _) | (_, Err(StateError::Damaged(_))) => {}
            // What a torn journal has lost is not marked as there.
            (Ok(()), Ok(None)) => {}
            (Ok(()), Ok(Some(mark))) => assert_eq!((discarded, mark.offset, count), (None, 7, 8_000), "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }

    #[test]
    fn what_was_written_is_there_when_it_is_opened_again() {
        let folder = folder();
        filled(folder.path());
        let (local, discarded) = open(folder.path());
        assert_eq!(discarded, None);
        let copy = local.copy("a").expect("a copy");
        assert_eq!(copy.get(&3u32.to_be_bytes()), Ok(entry(3).1));
        assert_eq!(copy.mark().map(|mark| mark.map(|mark| mark.offset)), Ok(Some(7)));
        copy.clear().expect("a sound disk");
        assert_eq!((copy.is_empty(), copy.mark()), (Ok(true), Ok(None)));
    }

    #[test]
    fn a_damaged_copy_is_never_believed() {
        let whole = folder();
        filled(whole.path());
        let names: Vec<PathBuf> = files(whole.path());
        assert!(names.iter().any(|name| name.to_string_lossy().contains("tables")), "{names:?}");
        let mut rng = fastrand::Rng::with_seed(7);
        for name in &names {
            for damage in ["flipped", "cut off", "gone"] {
                let folder = folder();
                for from in &names {
                    let to = folder.path().join(from.strip_prefix(whole.path()).expect("a path below"));
                    fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
                    fs::copy(from, to).expect("a copy");
                }
                let path = folder.path().join(name.strip_prefix(whole.path()).expect("a path below"));
                let mut bytes = fs::read(&path).expect("a file");
                let at = rng.usize(..bytes.len().max(1));
                match damage {
                    "flipped" if bytes.is_empty() => continue,
                    "flipped" => bytes[at] ^= 0x10,
                    "cut off" => bytes.truncate(at),
                    _ => {}
                }
                if damage == "gone" { fs::remove_file(&path) } else { fs::write(&path, &bytes) }.expect("a file");
                judge(folder.path(), &format!("{} {damage} at {at}", name.display()));
            }
        }
    }

    #[test]
    fn another_format_is_thrown_away() {
        let folder = folder();
        filled(folder.path());
        fs::write(folder.path().join(FORMAT_FILE), "groundswell state 0\n").expect("a file");
        let (local, discarded) = open(folder.path());
        assert_eq!(discarded.as_deref(), Some("written in another format"));
        assert_eq!(local.copy("a").expect("a copy").is_empty(), Ok(true));
        drop(local);
        assert_eq!(open(folder.path()).1, None, "once");
    }

    #[test]
    fn a_directory_belongs_to_one_process() {
        let folder = folder();
        let _first = open(folder.path());
        let second = Local::open(folder.path(), 1 << 20).err().map(|error| error.to_string());
        assert!(second.is_some_and(|why| why.contains("in use by another process")));
    }
}
