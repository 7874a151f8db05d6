//! Waiting that a machine which stands still for a while does not upset.

use std::thread;
use std::time::{Duration, Instant};

use super::Outcome;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// The most that passes from one look to the next counts as.
const GAP_MAX: Duration = Duration::from_secs(10);

/// How long something may still take, by the time in which the test could look: of minutes in which the whole machine
/// stood still, seconds count.
pub struct Patience {
    most: Duration,
    left: Duration,
    looked: Instant,
}

impl Patience {
    pub fn of(most: Duration) -> Self {
        Self { most, left: most, looked: Instant::now() }
    }

    /// Looks at the clock; true when nothing is left.
    pub fn is_over(&mut self) -> bool {
        let now = Instant::now();
        self.left = self.left.saturating_sub(now.duration_since(self.looked).min(GAP_MAX));
        self.looked = now;
        self.left.is_zero()
    }

    /// Something came forward: all of it is there again.
    pub fn renew(&mut self) {
        *self = Self::of(self.most);
    }
}

/// Asks until the answer is yes; an error names what was waited for.
pub fn wait_until(most: Duration, what: &str, mut done: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let mut patience = Patience::of(most);
    while !done()? {
        if patience.is_over() {
            return Err(format!("waited {most:?} in vain for {what}").into());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}
