//! What stages remember, as it lies in changelogs and in local copies.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fastrand::Rng;
use groundswell::state::Stored;

use super::{Kafka, Outcome};

/// Makes a changelog whose segments are as small as the broker allows, so that compaction takes part.
pub fn create_changelog(kafka: &Kafka, name: &str, partitions: i32) -> Outcome<()> {
    let compacted = [("cleanup.policy", "compact"), ("segment.ms", "2000"), ("min.cleanable.dirty.ratio", "0.01")];
    kafka.create_topic(name, partitions, &compacted)
}

/// What a changelog's partition says: the last of each key.
pub fn remembered(kafka: &Kafka, changelog: &str, partition: i32) -> Outcome<BTreeMap<Bytes, Stored>> {
    let mut remembered = BTreeMap::new();
    for record in kafka.read_committed(changelog)? {
        if record.partition != Some(partition) {
            continue;
        }
        let key = Bytes::from(record.key.ok_or("a change without a key")?);
        match record.payload {
            Some(value) => remembered.insert(key, Stored::parse(value.into()).ok_or("a change that is no entry")?),
            None => remembered.remove(&key),
        };
    }
    Ok(remembered)
}

/// Does something to every file of an instance's local copies: `flip`, `cut` or `gone`.
pub fn damage(directory: &Path, how: &str, seed: u64) -> Outcome<()> {
    if how == "gone" {
        return Ok(fs::remove_dir_all(directory)?);
    }
    let mut rng = Rng::with_seed(seed);
    // Damaged, it would have the rest thrown away unread.
    for file in files(directory).into_iter().filter(|file| !file.ends_with("FORMAT")) {
        let mut bytes = fs::read(&file)?;
        let at = rng.usize(..bytes.len().max(1));
        match how {
            "flip" if !bytes.is_empty() => bytes[at] ^= 0x20,
            "cut" => bytes.truncate(at),
            _ => continue,
        }
        fs::write(&file, bytes)?;
    }
    Ok(())
}

/// All files below a folder, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A number that makes a run longer or repeats it.
pub fn from_env<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
