//! What happens in the scenario, and when: after a firmware update of one product, complaints about it rise.

/// A part of the story. From its beginning on, complaints about the incident's product come this many times as often
/// as on a day like any other, before the rate of all is held: five to ten times in the end. Between two phases the number
/// moves evenly from the one to the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// Seconds after the start of the story.
    pub from_s: f64,
    pub complaints_times: f64,
    /// What a person who watches is told.
    pub says: &'static str,
}

/// In which product the defect is: an `id` of the catalogue.
pub const PRODUCT: &str = "velmora-q7";

/// The product's name and what happened to it, for the summary.
pub const CAUSE: &str = "firmware 4.2 of the Velmora Q7";

/// The phase with which the update begins.
pub const UPDATE: usize = 1;

pub const PHASES: &[Phase] = &[
    Phase {
        from_s: 0.0,
        complaints_times: 1.0,
        says: "a day like any other; firmware 4.2 of the Velmora Q7 goes out soon",
    },
    Phase { from_s: 15.0, complaints_times: 1.0, says: "firmware 4.2 of the Velmora Q7 is going out" },
    Phase { from_s: 20.0, complaints_times: 6.0, says: "the first Velmora Q7 owners have installed firmware 4.2" },
    Phase {
        from_s: 30.0,
        complaints_times: 15.0,
        says: "firmware 4.2 drains batteries: complaints about the Velmora Q7 peak",
    },
    Phase {
        from_s: 90.0,
        complaints_times: 15.0,
        says: "firmware 4.2 is withdrawn; complaints about the Velmora Q7 ebb",
    },
    Phase { from_s: 150.0, complaints_times: 2.0, says: "firmware 4.2.1 repairs the Velmora Q7" },
    Phase { from_s: 210.0, complaints_times: 1.0, says: "a day like any other again" },
];

/// All of a story in which nothing goes wrong.
const CALM: Phase = Phase { from_s: 0.0, complaints_times: 1.0, says: "a day like any other" };

/// A run shorter than this hears the story faster, so that it too has a calm, an update and a peak.
const TOLD_WITHIN_S: f64 = 60.0;

/// The story at the pace of one run.
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    /// Seconds of the story in one second of the run.
    pace: f64,
    /// Nothing happens.
    calm: bool,
}

impl Timeline {
    /// `seconds`: how long the run lasts, if that is known.
    pub fn new(seconds: Option<f64>) -> Self {
        let pace = seconds.filter(|s| *s > 0.0).map_or(1.0, |s| (TOLD_WITHIN_S / s).max(1.0));
        Self { pace, calm: false }
    }

    /// A day like any other, to its end.
    pub fn calm() -> Self {
        Self { pace: 1.0, calm: true }
    }

    /// When the update begins, in seconds of the run; none where it does not.
    pub fn update_s(&self) -> Option<f64> {
        (!self.calm).then_some(PHASES[UPDATE].from_s / self.pace)
    }

    pub fn phase(&self, elapsed_s: f64) -> &'static Phase {
        if self.calm {
            return &CALM;
        }
        let story_s = elapsed_s * self.pace;
        PHASES.iter().rev().find(|phase| phase.from_s <= story_s).unwrap_or(&PHASES[0])
    }

    /// How many times as often as usual complaints about the incident's product come now.
    pub fn complaints_times(&self, elapsed_s: f64) -> f64 {
        if self.calm {
            return CALM.complaints_times;
        }
        let story_s = elapsed_s * self.pace;
        let next = PHASES.iter().position(|phase| phase.from_s > story_s).unwrap_or(PHASES.len());
        match (PHASES.get(next.wrapping_sub(1)), PHASES.get(next)) {
            (Some(before), Some(after)) => {
                let part = (story_s - before.from_s) / (after.from_s - before.from_s);
                before.complaints_times + part * (after.complaints_times - before.complaints_times)
            }
            (Some(last), None) => last.complaints_times,
            (None, _) => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_rise_after_the_update_and_ebb() {
        let timeline = Timeline::new(None);
        let times: Vec<f64> = [0.0, 14.9, 20.0, 25.0, 60.0, 120.0, 1000.0].map(|s| timeline.complaints_times(s)).into();
        assert_eq!(times, [1.0, 1.0, 6.0, 10.5, 15.0, 8.5, 1.0]);
        assert_eq!(timeline.phase(16.0), &PHASES[UPDATE]);
    }

    #[test]
    fn a_short_run_hears_the_whole_rise() {
        let timeline = Timeline::new(Some(8.0));
        assert_eq!(timeline.update_s(), Some(2.0));
        assert_eq!(timeline.complaints_times(4.0), 15.0);
        assert_eq!(Timeline::new(Some(600.0)).update_s(), Some(15.0));
    }

    #[test]
    fn on_a_calm_day_nothing_rises() {
        let timeline = Timeline::calm();
        assert_eq!((timeline.update_s(), timeline.complaints_times(60.0)), (None, 1.0));
        assert_eq!(timeline.phase(60.0), &CALM);
    }

    #[test]
    fn phases_are_in_order_and_one_is_five_to_ten_times() {
        assert!(PHASES.windows(2).all(|pair| pair[0].from_s < pair[1].from_s));
        assert!(PHASES.iter().any(|phase| (5.0..=10.0).contains(&phase.complaints_times)));
        assert!(super::super::catalogue::PRODUCTS.iter().any(|product| product.id == PRODUCT));
    }
}
