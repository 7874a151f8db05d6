//! How many different ones, within a few dozen bytes.

/// Registers: a standard error of 1.04 / √128, nine in a hundred (Flajolet, Fusy, Gandouet & Meunier, HyperLogLog, 2007).
const REGISTERS: usize = 128;
/// Where more registers are empty than this leaves over, they are counted instead (linear counting: Whang, 1990).
const SMALL: f64 = 2.5;

/// Takes a hash in. An empty sketch has no bytes.
pub fn add(sketch: &mut Vec<u8>, hash: u64) {
    sketch.resize(REGISTERS, 0);
    let register = (hash % REGISTERS as u64) as usize;
    let rank = (hash / REGISTERS as u64).leading_zeros().saturating_sub(7) as u8 + 1;
    sketch[register] = sketch[register].max(rank);
}

/// Takes another one in: the order in which, and how often, makes no difference.
pub fn merge(sketch: &mut Vec<u8>, other: &[u8]) {
    if other.len() != REGISTERS {
        return;
    }
    sketch.resize(REGISTERS, 0);
    sketch.iter_mut().zip(other).for_each(|(one, other)| *one = (*one).max(*other));
}

pub fn count(sketch: &[u8]) -> u64 {
    if sketch.is_empty() {
        return 0;
    }
    let m = REGISTERS as f64;
    let sum: f64 = sketch.iter().map(|rank| (-f64::from(*rank)).exp2()).sum();
    let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
    let empty = sketch.iter().filter(|rank| **rank == 0).count() as f64;
    let estimate = if raw <= SMALL * m && empty > 0.0 { m * (m / empty).ln() } else { raw };
    estimate.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::alerts::hash;

    #[test]
    fn it_counts_within_its_error() {
        for n in [0u64, 1, 5, 40, 300, 20_000] {
            let mut sketch = Vec::new();
            (0..n).chain(0..n).for_each(|i| add(&mut sketch, hash::of(&i.to_le_bytes())));
            let error = (count(&sketch) as f64 - n as f64).abs();
            assert!(error <= 0.25 * n as f64 + 1.0, "{n}: {}", count(&sketch));
        }
    }

    #[test]
    fn two_are_as_one() {
        let (mut one, mut other, mut both) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..500u64 {
            let hash = hash::of(&i.to_le_bytes());
            add(if i % 3 == 0 { &mut one } else { &mut other }, hash);
            add(&mut both, hash);
        }
        merge(&mut one, &other);
        merge(&mut one, &other);
        assert_eq!(one, both);
    }
}
