//! What a series does at this time of the day and on this day of the week, learned once enough was seen.
//!
//! A day has 48 slots. What is learned of a slot is learned when it is left, once a day, so that the memory is one of
//! days however often a reading comes; a slot speaks once it was seen on two days. The day of the week is a difference
//! from that profile, and speaks once it was seen in two weeks.

use serde::{Deserialize, Serialize};
use serde_big_array::BigArray;

const SLOTS: usize = 48;
const SLOT_MS: i64 = 86_400_000 / SLOTS as i64;
const DAY_MS: i64 = 86_400_000;
/// Days that a slot remembers.
const DAYS_MAX: u8 = 8;
/// A slot speaks from this many days on.
const DAYS_MIN: u8 = 2;
/// Weeks that a day of the week remembers, and from how many on it speaks.
const WEEKS_MAX: u8 = 6;
const WEEKS_MIN: u8 = 2;
/// A slot's spread is at least this, in the places of [`super::level::Level::place`].
const SPREAD_MIN: f64 = 0.1;

/// Sums over the slot or the day that is under way.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Open {
    at: i64,
    sum: f32,
    off: f32,
    readings: f32,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Season {
    // By slot.
    #[serde(with = "BigArray")]
    means: [f32; SLOTS],
    #[serde(with = "BigArray")]
    spreads: [f32; SLOTS],
    #[serde(with = "BigArray")]
    days: [u8; SLOTS],
    // By day of the week.
    differences: [f32; 7],
    weeks: [u8; 7],
    slot: Open,
    day: Open,
}

impl Default for Season {
    fn default() -> Self {
        Self {
            means: [0.0; SLOTS],
            spreads: [0.0; SLOTS],
            days: [0; SLOTS],
            differences: [0.0; 7],
            weeks: [0; 7],
            slot: Open::default(),
            day: Open::default(),
        }
    }
}

/// What the time of the day lets expect of a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    pub mean: f64,
    pub spread: f64,
}

impl Season {
    /// `None` until this time of the day was seen on two days.
    pub fn expected(&self, time_ms: i64) -> Option<Expected> {
        let (slot, day) = (slot_of(time_ms), weekday_of(time_ms));
        if self.days[slot] < DAYS_MIN {
            return None;
        }
        let difference = if self.weeks[day] >= WEEKS_MIN { self.differences[day] } else { 0.0 };
        let mean = f64::from(self.means[slot] + difference);
        Some(Expected { mean, spread: f64::from(self.spreads[slot]) + SPREAD_MIN })
    }

    pub fn learn(&mut self, time_ms: i64, place: f64) {
        let (slot, day) = (time_ms.div_euclid(SLOT_MS), time_ms.div_euclid(DAY_MS));
        if slot != self.slot.at {
            self.close_slot();
            self.slot = Open { at: slot, ..Open::default() };
        }
        if day != self.day.at {
            self.close_day();
            self.day = Open { at: day, ..Open::default() };
        }
        let known = slot_of(time_ms);
        let off = if self.days[known] > 0 { place as f32 - self.means[known] } else { 0.0 };
        self.slot.sum += place as f32;
        self.slot.off += off.abs();
        self.slot.readings += 1.0;
        if self.days[known] >= DAYS_MIN {
            self.day.sum += off;
            self.day.readings += 1.0;
        }
    }

    fn close_slot(&mut self) {
        let Open { at, sum, off, readings } = self.slot;
        if readings < 1.0 {
            return;
        }
        let slot = at.rem_euclid(SLOTS as i64) as usize;
        self.days[slot] = (self.days[slot] + 1).min(DAYS_MAX);
        let days = f32::from(self.days[slot]);
        self.means[slot] += (sum / readings - self.means[slot]) / days;
        // The first day has nothing to differ from.
        if days > 1.0 {
            self.spreads[slot] += (off / readings - self.spreads[slot]) / (days - 1.0);
        }
    }

    fn close_day(&mut self) {
        let Open { at, sum, readings, .. } = self.day;
        if readings < 1.0 {
            return;
        }
        let day = at.rem_euclid(7) as usize;
        self.weeks[day] = (self.weeks[day] + 1).min(WEEKS_MAX);
        self.differences[day] += (sum / readings - self.differences[day]) / f32::from(self.weeks[day]);
    }
}

fn slot_of(time_ms: i64) -> usize {
    (time_ms.rem_euclid(DAY_MS) / SLOT_MS) as usize
}

/// 0 is Thursday, the day on which Unix time begins.
fn weekday_of(time_ms: i64) -> usize {
    time_ms.div_euclid(DAY_MS).rem_euclid(7) as usize
}
