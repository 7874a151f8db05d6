//! A click as the stage works with it.

use crate::event::json::time;
use crate::event::v1;

/// A click that was decoded, completed and validated, with what the features need of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Click {
    pub event: v1::Click,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    pub action: v1::Action,
    pub item: Id,
    /// `None` where the writer gives none.
    pub category: Option<Id>,
}

/// An item's or a category's name in 64 bits: what state is keyed by and what sessions remember.
///
/// Two names of the same number would share their counts; among ten million names the odds of one such pair are 1 in
/// 370,000. The number is part of what is stored, so its making never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u64);

impl Click {
    /// Takes a click that its decoder completed: user, item, action and time are there.
    pub fn new(event: v1::Click) -> Self {
        let at_ms = event.event_time.as_ref().and_then(time::to_ms).unwrap_or_default();
        let (action, item) = (event.action(), Id::of(&event.item));
        let category = event.category.as_deref().filter(|name| !name.is_empty()).map(Id::of);
        Self { at_ms, action, item, category, event }
    }

    /// Above 0; a price of 0 or less is as good as none.
    pub fn price(&self) -> Option<f64> {
        self.event.price.filter(|price| price.is_finite() && *price > 0.0)
    }
}

impl Id {
    /// FNV-1a over the name, then the last mixing steps of MurmurHash3 (Austin Appleby, public domain), which let every
    /// bit of the name move every bit of the number. Never 0, which Protobuf leaves out.
    pub fn of(name: &str) -> Self {
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let mut hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Self((hash ^ (hash >> 33)).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_what_they_were() {
        // Computed by the same formulas elsewhere: what is stored must be found again.
        assert_eq!(Id::of("p-7"), Id(0x32c36c3c01201648));
        assert_eq!(Id::of(""), Id(0xefd01f60ba992926));
        assert_eq!(Id::of("手机"), Id(0x90bdd987c4d3bb91));
    }

    #[test]
    fn a_price_that_is_none_counts_as_none() {
        let price = |price| Click::new(v1::Click { price, ..Default::default() }).price();
        assert_eq!(price(Some(9.5)), Some(9.5));
        for none in [None, Some(0.0), Some(-1.0), Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!(price(none), None, "{none:?}");
        }
    }
}
