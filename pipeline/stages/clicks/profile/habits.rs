//! When a user is about and what they spend.

use crate::event::v1::Action;
use crate::stages::clicks::click::Click;
use crate::stages::clicks::counts::local_time;
use crate::stages::clicks::session::Rules;
use crate::stages::clicks::state::{Entity, Habits};

const HOURS: usize = 24;
/// Once so many clicks are counted by hour, all counts are halved: what was a year ago fades.
const HOUR_CLICKS_MAX: u32 = 1024;
/// Prices of a category that must have been seen before one is compared with their mean.
const PRICES_MIN: u64 = 5;

impl Habits {
    /// `category`: the click's, as counted before it.
    pub fn take(&mut self, click: &Click, category: &Entity, rules: &Rules) {
        self.count_hour(click, rules);
        let Some(price) = click.price() else { return };
        if click.action == Action::Purchase {
            self.value += price;
        }
        if let Some(mean) = category.price_mean().filter(|mean| category.prices >= PRICES_MIN && *mean > 0.0) {
            self.price_logarithms += (price / mean).ln();
            self.prices += 1;
        }
    }

    fn count_hour(&mut self, click: &Click, rules: &Rules) {
        self.hours.resize(HOURS, 0);
        let (hour, _) = local_time(click.at_ms, rules);
        // Less than 24, and not below 0.
        self.hours[(hour as usize).min(HOURS - 1)] += 1;
        if self.hours.iter().sum::<u32>() >= HOUR_CLICKS_MAX {
            self.hours.iter_mut().for_each(|count| *count /= 2);
        }
    }

    pub fn hour_shares(&self) -> Vec<f64> {
        let sum = self.hours.iter().sum::<u32>().max(1);
        self.hours.iter().map(|count| f64::from(*count) / f64::from(sum)).collect()
    }

    /// The geometric mean of prices over the mean prices of their categories.
    pub fn price_level(&self) -> Option<f64> {
        (self.prices > 0).then(|| (self.price_logarithms / f64::from(self.prices)).exp())
    }

    /// The share of clicks from ten in the evening to six in the morning.
    pub fn night_share(&self) -> f64 {
        self.hour_shares().iter().enumerate().filter(|(hour, _)| !(6..22).contains(hour)).map(|(_, share)| share).sum()
    }
}
