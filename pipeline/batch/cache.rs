//! Answers that are known already: the same text to the same model version is not scored again.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::unsync;

use crate::event::{ModelId, Prediction};

/// What an entry costs besides the prediction's own bytes, in bytes: its slot (key, pointer, links: 80) and the slack of
/// the table that grows by doubling, its share of the index and of the ghosts (one for each two entries), the shared
/// pointer's counters, and what the allocator adds to three allocations. A test holds it against the real figure.
const ENTRY_BYTES: usize = 256;

/// An exact-result cache of one engine thread, bounded in bytes.
///
/// Eviction is `quick_cache`'s, a CLOCK-PRO kin of S3-FIFO: what is seen once leaves first, so a flood of new texts does
/// not wash out the "很好" and "ok, thanks" that pay for the cache. When full it evicts; it never refuses and never
/// grows. A prediction larger than the whole cache is not kept.
#[derive(Debug)]
pub struct Cache {
    entries: Option<unsync::Cache<(ModelId, u128), Arc<Prediction>, Weigher>>,
    hits: u64,
    misses: u64,
}

/// How the cache has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    pub hits: u64,
    pub misses: u64,
    /// What it holds now, overhead included.
    pub bytes: u64,
    pub entries: usize,
}

impl Cache {
    /// `bytes_max` of 0 is no cache: every look-up misses.
    pub fn new(bytes_max: usize) -> Self {
        let entries_max = bytes_max / ENTRY_BYTES;
        let entries = (entries_max > 0).then(|| {
            unsync::Cache::with(entries_max, bytes_max as u64, Weigher, Default::default(), Default::default())
        });
        Self { entries, hits: 0, misses: 0 }
    }

    /// The answer, if it is known; counts a hit or a miss.
    pub fn get(&mut self, model: ModelId, text_key: u128) -> Option<Arc<Prediction>> {
        let found = self.entries.as_ref().and_then(|entries| entries.get(&(model, text_key))).cloned();
        *(if found.is_some() { &mut self.hits } else { &mut self.misses }) += 1;
        found
    }

    pub fn insert(&mut self, model: ModelId, text_key: u128, prediction: Arc<Prediction>) {
        if let Some(entries) = &mut self.entries {
            entries.insert((model, text_key), prediction);
        }
    }

    /// Forgets everything: the answers of a model that was exchanged.
    pub fn clear(&mut self) {
        if let Some(entries) = &mut self.entries {
            entries.clear();
        }
    }

    pub fn stats(&self) -> CacheStats {
        let (bytes, entries) = self.entries.as_ref().map_or((0, 0), |entries| (entries.weight(), entries.len()));
        CacheStats { hits: self.hits, misses: self.misses, bytes, entries }
    }
}

#[derive(Clone, Debug)]
struct Weigher;

impl Weighter<(ModelId, u128), Arc<Prediction>> for Weigher {
    fn weight(&self, _key: &(ModelId, u128), prediction: &Arc<Prediction>) -> u64 {
        (prediction.bytes() + ENTRY_BYTES) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::HeadAnswer;

    const MODEL: ModelId = ModelId(0);

    fn prediction(values: usize) -> Arc<Prediction> {
        Arc::new(Prediction { heads: [HeadAnswer { values: vec![0.5; values].into() }].into() })
    }

    #[test]
    fn an_answer_belongs_to_its_text_and_its_model() {
        let mut cache = Cache::new(1 << 20);
        let answer = prediction(3);
        cache.insert(MODEL, 7, Arc::clone(&answer));
        assert_eq!(cache.get(MODEL, 7), Some(answer));
        assert_eq!(cache.get(MODEL, 8), None);
        assert_eq!(cache.get(ModelId(1), 7), None);
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.entries), (1, 2, 1));
    }

    #[test]
    fn stays_within_its_bytes_overhead_included() {
        let bytes_max = 1 << 20;
        let mut cache = Cache::new(bytes_max);
        let mut highest = 0;
        for key in 0..50_000 {
            cache.insert(MODEL, key, prediction(3));
            highest = highest.max(cache.stats().bytes as usize);
        }
        assert!(highest <= bytes_max, "{highest} bytes of {bytes_max}");
        assert!(cache.stats().entries > bytes_max / 400);
        // Tables, and for each entry: the prediction, the counters and the allocator's share of three allocations.
        let tables = cache.entries.as_ref().unwrap().memory_used().total();
        let allocated = cache.stats().entries * (prediction(3).bytes() + size_of::<Prediction>() + 16 + 3 * 16);
        assert!(tables + allocated <= bytes_max, "{tables} + {allocated} bytes of {bytes_max}");
    }

    #[test]
    fn a_flood_of_new_texts_does_not_wash_out_what_recurs() {
        let mut cache = Cache::new(1_000 * (ENTRY_BYTES + 28));
        let mut new = 1_000_000;
        let mut recurring_hits = 0;
        for round in 0..100 {
            for key in 0..100 {
                match cache.get(MODEL, key) {
                    Some(_) => recurring_hits += u32::from(round > 0),
                    None => cache.insert(MODEL, key, prediction(3)),
                }
            }
            for _ in 0..2_000 {
                new += 1;
                if cache.get(MODEL, new).is_none() {
                    cache.insert(MODEL, new, prediction(3));
                }
            }
        }
        assert!(recurring_hits > 9_000, "{recurring_hits} hits of 9900; least-recently-used would have none");
    }

    #[test]
    fn no_bytes_is_no_cache() {
        let mut cache = Cache::new(0);
        cache.insert(MODEL, 1, prediction(3));
        assert_eq!(cache.get(MODEL, 1), None);
        assert_eq!(cache.stats(), CacheStats { misses: 1, ..Default::default() });
    }

    #[test]
    fn what_is_larger_than_the_cache_is_not_kept() {
        let mut cache = Cache::new(1_000);
        cache.insert(MODEL, 1, prediction(1_000));
        assert_eq!(cache.get(MODEL, 1), None);
        assert_eq!(cache.stats().bytes, 0);
    }
}
