//! Many tests, one probability.

/// The weighted harmonic mean of the tests' p-values (Wilson, The harmonic mean p-value for combining dependent tests,
/// PNAS 2019). It needs no independence, is led by the smallest, and is near the Cauchy combination of Liu & Xie (JASA
/// 2020) where that is small. For any dependence whatever, e · ln K times it is a valid p-value of K tests (Vovk & Wang,
/// Combining p-values via averaging, Biometrika 2020, section 5); [`guaranteed`] is that.
pub fn harmonic_mean<const K: usize>(p_values: &[f64; K], weights: &[f64; K]) -> f64 {
    let (mut total, mut sum) = (0.0, 0.0);
    for (p, weight) in p_values.iter().zip(weights) {
        total += weight;
        sum += weight / p;
    }
    if sum > 0.0 { (total / sum).min(1.0) } else { 1.0 }
}

/// A harmonic mean of `tests` p-values as a p-value that holds for any dependence between them.
pub fn guaranteed(harmonic_mean: f64, tests: usize) -> f64 {
    // Of one test, the mean is its own p-value; of two, the factor 2 of Bonferroni is the smaller.
    let k = tests as f64;
    let factor = (std::f64::consts::E * k.ln()).clamp(1.0, k.max(1.0));
    (harmonic_mean * factor).min(1.0)
}
