use std::io::{BufRead, BufReader};

use fastrand::Rng;
use groundswell::event::v1;

use crate::plant::{self, Planted};
use crate::{Outcome, ms};

pub const DAY_MS: i64 = 86_400_000;
pub const BRANDS: usize = 100;
pub const PRODUCTS: usize = 19;
pub const DAYS: i64 = 4;
/// Streams of the largest brand; the n-th has an n-th of that, and one at least.
const STREAMS_MAX: usize = 48;
/// Of the texts, those that are negative in quiet times.
const NEGATIVE: f64 = 0.15;

/// The file: texts by sentiment, and the times of each of its brands.
pub struct Traffic {
    texts: Vec<v1::Scored>,
    negative: Vec<usize>,
    other: Vec<usize>,
    times: Vec<Vec<i64>>,
    /// Of the day, by hour: the part of the texts up to its end.
    hours: [f64; 24],
    first_ms: i64,
    days: i64,
}

/// A text of a run.
#[derive(Clone, Copy)]
pub struct Text {
    pub at_ms: i64,
    pub brand: usize,
    pub product: usize,
    /// Its place in the file.
    pub text: usize,
    pub number: usize,
}

impl Text {
    pub fn scored(&self, traffic: &Traffic) -> v1::Scored {
        v1::Scored {
            event_id: self.number.to_string(),
            event_time: Some(prost_types::Timestamp {
                seconds: self.at_ms.div_euclid(1000),
                nanos: (self.at_ms.rem_euclid(1000) * 1_000_000) as i32,
            }),
            brand: Some(format!("b{}", self.brand)),
            product: Some(format!("b{}p{}", self.brand, self.product)),
            ..traffic.texts[self.text].clone()
        }
    }
}

impl Traffic {
    pub fn read(file: &str, light: bool) -> Outcome<Traffic> {
        let mut texts = Vec::new();
        for line in BufReader::new(std::fs::File::open(file)?).lines() {
            let mut text = serde_json::from_str::<v1::Scored>(&line?)?;
            if light {
                (text.text, text.embedding) = (None, Vec::new());
            }
            texts.push(text);
        }
        texts.sort_by_key(|text| ms(text.event_time.as_ref()));
        let label = |text: &v1::Scored| text.sentiment.as_ref().is_some_and(|s| s.label == "negative");
        let (negative, other) = (0..texts.len()).partition(|i| label(&texts[*i]));
        let mut brands: Vec<String> = texts.iter().filter_map(|text| text.brand.clone()).collect();
        brands.sort();
        brands.dedup();
        let times = |brand: &String| {
            let own = texts.iter().filter(|text| text.brand.as_ref() == Some(brand));
            own.map(|text| ms(text.event_time.as_ref())).collect()
        };
        let times = brands.iter().map(times).collect();
        let first_ms = texts.first().map_or(0, |text| ms(text.event_time.as_ref())).div_euclid(DAY_MS) * DAY_MS;
        let last_ms = texts.last().map_or(0, |text| ms(text.event_time.as_ref()));
        // Only whole days, or shifted streams would have gaps.
        let days = (last_ms - first_ms).div_euclid(DAY_MS).max(1);
        let mut hours = [0.0; 24];
        for text in &texts {
            let hour = ms(text.event_time.as_ref()).rem_euclid(DAY_MS) / 3_600_000;
            (hour as usize..24).for_each(|later| hours[later] += 1.0 / texts.len() as f64);
        }
        Ok(Traffic { texts, negative, other, times, hours, first_ms, days })
    }

    /// Midnight before the file begins.
    pub fn first_ms(&self) -> i64 {
        self.first_ms
    }

    pub fn texts(&self) -> usize {
        self.texts.len()
    }

    pub fn days(&self) -> i64 {
        self.days
    }

    pub fn streams(&self) -> usize {
        (0..BRANDS).map(streams).sum()
    }

