//! Keys of entries as maps hold them.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// With its length and the enum's tag, what a boxed slice takes anyway.
const SHORT_MAX: usize = 22;

/// A key's bytes. Those of a short key, as nearly all are, lie in the map itself: to compare them is no look elsewhere in
/// memory, and to keep them no allocation.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Short(u8, [u8; SHORT_MAX]),
    Long(Box<[u8]>),
}

impl From<&[u8]> for Name {
    fn from(key: &[u8]) -> Name {
        if key.len() > SHORT_MAX {
            return Name::Long(key.into());
        }
        let mut bytes = [0; SHORT_MAX];
        bytes[..key.len()].copy_from_slice(key);
        Name::Short(key.len() as u8, bytes)
    }
}

impl Deref for Name {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Name::Short(len, bytes) => &bytes[..usize::from(*len)],
            Name::Long(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        **self == **other
    }
}

impl Eq for Name {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_no_more_than_a_box_and_its_length() {
        assert_eq!(size_of::<Name>(), 24);
    }

    #[test]
    fn it_is_the_bytes_whatever_their_length() {
        let bytes: Vec<u8> = (0..60).collect();
        let state = foldhash::fast::FixedState::default();
        for length in 0..60 {
            let (name, key) = (Name::from(&bytes[..length]), &bytes[..length]);
            assert_eq!((&*name, matches!(name, Name::Short(..))), (key, length <= SHORT_MAX));
            let hash = |of: &dyn Fn(&mut foldhash::fast::FoldHasher<'_>)| {
                let mut hasher = std::hash::BuildHasher::build_hasher(&state);
                of(&mut hasher);
                hasher.finish()
            };
            assert_eq!(hash(&|hasher| name.hash(hasher)), hash(&|hasher| key.hash(hasher)), "found by its bytes");
            assert_ne!(name, Name::from(&bytes[..=length]));
        }
    }
}
