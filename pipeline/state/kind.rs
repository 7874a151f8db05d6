//! Kinds of state, and how an entry is written: the same bytes in the changelog and in the local copy.

use bytes::{Buf, Bytes};

use super::made::Fresh;
use super::overlay::Change;

/// Ids up to this are a stage's own.
const ID_MAX: u8 = 100;
/// The part of a time to live to which it is rounded up: a hot key moves in the queue of what expires this often at most.
const ROUNDING: i64 = 64;
const HAS_DUE: u8 = 1;

/// A kind of state: its number in the changelog, its name in errors and metrics, the version of its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    id: u8,
    name: &'static str,
    version: u8,
    lifetime: Lifetime,
}

/// What ends an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// Nothing but its deletion.
    Forever,
    /// Stream time: so many milliseconds after its last put.
    Expires(i64),
    /// Stream time: it is handed to the stage when its due time has come.
    Fires,
}

impl Kind {
    /// `id` is 1 to 100 and never used again for something else. Version 1, kept for ever.
    pub const fn new(id: u8, name: &'static str) -> Kind {
        assert!(id >= 1 && id <= ID_MAX, "a kind's id is 1 to 100");
        Kind { id, name, version: 1, lifetime: Lifetime::Forever }
    }

    /// To be raised when older code could not read the value any more. A version that this program does not know yet
    /// stops the start.
    pub const fn version(self, version: u8) -> Kind {
        Kind { version, ..self }
    }

    /// An entry is gone once the stream time has reached its last put + `ttl_ms`, rounded up to a 64th of `ttl_ms`.
    pub const fn expires_after(self, ttl_ms: i64) -> Kind {
        assert!(ttl_ms > 0, "a time to live is above 0");
        Kind { lifetime: Lifetime::Expires(ttl_ms), ..self }
    }

    /// An entry has a due time and is handed to the stage when the stream time has reached it.
    pub const fn fires(self) -> Kind {
        Kind { lifetime: Lifetime::Fires, ..self }
    }

    pub const fn id(self) -> u8 {
        self.id
    }

    pub const fn name(self) -> &'static str {
        self.name
    }

    pub const fn newest_version(self) -> u8 {
        self.version
    }

    pub(super) fn lifetime(self) -> Lifetime {
        self.lifetime
    }

    /// When an entry put now is due. Before the first event there is no time to count from.
    pub(super) fn expiry(self, stream_time: i64) -> Option<i64> {
        let Lifetime::Expires(ttl_ms) = self.lifetime else { return None };
        if stream_time == i64::MIN {
            return None;
        }
        let quantum = (ttl_ms / ROUNDING).max(1);
        let exact = stream_time.saturating_add(ttl_ms);
        let into = exact.rem_euclid(quantum);
        Some(if into == 0 { exact } else { exact.saturating_add(quantum - into) })
    }
}

/// The kinds of a stage, by id.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    kinds: Vec<Kind>,
}

impl Kinds {
    /// Of two kinds with one id the first counts; `duplicate` tells.
    pub fn new(kinds: &[Kind]) -> Kinds {
        let mut kinds = kinds.to_vec();
        kinds.sort_by_key(|kind| kind.id);
        Kinds { kinds }
    }

    /// Two kinds that claim the same id.
    pub fn duplicate(&self) -> Option<(Kind, Kind)> {
        self.kinds.windows(2).find(|pair| pair[0].id == pair[1].id).map(|pair| (pair[0], pair[1]))
    }

    pub fn get(&self, id: u8) -> Option<Kind> {
        self.kinds.binary_search_by_key(&id, |kind| kind.id).ok().map(|at| self.kinds[at])
    }

    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Kind> + '_ {
        self.kinds.iter().copied()
    }
}

/// An entry as it is written: version, flags, due time if it has one, the stage's own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored(Bytes);

impl Stored {
    pub(super) fn new(version: u8, due_ms: Option<i64>, payload: &[u8]) -> Stored {
        let mut bytes = Vec::with_capacity(10 + payload.len());
        head(&mut bytes, version, due_ms);
        bytes.extend_from_slice(payload);
        Stored(bytes.into())
    }

    /// Several with their keys as one piece of memory, which is freed with the last of them.
    pub(super) fn all<'a>(entries: impl Iterator<Item = (&'a [u8], Option<&'a Fresh>)>) -> Vec<Change> {
        let mut bytes = Vec::new();
        let write = |(key, fresh): (&[u8], Option<&Fresh>)| {
            let from = bytes.len();
            bytes.extend_from_slice(key);
            let value = bytes.len();
            let fresh = fresh.map(|fresh| {
                head(&mut bytes, fresh.version, fresh.due_ms);
                fresh.value.write(&mut bytes);
            });
            (from..value, fresh.map(|()| value..bytes.len()))
        };
        let ranges: Vec<_> = entries.map(write).collect();
        let bytes = Bytes::from(bytes);
        let entry = |value| Stored(bytes.slice(value));
        ranges.into_iter().map(|(key, value)| (bytes.slice(key), value.map(entry))).collect()
    }

    /// In memory of its own.
    pub(super) fn apart(&self) -> Stored {
        Stored(Bytes::copy_from_slice(&self.0))
    }

    /// `None` where the bytes are no entry.
    pub fn parse(bytes: Bytes) -> Option<Stored> {
        match bytes.get(1)? {
            0 => Some(Stored(bytes)),
            &HAS_DUE if bytes.len() >= 10 => Some(Stored(bytes)),
            _ => None,
        }
    }

    pub fn version(&self) -> u8 {
        self.0[0]
    }

    pub fn due_ms(&self) -> Option<i64> {
        if self.0[1] & HAS_DUE == 0 {
            return None;
        }
        self.0[2..10].try_into().ok().map(i64::from_be_bytes)
    }

    pub fn payload(&self) -> Bytes {
        self.clone().into_payload()
    }

    pub fn into_payload(self) -> Bytes {
        let mut bytes = self.0;
        bytes.advance(if bytes[1] & HAS_DUE == 0 { 2 } else { 10 });
        bytes
    }

    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

fn head(bytes: &mut Vec<u8>, version: u8, due_ms: Option<i64>) {
    bytes.push(version);
    bytes.push(if due_ms.is_some() { HAS_DUE } else { 0 });
    if let Some(due_ms) = due_ms {
        bytes.extend_from_slice(&due_ms.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_as_it_was_written() {
        for due in [None, Some(0), Some(-5), Some(i64::MAX)] {
            let stored = Stored::new(3, due, b"abc");
            let read = Stored::parse(stored.bytes().clone()).expect("an entry");
            assert_eq!((read.version(), read.due_ms(), read.payload()), (3, due, Bytes::from_static(b"abc")));
        }
        for bytes in [&b""[..], b"\x01", b"\x01\x02", b"\x01\x01\x00"] {
            assert_eq!(Stored::parse(Bytes::copy_from_slice(bytes)), None, "{bytes:?}");
        }
    }

    #[test]
    fn an_expiry_is_rounded_up_by_a_64th_at_most() {
        let kind = Kind::new(1, "a").expires_after(6_400);
        assert_eq!(kind.expiry(0), Some(6_400));
        assert_eq!(kind.expiry(1), Some(6_500));
        assert_eq!(kind.expiry(99), Some(6_500));
        assert_eq!(kind.expiry(-1), Some(6_400));
        assert_eq!(kind.expiry(i64::MIN), None);
        assert_eq!(Kind::new(1, "a").expires_after(5).expiry(7), Some(12), "short ones are exact");
    }
}
