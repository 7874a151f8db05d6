use std::str::FromStr;
use std::time::Duration;

/// Records a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(f64);

impl FromStr for Rate {
    type Err = String;

    /// `500` or `500/s`.
    fn from_str(text: &str) -> Result<Rate, String> {
        let number = text.strip_suffix("/s").unwrap_or(text);
        positive(number).map(Rate).ok_or_else(|| "expected records a second, above 0, as in 500 or 500/s".into())
    }
}

/// A multiple of event time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f64);

impl FromStr for Speed {
    type Err = String;

    /// `10` or `10x`.
    fn from_str(text: &str) -> Result<Speed, String> {
        let number = text.strip_suffix('x').unwrap_or(text);
        positive(number).map(Speed).ok_or_else(|| "expected a multiple of event time, above 0, as in 1 or 10x".into())
    }
}

fn positive(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0)
}

/// When each record is due, counted from the start.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    AsFastAsItGoes,
    Rate(Rate),
    Speed {
        speed: Speed,
        /// The event time that began this pass over the file, and when that was.
        start: Option<(i64, Duration)>,
        /// When the record before was due.
        last: Duration,
    },
}

impl Pace {
    pub fn new(rate: Option<Rate>, speed: Option<Speed>) -> Pace {
        match (rate, speed) {
            (Some(rate), _) => Pace::Rate(rate),
            (None, Some(speed)) => Pace::Speed { speed, start: None, last: Duration::ZERO },
            (None, None) => Pace::AsFastAsItGoes,
        }
    }

    /// The record of this number, from 0, and this event time is due then. Never before the one ahead of it: a file
    /// that is not in order of time keeps its order.
    pub fn due(&mut self, number: u64, time_ms: Option<i64>, elapsed: Duration) -> Duration {
        match self {
            Pace::AsFastAsItGoes => Duration::ZERO,
            Pace::Rate(rate) => seconds(number as f64 / rate.0),
            Pace::Speed { speed, start, last } => {
                let Some(time) = time_ms else { return *last };
                let (first, began) = *start.get_or_insert((time, elapsed));
                let ahead_ms = time.saturating_sub(first).max(0) as f64;
                *last = (*last).max(began + seconds(ahead_ms / 1000.0 / speed.0));
                *last
            }
        }
    }

    /// The file begins again: its first event time is now.
    pub fn start_over(&mut self) {
        if let Pace::Speed { start, .. } = self {
            *start = None;
        }
    }
}

/// A century bounds what a time in the far future can ask for.
fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.min(3.2e9))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: Duration = Duration::ZERO;

    fn millis(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn rates_and_speeds_are_read_or_refused() {
        assert_eq!("500".parse(), Ok(Rate(500.0)));
        assert_eq!("0.5/s".parse(), Ok(Rate(0.5)));
        assert_eq!("10x".parse(), Ok(Speed(10.0)));
        for bad in ["", "0", "-1", "nan", "inf", "5/m", "fast"] {
            assert!(bad.parse::<Rate>().is_err() && bad.parse::<Speed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rate_spaces_records_evenly() {
        let mut pace = Pace::new(Some(Rate(4.0)), None);
        assert_eq!([0, 1, 4].map(|n| pace.due(n, None, ZERO)), [ZERO, millis(250), millis(1000)]);
    }

    #[test]
    fn a_speed_follows_event_time_and_never_goes_back() {
        let mut pace = Pace::new(None, Some(Speed(2.0)));
        let times = [Some(10_000), Some(12_000), Some(11_000), None, Some(14_000)];
        let due = times.map(|time| pace.due(0, time, ZERO));
        assert_eq!(due, [ZERO, millis(1000), millis(1000), millis(1000), millis(2000)]);
        pace.start_over();
        assert_eq!(pace.due(0, Some(10_000), millis(2500)), millis(2500), "a new pass begins when it begins");
        assert_eq!(pace.due(0, Some(12_000), millis(2600)), millis(3500));
        assert!(pace.due(0, Some(i64::MAX), millis(2600)) < Duration::from_secs(4_000_000_000), "bounded");
    }

    #[test]
    fn without_either_everything_is_due() {
        assert_eq!(Pace::new(None, None).due(1_000_000, Some(5), millis(7)), ZERO);
    }
}
