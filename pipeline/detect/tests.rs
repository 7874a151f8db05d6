use super::*;

/// Random numbers by seed, without a dependency: Steele, Lea & Flood's SplitMix64 (2014).
pub(super) struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of mean 0 and spread 1, near enough to normal: twelve uniform ones less six.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// By counting exponential waits (Knuth).
    pub fn poisson(&mut self, mean: f64) -> u64 {
        let (mut waited, mut count) = (0.0, 0);
        loop {
            waited -= (1.0 - self.unit()).ln();
            if waited > mean {
                return count;
            }
            count += 1;
        }
    }

    /// Of mean 1 and variance a quarter.
    pub fn gamma_like(&mut self) -> f64 {
        (0..4).map(|_| -(1.0 - self.unit()).ln()).sum::<f64>() / 4.0
    }
}

const STEP_MS: i64 = 300_000;

fn watch(readings: impl IntoIterator<Item = Reading>) -> Vec<Verdict> {
    let (settings, mut detector) = (Settings::default(), Detector::default());
    let verdict = |(at, reading)| detector.observe(&settings, at as i64 * STEP_MS, reading);
    readings.into_iter().enumerate().map(verdict).collect()
}

fn alerts(verdicts: &[Verdict]) -> Vec<usize> {
    (0..verdicts.len()).filter(|i| verdicts[*i].alert).collect()
}

fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut dice = Dice::new(seed);
    (0..count).map(|_| 100.0 + 5.0 * dice.normal()).collect()
}

fn values(values: &[f64]) -> Vec<Verdict> {
    watch(values.iter().map(|value| Reading::Value(*value)))
}

#[test]
fn a_scope_takes_a_kilobyte() {
    let bytes = std::mem::size_of::<Detector>();
    assert!(bytes <= 1_024, "{bytes}");
}

#[test]
fn noise_is_silence_mostly() {
    let alerts: usize = (0..20).map(|seed| alerts(&values(&noise(4_000, seed))).len()).sum();
    assert!(alerts <= 120, "{alerts} alerts in 80,000 readings");
}

#[test]
fn a_spike_is_one_alert_at_once() {
    let mut series = noise(1_000, 1);
    series[700] = 200.0;
    let verdicts = values(&series);
    assert!(verdicts[700].alert && verdicts[700].score > 0.6, "{:?}", verdicts[700]);
    assert!(!alerts(&verdicts[701..780]).iter().any(|_| true));
    assert!(series[700] > verdicts[700].expected_high && verdicts[700].expected_low < 100.0);
}

#[test]
fn a_new_level_is_told_once_and_then_usual() {
    let mut series = noise(3_000, 2);
    series[1_000..].iter_mut().for_each(|value| *value += 80.0);
    let verdicts = values(&series);
    assert!(alerts(&verdicts[1_000..1_010]).len() == 1);
    assert!(alerts(&verdicts[1_010..1_080]).len() <= 1);
    let expected = verdicts[2_900];
    assert!(expected.expected_low > 140.0 && expected.expected_high < 220.0, "{expected:?}");
}

#[test]
fn a_drift_is_told_though_no_step_is_large() {
    let mut series = noise(3_000, 3);
    for (i, value) in series[1_500..].iter_mut().enumerate() {
        *value += 0.05 * i as f64;
    }
    assert!(!alerts(&values(&series)[1_500..1_900]).is_empty());
}

#[test]
fn a_line_that_goes_flat_or_comes_alive_is_told() {
    let mut series = noise(2_000, 4);
    series[1_200..].iter_mut().for_each(|value| *value = 100.0);
    assert!(!alerts(&values(&series)[1_200..1_400]).is_empty(), "flat");
    let mut series = vec![3.0; 2_000];
    series[1_000] = 4.0;
    assert_eq!(alerts(&values(&series)), [1_000], "alive");
}

#[test]
fn a_day_that_repeats_is_no_news_and_one_that_fails_to_is() {
    let mut dice = Dice::new(5);
    let day = |i: usize| if (96..192).contains(&(i % 288)) { 80.0 } else { 20.0 };
    let mut series: Vec<f64> = (0..14 * 288).map(|i| day(i) + dice.normal()).collect();
    let usual = values(&series);
    assert!(alerts(&usual[3 * 288..]).len() <= 4, "{:?}", alerts(&usual));
    let held = |i: &usize| (usual[*i].expected_low..=usual[*i].expected_high).contains(&series[*i]);
    let covered = (10 * 288..14 * 288).filter(held).count() as f64 / (4.0 * 288.0);
    assert!(covered > 0.94, "{covered}");
    // The eleventh day stays low.
    for (i, value) in series[11 * 288..12 * 288].iter_mut().enumerate() {
        *value -= day(i) - 20.0;
    }
    let missing = values(&series);
    assert!(!alerts(&missing[11 * 288 + 96..11 * 288 + 110]).is_empty());
}

#[test]
fn a_surge_of_small_counts_is_told() {
    let mut dice = Dice::new(6);
    let mut counts: Vec<u64> = (0..1_000).map(|_| dice.poisson(0.4)).collect();
    counts[800..804].iter_mut().for_each(|count| *count += 6);
    let verdicts = watch(counts.iter().map(|count| Reading::Count(*count)));
    assert!(!alerts(&verdicts[800..802]).is_empty());
    assert!(alerts(&verdicts[..800]).len() <= 3, "{:?}", alerts(&verdicts));
    assert!(verdicts.iter().all(|verdict| verdict.expected_low >= 0.0));
}

