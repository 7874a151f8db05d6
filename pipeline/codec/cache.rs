//! The writers' schemas by id. Decoding only reads here; whoever may do I/O fills it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::schema::WriterSchema;

/// Schemas known and ids known to be unknown. Both are bounded, each on its own, so that a flood of invented ids cannot
/// push out the schemas in use; the least recently used goes first and is fetched again when it is needed.
#[derive(Debug)]
pub struct Schemas {
    known: RwLock<HashMap<u32, Known>>,
    unknown: RwLock<HashMap<u32, Unknown>>,
    entries_max: usize,
    /// An id is asked for again after this long: a schema can be registered after its first record was written.
    unknown_for: Duration,
    clock: AtomicU64,
}

#[derive(Debug)]
struct Known {
    schema: Arc<WriterSchema>,
    used: AtomicU64,
}

#[derive(Debug)]
struct Unknown {
    why: Arc<str>,
    until: Instant,
}

impl Schemas {
    pub fn new(entries_max: usize, unknown_for: Duration) -> Self {
        Self {
            known: RwLock::default(),
            unknown: RwLock::default(),
            entries_max: entries_max.max(1),
            unknown_for,
            clock: AtomicU64::new(0),
        }
    }

    pub fn get(&self, id: u32) -> Option<Arc<WriterSchema>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get(&id)?;
        entry.used.store(self.tick(), Ordering::Relaxed);
        Some(entry.schema.clone())
    }

    pub fn insert(&self, id: u32, schema: Arc<WriterSchema>) {
        write(&self.unknown).remove(&id);
        let mut known = write(&self.known);
        if known.len() >= self.entries_max && !known.contains_key(&id) {
            let oldest = known.iter().min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed)).map(|(id, _)| *id);
            oldest.and_then(|id| known.remove(&id));
        }
        known.insert(id, Known { schema, used: AtomicU64::new(self.tick()) });
    }

    /// Why this id cannot be had, as long as it need not be asked for again.
    pub fn unknown(&self, id: u32, now: Instant) -> Option<Arc<str>> {
        let unknown = self.unknown.read().unwrap_or_else(PoisonError::into_inner);
        unknown.get(&id).filter(|entry| now < entry.until).map(|entry| entry.why.clone())
    }

    pub fn insert_unknown(&self, id: u32, why: impl Into<Arc<str>>, now: Instant) {
        let mut unknown = write(&self.unknown);
        if unknown.len() >= self.entries_max && !unknown.contains_key(&id) {
            let oldest = unknown.iter().min_by_key(|(_, entry)| entry.until).map(|(id, _)| *id);
            oldest.and_then(|id| unknown.remove(&id));
        }
        unknown.insert(id, Unknown { why: why.into(), until: now + self.unknown_for });
    }

    /// Schemas held, for the metric against the bound.
    pub fn len(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }
}

/// A map is whole between any two statements here, so a writer that panicked left nothing half done.
fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Arc<WriterSchema> {
        Arc::new(WriterSchema::compile("syntax = \"proto3\"; message M {}", HashMap::new()).unwrap())
    }

    #[test]
    fn the_least_recently_used_schema_goes_first() {
        let schemas = Schemas::new(2, Duration::from_secs(1));
        schemas.insert(1, schema());
        schemas.insert(2, schema());
        assert!(schemas.get(1).is_some());
        schemas.insert(3, schema());
        let held: Vec<u32> = (1..=3).filter(|id| schemas.get(*id).is_some()).collect();
        assert_eq!((held, schemas.len()), (vec![1, 3], 2));
    }

    #[test]
    fn an_unknown_id_is_asked_for_again_after_its_time() {
        let (schemas, now) = (Schemas::new(2, Duration::from_secs(30)), Instant::now());
        schemas.insert_unknown(7, "not there", now);
        assert_eq!(schemas.unknown(7, now + Duration::from_secs(29)).as_deref(), Some("not there"));
        assert_eq!(schemas.unknown(7, now + Duration::from_secs(30)), None);
        schemas.insert(7, schema());
        assert_eq!(schemas.unknown(7, now), None);
    }

    #[test]
    fn a_flood_of_unknown_ids_stays_bounded_and_leaves_schemas_alone() {
        let (schemas, now) = (Schemas::new(3, Duration::from_secs(30)), Instant::now());
        schemas.insert(1, schema());
        for id in 100..1100 {
            schemas.insert_unknown(id, "not there", now + Duration::from_millis(id.into()));
        }
        assert!(schemas.get(1).is_some());
        let held: Vec<u32> = (100..1100).filter(|id| schemas.unknown(*id, now).is_some()).collect();
        assert_eq!(held, [1097, 1098, 1099]);
    }
}
