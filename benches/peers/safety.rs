//! What a sudden end costs: events lost, events doubled, answers changed.

use std::thread;
use std::time::Instant;

use fastrand::Rng;

use super::answers::Answers;
use super::broker::{Broker, Record, Supply};
use super::contender::Contender;
use super::figures::{Cell, Part};
use super::running::Runner;
use super::{Outcome, median};

pub fn compare(
    broker: &Broker,
    part: &str,
    contenders: &[Contender],
    records: &[Record],
    kills: usize,
) -> Outcome<Part> {
    println!("{part}: {kills} kills in {} events", records.len());
    let mut cells = Vec::new();
    let mut reference: Option<Answers> = None;
    for contender in contenders {
        let reference = match &mut reference {
            Some(reference) => &*reference,
            none => none.insert(undisturbed(broker, *contender, part, records)?),
        };
        let (answers, back) = disturbed(broker, *contender, part, records, kills)?;
        let differences = answers.differences(reference);
        let back = median(back);
        println!(
            "  {}: {} lost, {} doubled, {} changed; back at work {back:.1} s after a kill",
            contender.title(),
            differences.lost,
            differences.doubled,
            differences.changed
        );
        let values = vec![
            ("lost", differences.lost as f64),
            ("doubled", differences.doubled as f64),
            ("changed", differences.changed as f64),
            ("back_s", back),
            ("kills", kills as f64),
            ("events", records.len() as f64),
        ];
        cells.push(Cell::new(contender.name(), values));
    }
    Ok(Part { name: part.to_owned(), cells })
}

fn undisturbed(broker: &Broker, contender: Contender, part: &str, records: &[Record]) -> Outcome<Answers> {
    let mut runner = Runner::new(broker, contender, &format!("{part}-quiet"))?;
    let (input, output) = (runner.input(), runner.output());
    broker.feed(&input, records, Supply::Live, || Ok(()))?;
    runner.start()?;
    let ends = runner.ends(&input)?;
    runner.wait_until(|runner| Ok(runner.left(&ends)? == 0))?;
    runner.stop()?;
    let answers = Answers::read(broker, &output)?;
    if answers.len() != records.len() {
        return Err(format!("{} of {} events were answered undisturbed", answers.len(), records.len()).into());
    }
    Ok(answers)
}

/// The answers, and after each kill the seconds until something new was committed.
///
/// Every other kill comes as soon as a commit is seen, which is when most is under way that a commit might have promised;
/// the others at any time between two commits.
fn disturbed(
    broker: &Broker,
    contender: Contender,
    part: &str,
    records: &[Record],
    kills: usize,
) -> Outcome<(Answers, Vec<f64>)> {
    let mut runner = Runner::new(broker, contender, part)?;
    let (input, output) = (runner.input(), runner.output());
    broker.feed(&input, records, Supply::Live, || Ok(()))?;
    let ends = runner.ends(&input)?;
    let (mut rng, mut back) = (Rng::with_seed(7), Vec::new());
    let mut before = records.len();
    for kill in 0..kills {
        let started = Instant::now();
        runner.start()?;
        runner.wait_until(|runner| Ok(runner.left(&ends)? < before))?;
        if kill > 0 {
            back.push(started.elapsed().as_secs_f64());
        }
        // Spread over the input, so that there is something left for the last one.
        let at = records.len() * (kills - kill) / (kills + 1);
        runner.wait_until(|runner| Ok(runner.left(&ends)? <= at))?;
        if kill % 2 == 1 {
            thread::sleep(contender.commit_every().mul_f32(rng.f32()));
        }
        runner.kill()?;
        before = runner.left(&ends)?;
    }
    let started = Instant::now();
    runner.start()?;
    if before > 0 {
        runner.wait_until(|runner| Ok(runner.left(&ends)? < before))?;
        back.push(started.elapsed().as_secs_f64());
    }
    runner.wait_until(|runner| Ok(runner.left(&ends)? == 0))?;
    // What was committed before it was written is written by then.
    thread::sleep(contender.commit_every());
    runner.stop()?;
    Ok((Answers::read(broker, &output)?, back))
}
