//! What a stage sees of its state: values under keys of bytes, and typed tables over them.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use prost::DecodeError;

use super::{Held, Kind, Made};

/// What a stage remembers, to be read.
pub trait ReadTables {
    /// The partition's clock: the highest event time seen by [`Tables::advance`], less grace. `i64::MIN` before the first
    /// event.
    fn stream_time(&self) -> i64;

    fn get(&mut self, kind: Kind, key: &[u8]) -> Option<Held>;

    /// Something that must end the process, such as a value that cannot be read: nothing of this record is committed.
    fn fail(&mut self, why: String);
}

/// What a stage remembers, as one record sees it. Reads see what earlier records wrote. `observe` and `conclude` each
/// have their own: what one writes the other cannot see, even under the same kind and key.
pub trait Tables: ReadTables {
    /// Moves the clock on, never back, and says whether the event is late. To be called first for each record. In
    /// `conclude` the clock is that of the record when it was observed, and stays.
    fn advance(&mut self, event_ms: i64) -> Arrival;

    /// The next entry of a firing kind whose time has come, in the order of due time, kind and key; it has been removed.
    /// At most [`super::DUE_PER_RECORD_MAX`] a record: the rest comes with the records that follow.
    fn next_due(&mut self) -> Option<Due>;

    /// As `get`, where a put of the same key follows: what is taken need not be copied.
    fn take(&mut self, kind: Kind, key: &[u8]) -> Option<Held> {
        self.get(kind, key)
    }

    fn put(&mut self, kind: Kind, key: &[u8], value: Arc<dyn Made>);

    /// For kinds that fire: replaces value and due time.
    fn put_until(&mut self, kind: Kind, key: &[u8], value: Arc<dyn Made>, due_ms: i64);

    fn delete(&mut self, kind: Kind, key: &[u8]);
}

/// A written value, with the version of the encoding in which it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub version: u8,
    pub bytes: Bytes,
}

/// An entry whose time has come.
#[derive(Clone)]
pub struct Due {
    /// The kind's id.
    pub kind: u8,
    pub key: Bytes,
    pub value: Held,
    pub due_ms: i64,
}

/// How an event stands to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    OnTime,
    /// Older than the clock, which is behind the highest event time by the grace already.
    Late {
        by_ms: i64,
    },
}

/// What a table's keys are made of. Keys of one type stand in the same order as their bytes.
pub trait Key {
    type Owned;
    fn write(&self, into: &mut Vec<u8>);
    /// `None` where the bytes are no such key.
    fn read(bytes: &[u8]) -> Option<Self::Owned>;
}

/// Reads a value of the version given, an older one than the kind's.
pub type Upgrade<V> = fn(u8, &[u8]) -> Result<V, DecodeError>;

/// A kind of state with types: keys as bytes, values as Protobuf messages.
#[derive(Debug)]
pub struct Table<K: ?Sized, V> {
    kind: Kind,
    upgrade: Option<Upgrade<V>>,
    key: PhantomData<fn(&K)>,
}

impl<K: Key + ?Sized, V: prost::Message + Default + Clone + 'static> Table<K, V> {
    pub const fn new(kind: Kind) -> Self {
        Self { kind, upgrade: None, key: PhantomData }
    }

    /// Reads values of older versions. Without it they are read like new ones, as Protobuf allows where fields were added.
    pub const fn upgrading(self, upgrade: Upgrade<V>) -> Self {
        Self { upgrade: Some(upgrade), ..self }
    }

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    pub fn get(&self, tables: &mut (impl ReadTables + ?Sized), key: &K) -> Option<V> {
        let held = with_bytes(key, |key| tables.get(self.kind, key))?;
        self.read(tables, held)
    }

    /// As `get`, for a record that puts the key again: spares it a copy of what was not put since it was committed.
    pub fn take(&self, tables: &mut (impl Tables + ?Sized), key: &K) -> Option<V> {
        let held = with_bytes(key, |key| tables.take(self.kind, key))?;
        self.read(tables, held)
    }

    /// Whether there is something under the key, without reading it.
    pub fn contains(&self, tables: &mut (impl ReadTables + ?Sized), key: &K) -> bool {
        with_bytes(key, |key| tables.get(self.kind, key)).is_some()
    }

    pub fn put(&self, tables: &mut (impl Tables + ?Sized), key: &K, value: V) {
        with_bytes(key, |key| tables.put(self.kind, key, Arc::new(value)));
    }

    /// For kinds that fire.
    pub fn put_until(&self, tables: &mut (impl Tables + ?Sized), key: &K, value: V, due_ms: i64) {
        with_bytes(key, |key| tables.put_until(self.kind, key, Arc::new(value), due_ms));
    }

    pub fn delete(&self, tables: &mut (impl Tables + ?Sized), key: &K) {
        with_bytes(key, |key| tables.delete(self.kind, key));
    }

    /// Key and value of something that fell due; `None` if it is of another kind.
    pub fn due(&self, tables: &mut (impl Tables + ?Sized), due: &Due) -> Option<(K::Owned, V)> {
        if due.kind != self.kind.id() {
            return None;
        }
        let Some(key) = K::read(&due.key) else {
            tables.fail(format!("a key of state kind {} is not of its type", self.kind.name()));
            return None;
        };
        self.read(tables, due.value.clone()).map(|value| (key, value))
    }

    fn read(&self, tables: &mut (impl ReadTables + ?Sized), held: Held) -> Option<V> {
        let made = match held {
            Held::Written(value) => return self.decode(tables, value),
            Held::Made(made) => made,
        };
        // Put as another type of the same kind.
        if !made.is::<V>() {
            let bytes = made.written().into();
            return self.decode(tables, Value { version: self.kind.newest_version(), bytes });
        }
        made.as_any().downcast::<V>().map(Arc::unwrap_or_clone).ok()
    }

    fn decode(&self, tables: &mut (impl ReadTables + ?Sized), Value { version, bytes }: Value) -> Option<V> {
        let decoded = match self.upgrade {
            Some(upgrade) if version != self.kind.newest_version() => upgrade(version, &bytes),
            // Fields of bytes are parts of these, without a copy.
            _ => V::decode(bytes),
        };
        let name = self.kind.name();
        decoded.map_err(|e| tables.fail(format!("a value of state kind {name}, version {version}: {e}"))).ok()
    }
}

