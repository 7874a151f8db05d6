//! The lists as one instance reads them: one writer, who follows the table's topic, and readers at every click.

use std::sync::Arc;

use foldhash::fast::RandomState;
use prost::Message;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::anchor::Anchor;
use super::candidates::Lists;
use super::owner::List;

/// What an entry takes beside the list's own bytes as they are written: the key, pointers, strings' overhead.
const ENTRY_BYTES: u64 = 160;
/// The same of each neighbour.
const NEIGHBOUR_BYTES: u64 = 64;

/// Bounded in bytes. Where there are more lists than room, those that nobody has asked for for long leave: what hung on
/// them is recommended by popularity alone until they are published again.
pub struct SharedLists {
    lists: Cache<Anchor, Arc<List>, ByBytes, RandomState>,
    bytes_max: u64,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Anchor, Arc<List>> for ByBytes {
    fn weight(&self, _: &Anchor, list: &Arc<List>) -> u64 {
        list.encoded_len() as u64 + list.neighbours.len() as u64 * NEIGHBOUR_BYTES + ENTRY_BYTES
    }
}

impl SharedLists {
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max as u64;
        let lists_about = (bytes_max / 1024).clamp(16, 1 << 20);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(lists_about as usize)
            .weight_capacity(bytes_max)
            .build()
            .expect("both capacities are given");
        let lists = Cache::with_options(options, ByBytes, RandomState::default(), DefaultLifecycle::default());
        Self { lists, bytes_max }
    }

    /// A record of the table's topic. False where it is none: key or value cannot be read.
    pub fn take(&self, key: &[u8], value: Option<&[u8]>) -> bool {
        let Some(anchor) = Anchor::from_key(key) else { return false };
        match value.map(List::decode) {
            None => {
                self.lists.remove(&anchor);
                true
            }
            Some(Ok(list)) => {
                self.lists.insert(anchor, Arc::new(list));
                true
            }
            Some(Err(_)) => false,
        }
    }

    pub fn len(&self) -> usize {
        self.lists.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    pub fn bytes(&self) -> u64 {
        self.lists.weight()
    }

    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }
}

impl Lists for SharedLists {
    fn list(&self, anchor: &Anchor) -> Option<Arc<List>> {
        self.lists.get(anchor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::recommend::Neighbour;

    fn list(name: &str, neighbours: usize) -> List {
        let neighbour = Neighbour { name: name.into(), weight: 1.0, ..Neighbour::default() };
        List { neighbours: vec![neighbour; neighbours], total: 1.0, ..List::default() }
    }

    #[test]
    fn what_was_published_last_is_read_until_it_is_deleted() {
        let lists = SharedLists::new(1 << 20);
        let key = Anchor::item("p").key();
        assert!(lists.take(&key, Some(&list("q", 1).encode_to_vec())));
        assert!(lists.take(&key, Some(&list("r", 1).encode_to_vec())));
        assert_eq!(lists.list(&Anchor::item("p")).unwrap().neighbours[0].name, "r");
        assert!(!lists.take(b"?", None) && !lists.take(&key, Some(b"\xff")));
        assert!(lists.take(&key, None));
        assert!(lists.list(&Anchor::item("p")).is_none() && lists.is_empty());
    }

    /// `bounded`
    #[test]
    fn lists_stay_within_their_bytes() {
        let lists = SharedLists::new(100_000);
        for item in 0..10_000 {
            lists.take(&Anchor::item(&item.to_string()).key(), Some(&list("neighbour", item % 50).encode_to_vec()));
            assert!(lists.bytes() <= lists.bytes_max());
        }
        assert!(lists.len() > 10);
    }
}
