//! What lists hang on.

use std::sync::Arc;

/// What something is seen together with, or popular in. Its key names it in state, in the repartition topic, where it
/// decides who owns it, and in the table of neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Anchor {
    /// Items seen together with this one.
    Item(Arc<str>),
    /// Items popular in this category.
    Category(Arc<str>),
    /// Categories seen together with this one.
    Beside(Arc<str>),
    /// Items popular in the whole shop.
    Shop,
}

impl Anchor {
    /// What keys begin with.
    pub const ITEM: u8 = b'i';
    pub const CATEGORY: u8 = b'c';
    pub const BESIDE: u8 = b'b';
    pub const SHOP: u8 = b's';

    pub fn item(name: &str) -> Self {
        Self::Item(name.into())
    }

    pub fn category(name: &str) -> Self {
        Self::Category(name.into())
    }

    pub fn beside(name: &str) -> Self {
        Self::Beside(name.into())
    }

    /// A letter, then the name.
    pub fn key(&self) -> Vec<u8> {
        let (letter, name) = match self {
            Self::Item(name) => (Self::ITEM, &**name),
            Self::Category(name) => (Self::CATEGORY, &**name),
            Self::Beside(name) => (Self::BESIDE, &**name),
            Self::Shop => (Self::SHOP, ""),
        };
        [&[letter], name.as_bytes()].concat()
    }

    /// `None` where the bytes are no key of an anchor.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let (letter, name) = key.split_first()?;
        let name = std::str::from_utf8(name).ok()?;
        match *letter {
            Self::ITEM => Some(Self::item(name)),
            Self::CATEGORY => Some(Self::category(name)),
            Self::BESIDE => Some(Self::beside(name)),
            Self::SHOP if name.is_empty() => Some(Self::Shop),
            _ => None,
        }
    }

    /// Popularity fades faster than what belongs together.
    pub fn is_popularity(&self) -> bool {
        matches!(self, Self::Category(_) | Self::Shop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_as_it_was_written() {
        for anchor in [Anchor::item("手机"), Anchor::category(""), Anchor::beside("a"), Anchor::Shop] {
            assert_eq!(Anchor::from_key(&anchor.key()), Some(anchor));
        }
        for key in [&b""[..], b"x", b"sx", b"i\xff"] {
            assert_eq!(Anchor::from_key(key), None, "{key:?}");
        }
    }
}
