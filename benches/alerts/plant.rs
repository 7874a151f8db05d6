use fastrand::Rng;

use crate::traffic::BRANDS;

const SURGES: usize = 200;
const FACTORS: [f64; 4] = [1.5, 2.0, 3.0, 5.0];
const LASTS_MS: i64 = 60 * 60_000;
/// Between two surges of a brand.
const APART_MS: i64 = 4 * 3_600_000;

/// A surge.
#[derive(Clone, Debug)]
pub struct Planted {
    pub brand: usize,
    /// `None`: in all of the brand.
    pub product: Option<usize>,
    pub start_ms: i64,
    pub end_ms: i64,
    pub negative: bool,
    pub factor: f64,
    /// Texts that would have been there anyway.
    pub usual: usize,
}

/// As many of each kind and size, in brands and in their products, larger ones more often, never two of a brand at a time.
pub fn choose(rng: &mut Rng, from_ms: i64, to_ms: i64) -> Vec<Planted> {
    let mut chosen: Vec<Planted> = Vec::new();
    let mut tries = 0;
    while chosen.len() < SURGES && tries < 1_000_000 {
        tries += 1;
        let n = chosen.len();
        let start_ms = rng.i64(from_ms..to_ms - APART_MS);
        let planted = Planted {
            // Half of them in the largest ten.
            brand: ((BRANDS as f64).powf(rng.f64().powi(2) * 1.2).min(BRANDS as f64) - 1.0) as usize,
            product: (n / 8 % 2 == 1).then(|| rng.usize(0..2)),
            start_ms,
            end_ms: start_ms + LASTS_MS,
            negative: n % 2 == 1,
            factor: FACTORS[n / 2 % 4],
            usual: 0,
        };
        let near = |other: &Planted| other.brand == planted.brand && (other.start_ms - start_ms).abs() < APART_MS;
        if !chosen.iter().any(near) {
            chosen.push(planted);
        }
    }
    chosen
}