/// A record asks several times: the memory for its keys is kept.
fn with_bytes<K: Key + ?Sized, R>(key: &K, act: impl FnOnce(&[u8]) -> R) -> R {
    thread_local! {
        static BYTES: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let mut bytes = BYTES.take();
    bytes.clear();
    key.write(&mut bytes);
    let done = act(&bytes);
    BYTES.set(bytes);
    done
}

fn bytes_of<K: Key + ?Sized>(key: &K) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    key.write(&mut bytes);
    bytes
}

impl Key for [u8] {
    type Owned = Vec<u8>;

    fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self);
    }

    fn read(bytes: &[u8]) -> Option<Vec<u8>> {
        Some(bytes.to_vec())
    }
}

impl Key for str {
    type Owned = String;

    fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<String> {
        String::from_utf8(bytes.to_vec()).ok()
    }
}

impl Key for String {
    type Owned = String;

    fn write(&self, into: &mut Vec<u8>) {
        self.as_str().write(into);
    }

    fn read(bytes: &[u8]) -> Option<String> {
        str::read(bytes)
    }
}

impl Key for u32 {
    type Owned = u32;

    fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<u32> {
        bytes.try_into().ok().map(u32::from_be_bytes)
    }
}

impl Key for u64 {
    type Owned = u64;

    fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<u64> {
        bytes.try_into().ok().map(u64::from_be_bytes)
    }
}

impl Key for i64 {
    type Owned = i64;

    /// With the sign turned, so that negative numbers stand first.
    fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&(self.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<i64> {
        bytes.try_into().ok().map(|bytes| (u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed())
    }
}

/// The first part is closed by two zero bytes, with each zero byte inside it followed by 255, so that no pair of one
/// first part stands among those of another.
impl<A: Key, B: Key> Key for (A, B) {
    type Owned = (A::Owned, B::Owned);

    fn write(&self, into: &mut Vec<u8>) {
        for byte in bytes_of(&self.0) {
            into.push(byte);
            if byte == 0 {
                into.push(255);
            }
        }
        into.extend_from_slice(&[0, 0]);
        self.1.write(into);
    }

    fn read(bytes: &[u8]) -> Option<Self::Owned> {
        let mut first = Vec::new();
        let mut at = 0;
        loop {
            match (bytes.get(at)?, bytes.get(at + 1)) {
                (0, Some(0)) => break,
                (0, Some(255)) => {
                    first.push(0);
                    at += 2;
                }
                (0, _) => return None,
                (byte, _) => {
                    first.push(*byte);
                    at += 1;
                }
            }
        }
        Some((A::read(&first)?, B::read(&bytes[at + 2..])?))
    }
}

impl<T: ReadTables + ?Sized> ReadTables for &mut T {
    fn stream_time(&self) -> i64 {
        (**self).stream_time()
    }

    fn get(&mut self, kind: Kind, key: &[u8]) -> Option<Held> {
        (**self).get(kind, key)
    }

    fn fail(&mut self, why: String) {
        (**self).fail(why);
    }
}

impl<T: Tables + ?Sized> Tables for &mut T {
    fn advance(&mut self, event_ms: i64) -> Arrival {
        (**self).advance(event_ms)
    }

    fn next_due(&mut self) -> Option<Due> {
        (**self).next_due()
    }

    fn take(&mut self, kind: Kind, key: &[u8]) -> Option<Held> {
        (**self).take(kind, key)
    }

    fn put(&mut self, kind: Kind, key: &[u8], value: Arc<dyn Made>) {
        (**self).put(kind, key, value);
    }

    fn put_until(&mut self, kind: Kind, key: &[u8], value: Arc<dyn Made>, due_ms: i64) {
        (**self).put_until(kind, key, value, due_ms);
    }

    fn delete(&mut self, kind: Kind, key: &[u8]) {
        (**self).delete(kind, key);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written<K: Key + ?Sized>(key: &K) -> Vec<u8> {
        bytes_of(key)
    }

    proptest! {
        #[test]
        fn keys_read_as_written_and_stand_in_order(
            a in (any::<String>(), any::<i64>()),
            b in (any::<String>(), any::<i64>()),
        ) {
            prop_assert_eq!(<(String, i64)>::read(&written(&a)), Some(a.clone()));
            prop_assert_eq!(written(&a).cmp(&written(&b)), a.cmp(&b));
            prop_assert_eq!(written(&a.1).cmp(&written(&b.1)), a.1.cmp(&b.1));
            let numbers = (a.1.cast_unsigned(), 7u32);
            prop_assert_eq!(<(u64, u32)>::read(&written(&numbers)), Some(numbers));
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(255u8), any::<u8>()], 0..20)) {
            let _ = <(String, u64)>::read(&bytes);
            let _ = <(u32, String)>::read(&bytes);
        }
    }
}
