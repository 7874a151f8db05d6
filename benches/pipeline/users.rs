//! What a million users cost the clicks stage: memory against its budget, clicks a second against ten thousand users, and
//! how long the state takes to come back, from its local copy and from the changelog alone.

use std::ops::Range;
use std::time::Instant;

use super::broker::{Broker, Record, Supply};
use super::clicks::Trial;
use super::shoppers::{ITEMS, START_MS, click, clicks};
use super::{CLICKS_SETTINGS, Outcome, resident_mib};

const FEW: u32 = 10_000;
const MANY: u32 = 1_000_000;
/// Of each user, before anything is measured.
const VISIT: u32 = 2;
/// Sent at a time, so that the records themselves take little room.
const PART: u32 = 100_000;
const MEASURED: usize = 500_000;
/// Clicks that see whether the state is back: enough to meet every partition.
const LAST: usize = 64;
const MEBI: f64 = (1 << 20) as f64;

/// Prints a line a number of users, and the ratio.
pub fn measure(broker: &Broker) -> Outcome<()> {
    let few = of(broker, FEW)?;
    let many = of(broker, MANY)?;
    println!("users: {many:.0} clicks/s of {MANY} users ÷ {few:.0} clicks/s of {FEW} = {:.3}", many / few);
    Ok(())
}

/// Clicks a second by users of whom all are known already.
fn of(broker: &Broker, users: u32) -> Outcome<f64> {
    let name = format!("users{users}");
    let mut trial = Trial::start(broker, &name, &CLICKS_SETTINGS)?;
    let began = Instant::now();
    for first in (0..users).step_by(PART as usize) {
        let part = first..users.min(first + PART);
        trial.rate(&visits(part), Supply::Backlog)?;
    }
    println!("  {users} users, {VISIT} clicks each: {:.0} s", began.elapsed().as_secs_f64());
    let measured = clicks(MEASURED, users);
    let rate = trial.rate(&measured, Supply::Backlog)?;
    drop(measured);
    let size = trial.size();
    println!(
        "  {users} users: {rate:.0} clicks/s; {:.0} entries in memory, {:.0} of {:.0} MiB; {:.0} MiB on disk; process {:.0} MiB",
        size.entries,
        size.memory / MEBI,
        size.limit / MEBI,
        size.local / MEBI,
        resident_mib()?,
    );
    for (how, keep) in [("its local copies", true), ("its changelog alone", false)] {
        trial = trial.again(&name, &CLICKS_SETTINGS, keep)?;
        let seconds = trial.through(&clicks(MEASURED, users)[MEASURED - LAST..])?;
        println!("  {users} users: with {how} the state is back in {seconds:.1} s, joining the group included");
    }
    trial.stop()?;
    Ok(rate)
}

/// A short visit by each of these users, of up to a million, one after the other: before what is measured.
fn visits(users: Range<u32>) -> Vec<Record> {
    let numbered = users.flat_map(|user| (0..VISIT).map(move |number| (user, number)));
    numbered
        .map(|(user, number)| {
            let at_ms = START_MS - 20_000_000 + u64::from(user) * 10 + u64::from(number);
            click(
                &format!("v-{user}-{number}"),
                at_ms,
                user,
                user.wrapping_mul(7919).wrapping_add(number) % ITEMS,
                "view",
            )
        })
        .collect()
}
