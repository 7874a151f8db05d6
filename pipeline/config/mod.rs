//! From a file as written to [`Settings`] that cannot be wrong.

mod fault;
mod key;
mod raw;
mod settings;
mod shape;
mod tree;

pub use settings::*;
pub use fault::{Fault, Faults, Place};
pub use key::Key;

#[cfg(test)]
mod t {
    #[test]
    fn p() { println!("{:#?}", super::shape::Shape::of::<super::raw::Raw>()); }
}
