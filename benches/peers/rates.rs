//! How fast, and at what cost.

use super::answers::Answers;
use super::broker::{Broker, PARTITIONS, Record, Supply};
use super::contender::Contender;
use super::figures::{Cell, Part};
use super::running::{Cost, Runner};
use super::{Outcome, median};

/// What one contender did in one round.
struct Round {
    rate: f64,
    cost: Cost,
    answers: Option<Answers>,
}

/// All contenders in turn, over the same records, of which the first `warm` are not measured.
pub fn compare(
    broker: &Broker,
    part: &str,
    contenders: &[Contender],
    records: &[Record],
    warm: usize,
    rounds: usize,
) -> Outcome<Part> {
    println!("{part}: warming the broker up");
    measure(broker, contenders[0], &format!("{part}-warm"), records, warm)?;
    let mut measured: Vec<Vec<Round>> = contenders.iter().map(|_| Vec::new()).collect();
    for number in 0..rounds {
        for (contender, rounds) in contenders.iter().zip(&mut measured) {
            let mut round = measure(broker, *contender, &format!("{part}{number}"), records, warm)?;
            println!(
                "  round {number}: {}: {:.0} events/s, {:.1} µs of processor time an event, {:.0} MiB",
                contender.title(),
                round.rate,
                1e6 * round.cost.cpu_seconds,
                round.cost.peak_mib
            );
            if number > 0 {
                round.answers = None;
            }
            rounds.push(round);
        }
    }
    say_whether_the_same(contenders, &measured);
    let cells = contenders.iter().zip(&measured).map(|(contender, rounds)| {
        let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
        let values = vec![
            ("rate", of(|round| round.rate)),
            ("cpu_us", of(|round| 1e6 * round.cost.cpu_seconds)),
            ("peak_mib", of(|round| round.cost.peak_mib)),
        ];
        Cell::new(contender.name(), values)
    });
    let part = Part { name: part.to_owned(), cells: cells.collect() };
    let ours = part.value(contenders[0].name(), "rate")?;
    for contender in contenders {
        let rate = part.value(contender.name(), "rate")?;
        println!("{}: {}: {rate:.0} events/s; ours ÷ it = {:.2}", part.name, contender.title(), ours / rate);
    }
    Ok(part)
}

/// A backlog that can be read from one moment on, until all of it is committed, or written by those who commit before.
fn measure(broker: &Broker, contender: Contender, trial: &str, records: &[Record], warm: usize) -> Outcome<Round> {
    let mut runner = Runner::new(broker, contender, trial)?;
    let (input, output) = (runner.input(), runner.output());
    let (first, measured) = records.split_at(warm);
    runner.start()?;
    broker.feed(&input, first, Supply::Live, || Ok(()))?;
    wait(&mut runner, &output, warm, 0)?;
    let before = runner.cost()?;
    let took = broker.feed(&input, measured, Supply::Backlog, || {
        // The marker that ends the writer's transaction takes an offset in each partition.
        wait(&mut runner, &output, records.len(), 1)
    })?;
    let after = runner.cost()?;
    runner.stop()?;
    let count = measured.len() as f64;
    Ok(Round {
        rate: count / took.as_secs_f64(),
        cost: Cost { cpu_seconds: (after.cpu_seconds - before.cpu_seconds) / count, peak_mib: after.peak_mib },
        answers: Some(Answers::read(broker, &output)?),
    })
}

fn wait(runner: &mut Runner<'_>, output: &str, records: usize, markers: i64) -> Outcome<()> {
    if runner.contender.commits_in_the_background() {
        return runner.wait_until(|runner| {
            let written: i64 = runner.ends(output)?.iter().sum();
            Ok(written >= i64::try_from(records)?)
        });
    }
    let ends: Vec<i64> = runner.ends(&runner.input())?.iter().map(|end| end - markers).collect();
    debug_assert_eq!(ends.len(), PARTITIONS as usize);
    runner.wait_until(|runner| Ok(runner.left(&ends)? == 0))
}

/// It would be no comparison if they did not do the same.
fn say_whether_the_same(contenders: &[Contender], rounds: &[Vec<Round>]) {
    let answers: Vec<Option<&Answers>> = rounds.iter().map(|rounds| rounds[0].answers.as_ref()).collect();
    for (contender, theirs) in contenders.iter().zip(&answers).skip(1) {
        let (Some(ours), Some(theirs)) = (answers[0], theirs) else { continue };
        let likeness = ours.likeness(theirs);
        println!(
            "  {} says the same as {} of {} of {} events; probabilities differ by {:.1e} at most",
            contender.title(),
            contenders[0].title(),
            likeness.same,
            likeness.events,
            likeness.largest
        );
    }
}