#[test]
fn a_share_is_judged_by_its_trials() {
    let mut dice = Dice::new(9);
    let mut share = |of: u64| Reading::Share { hits: (0..of).filter(|_| dice.unit() < 0.1).count() as u64, of };
    let mut readings: Vec<Reading> = (0..600).map(|i| share(if i % 5 == 0 { 3 } else { 40 })).collect();
    readings[500] = Reading::Share { hits: 2, of: 3 };
    readings[550] = Reading::Share { hits: 25, of: 40 };
    let verdicts = watch(readings);
    assert!(verdicts[550].alert && verdicts[550].leading() != Test::Season, "{:?}", verdicts[550]);
    assert!(verdicts[500].p_value > 1e-3, "{:?}", verdicts[500]);
    assert!(verdicts.iter().all(|v| (0.0..=1.0).contains(&v.expected_low) && v.expected_high <= 1.0));
}

#[test]
fn what_is_missing_changes_nothing() {
    let series = noise(1_000, 7);
    let whole = values(&series);
    let with_gaps = series.iter().flat_map(|value| [Reading::Value(f64::NAN), Reading::Value(*value)]);
    let (settings, mut detector) = (Settings::default(), Detector::default());
    let seen: Vec<Verdict> = with_gaps
        .enumerate()
        .map(|(i, reading)| detector.observe(&settings, (i as i64 / 2) * STEP_MS, reading))
        .collect();
    assert!(seen.iter().step_by(2).all(|verdict| verdict.score == 0.0 && verdict.p_value == 1.0));
    assert!(seen.iter().skip(1).step_by(2).eq(whole.iter()));
}

/// Values of every size and sign, repeated, missing and alternating; times that jump.
#[test]
fn nothing_that_comes_in_makes_something_go_out_that_is_not_finite() {
    let extremes = [0.0, -0.0, 1e308, -1e308, f64::MAX, f64::MIN, 5e-324, f64::INFINITY, f64::NAN, 1.0, -1e-300];
    for seed in 0..30 {
        let mut dice = Dice::new(seed);
        let (settings, mut detector) = (Settings::default(), Detector::default());
        for _ in 0..2_000 {
            let pick = |dice: &mut Dice, n: usize| (dice.unit() * n as f64) as usize;
            let big = [0, 1, 7, u64::MAX, 1 << 40][pick(&mut dice, 5)];
            let reading = match pick(&mut dice, if seed % 3 == 0 { 4 } else { 2 }) {
                0 => Reading::Value(extremes[pick(&mut dice, extremes.len())]),
                1 => Reading::Value(dice.normal() * 10f64.powf(dice.unit() * 200.0 - 100.0)),
                2 => Reading::Count(big),
                _ => Reading::Share { hits: big, of: [0, 1, 1_000, u64::MAX][pick(&mut dice, 4)] },
            };
            let time = [i64::MIN, i64::MAX, 0, -1, 1_700_000_000_000][pick(&mut dice, 5)];
            let verdict = detector.observe(&settings, time, reading);
            let Verdict { expected_low, expected_high, tests, p_value, score, .. } = verdict;
            assert!(
                expected_low.is_finite() && expected_high.is_finite() && expected_low <= expected_high,
                "{verdict:?}"
            );
            assert!(tests.iter().chain([&p_value]).all(|p| (P_MIN..=1.0).contains(p)), "{reading:?} {verdict:?}");
            assert!((0.0..=1.0).contains(&score), "{verdict:?}");
        }
    }
}

/// The verdict on a reading is the same whatever follows, and the same each time.
#[test]
fn a_verdict_depends_on_what_came_before_it_only() {
    let series = noise(600, 8);
    let whole = values(&series);
    for end in [1, 30, 151, 400] {
        let mut other = series.clone();
        other[end..].iter_mut().for_each(|value| *value = -1e9);
        assert_eq!(values(&other)[..end], whole[..end]);
    }
}

#[test]
fn what_was_written_goes_on_as_if_it_had_not_been() {
    let mut dice = Dice::new(12);
    let (settings, mut kept, mut written) = (Settings::default(), Detector::default(), Detector::default());
    for at in 0..2_000 {
        written = Detector::from_bytes(&written.to_bytes()).unwrap();
        let count = dice.poisson(if at == 1_500 { 90.0 } else { 30.0 });
        let [one, other] =
            [&mut kept, &mut written].map(|detector| detector.observe(&settings, at * STEP_MS, Reading::Count(count)));
        assert_eq!(one, other, "reading {at}");
    }
    let bytes = written.to_bytes();
    assert!((900..1_300).contains(&bytes.len()), "{} bytes", bytes.len());
    assert!(Detector::from_bytes(&bytes[..bytes.len() - 1]).is_none());
    // Whoever changes what is written gives it another number, and this test another sum.
    let sum = Detector::default().to_bytes().iter().zip(1_u64..).map(|(byte, at)| u64::from(*byte) * at).sum::<u64>();
    assert_eq!((LAYOUT, Detector::default().to_bytes().len(), sum), (1, 948, LAYOUT_SUM));
}

const LAYOUT_SUM: u64 = 2_817_098;