    /// The texts of a run in their order, with the surges planted in them.
    pub fn run(&self, seed: u64, real: bool, plants: bool) -> (Vec<Text>, Vec<Planted>) {
        let mut rng = Rng::with_seed(seed);
        let mut texts = Vec::new();
        for brand in 0..BRANDS {
            for _ in 0..streams(brand) {
                let stream = &self.times[rng.usize(0..self.times.len())];
                let times = if real { self.as_it_came(&mut rng, stream) } else { self.drawn(&mut rng, stream.len()) };
                for at_ms in times {
                    let product = product(&mut rng);
                    texts.push(self.text(&mut rng, at_ms, brand, product, NEGATIVE));
                }
            }
        }
        let (half, end) = (self.first_ms + DAYS * DAY_MS / 2, self.first_ms + DAYS * DAY_MS);
        let mut planted = if plants { plant::choose(&mut rng, half, end) } else { Vec::new() };
        planted.iter_mut().for_each(|planted| self.plant(&mut rng, planted, &mut texts));
        texts.sort_by_key(|text| text.at_ms);
        texts.iter_mut().enumerate().for_each(|(number, text)| text.number = number);
        (texts, planted)
    }

    /// Shifted by whole days. The file tells minutes.
    fn as_it_came(&self, rng: &mut Rng, stream: &[i64]) -> Vec<i64> {
        let shift = rng.i64(0..self.days) * DAY_MS;
        let place = |time: &i64| (time - self.first_ms + shift + rng.i64(0..60_000)).rem_euclid(self.days * DAY_MS);
        let places = stream.iter().map(place).filter(|within| *within < DAYS * DAY_MS);
        places.map(|within| self.first_ms + within).collect()
    }

    /// As many a day, each independent of the others.
    fn drawn(&self, rng: &mut Rng, count: usize) -> Vec<i64> {
        let count = count as i64 * DAYS / self.days;
        let one = |_| {
            let at = rng.f64();
            let hour = self.hours.iter().position(|part| at < *part).unwrap_or(23) as i64;
            self.first_ms + rng.i64(0..DAYS) * DAY_MS + hour * 3_600_000 + rng.i64(0..3_600_000)
        };
        (0..count).map(one).collect()
    }

    fn text(&self, rng: &mut Rng, at_ms: i64, brand: usize, product: usize, negative: f64) -> Text {
        let pool = if rng.f64() < negative { &self.negative } else { &self.other };
        Text { at_ms, brand, product, text: pool[rng.usize(0..pool.len())], number: 0 }
    }

    /// A surge in volume adds texts where there are some; one of the negative share makes some of them negative.
    fn plant(&self, rng: &mut Rng, planted: &mut Planted, texts: &mut Vec<Text>) {
        let within = |text: &Text| {
            (planted.start_ms..planted.end_ms).contains(&text.at_ms)
                && text.brand == planted.brand
                && planted.product.is_none_or(|product| text.product == product)
        };
        let places: Vec<usize> = (0..texts.len()).filter(|i| within(&texts[*i])).collect();
        planted.usual = places.len();
        for place in places {
            let text = texts[place];
            if planted.negative {
                texts[place] = self.text(rng, text.at_ms, text.brand, text.product, NEGATIVE * planted.factor);
                continue;
            }
            let more = planted.factor - 1.0;
            let copies = more as usize + usize::from(rng.f64() < more.fract());
            for _ in 0..copies {
                let at_ms = (text.at_ms + rng.i64(-300_000..300_000)).clamp(planted.start_ms, planted.end_ms - 1);
                texts.push(self.text(rng, at_ms, text.brand, text.product, NEGATIVE));
            }
        }
    }
}

fn streams(brand: usize) -> usize {
    (STREAMS_MAX / (brand + 1)).max(1)
}

/// The first ones sell most.
fn product(rng: &mut Rng) -> usize {
    ((PRODUCTS as f64).powf(rng.f64()) - 1.0) as usize
}
