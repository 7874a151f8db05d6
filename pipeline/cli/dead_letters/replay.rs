use std::collections::BTreeMap;

use bytes::Bytes;
use clap::Args;

use super::filter::Filter;
use super::letter::{Letter, Position, Unreadable, key};
use super::reader::Reader;
use super::sender::{Returning, Sender, Trouble};
use crate::cli::Outcome;
use crate::cli::out;
use crate::cli::settings::ConfigArgs;
use crate::cli::stop::Stop;
use crate::cli::table::count;
use crate::config::{SecretKey, Settings};
use crate::event::{Error, Fault};

/// Letters in one transaction: a fraction of a second's work, far within the transaction's time-out.
const BATCH_LETTERS_MAX: usize = 500;
/// Bytes of payloads in one transaction.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// Send dead letters back to the topics they came from, each once.
///
/// A letter's record goes back to its topic and partition with its own key, payload, headers and timestamp, and with a
/// header groundswell.attempts that counts how often. Records and the offsets of their letters are committed in one
/// transaction, in the name of the group <kafka.group_prefix>-dead-letters-replay: a replay that is killed doubles
/// nothing and loses nothing, and the next one goes on where it ended. A second replay at the same time ends the first.
///
/// Every run goes on to the end of what is there when it begins. What the filters do not take is passed over, and counts
/// as seen. To come back to it, say --from-beginning, with filters that leave out what was replayed before: that would be
/// sent once more. Such a look back is not remembered itself; begun again, it sends again.
///
/// Withheld letters cannot be replayed: they are named, passed over, and give exit code 1. An encrypted letter for which
/// no key is configured ends the replay before it.
///
/// Example: groundswell dead-letters replay --reason model --since 12h --dry-run
#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    config: ConfigArgs,

    #[command(flatten)]
    filter: Filter,

    /// Leave letters whose record was replayed so often before; they count as seen.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    attempts_max: u32,

    /// Stop after so many; the next run goes on behind them.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Begin with the oldest letter there is, whatever was replayed before.
    #[arg(long)]
    from_beginning: bool,

    /// Say what would be sent, and send nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What became of the letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    replayed: u64,
    passed_over: u64,
    left: u64,
    not_replayable: u64,
}

impl Replay {
    pub fn run(self) -> Result<Outcome, Error> {
        let settings = self.config.load()?;
        let mut reader = Reader::open(&settings)?;
        // The sender comes before the look at what was replayed: it ends a replay that may still go on.
        let sender = if self.dry_run { None } else { Some(Sender::new(&settings)?) };
        let first = reader.bounds().iter().map(|(&partition, bounds)| (partition, bounds.first));
        let mut from: BTreeMap<i32, i64> = first.collect();
        let replayed = reader.committed()?;
        if !self.from_beginning {
            from.extend(&replayed);
        }
        let behind: i64 =
            reader.bounds().iter().map(|(at, bounds)| from.get(at).map_or(0, |at| at - bounds.first)).sum();
        let topics = reader.partition_counts()?;
        reader.start(&from)?;
        let mut run = Run {
            judge: Judge { filter: &self.filter, attempts_max: self.attempts_max, key: key(&settings), topics },
            sender,
            batch: Vec::new(),
            seen: BTreeMap::new(),
            replayed,
            tally: Tally::default(),
        };
        let ended = self.read(&mut reader, &mut run);
        out::line(summary(&run.tally, &settings, self.dry_run))?;
        if run.tally == Tally::default() && behind > 0 {
            // Ends of transactions take offsets too.
            out::line(format_args!("at most {behind} older ones were seen by a replay before: --from-beginning"))?;
        }
        ended?;
        Ok(if run.tally.not_replayable == 0 { Outcome::Done } else { Outcome::SomeInputFailed })
    }

    fn read(&self, reader: &mut Reader, run: &mut Run<'_>) -> Result<(), Error> {
        let stop = Stop::on_signal()?;
        let mut bytes = 0;
        while !stop.is_asked() && self.limit.is_none_or(|limit| run.tally.replayed + (run.batch.len() as u64) < limit) {
            let Some(letter) = reader.next()? else { break };
            bytes += letter.0.bytes();
            if let Err(error) = run.take(&letter) {
                run.send(reader)?;
                return Err(error);
            }
            if run.batch.len() >= BATCH_LETTERS_MAX || bytes >= BATCH_BYTES_MAX {
                run.send(reader)?;
                bytes = 0;
            }
        }
        run.send(reader)
    }
}

/// A replay under way.
struct Run<'a> {
    judge: Judge<'a>,
    /// `None`: nothing is sent.
    sender: Option<Sender>,
    batch: Vec<Returning>,
    /// The offsets behind what was seen since the last commit.
    seen: BTreeMap<i32, i64>,
    /// What the group had committed before.
    replayed: BTreeMap<i32, i64>,
    tally: Tally,
}

impl Run<'_> {
    fn take(&mut self, letter: &Letter) -> Result<(), Error> {
        let position = letter.position();
        match self.judge.verdict(letter)? {
            Verdict::Replay(returning) => self.batch.push(returning),
            Verdict::PassOver => self.tally.passed_over += 1,
            Verdict::Leave { attempts } => {
                self.tally.left += 1;
                eprintln!("{position} is left: it was replayed {} before", count(attempts.into(), "time", "times"));
            }
            Verdict::NotReplayable(why) => self.refuse(position, &why),
        }
        self.seen.insert(position.partition, position.offset + 1);
        Ok(())
    }

    fn refuse(&mut self, position: Position, why: &str) {
        self.tally.not_replayable += 1;
        eprintln!("{position} cannot be replayed: {why}");
    }

    /// Sends what is gathered and commits what was seen.
    fn send(&mut self, reader: &Reader) -> Result<(), Error> {
        let (batch, seen) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.seen));
        let Some(mut sender) = self.sender.take() else {
            batch.iter().try_for_each(|record| out::line(would_send(record)))?;
            self.tally.replayed += batch.len() as u64;
            return Ok(());
        };
        let sent = if seen.is_empty() { Ok(()) } else { self.send_some(&mut sender, reader, &batch, &seen) };
        self.sender = Some(sender);
        sent
    }

    /// A record that the broker refuses does not fail those beside it: the batch is halved until it stands alone.
    fn send_some(
        &mut self,
        sender: &mut Sender,
        reader: &Reader,
        batch: &[Returning],
        seen: &BTreeMap<i32, i64>,
    ) -> Result<(), Error> {
        let offsets = reader.list(&never_back(seen, &self.replayed))?;
        match sender.send(batch, &offsets, &reader.group()?) {
            Ok(()) => {
                self.tally.replayed += batch.len() as u64;
                Ok(())
            }
            Err(Trouble::Over(error)) => Err(error),
            Err(Trouble::Refused(why)) => match batch {
                [] => Err(Error::new(Fault::Bug, format!("a transaction without records was refused: {why}"))),
                [alone] => {
                    self.refuse(alone.letter, &why);
                    self.send_some(sender, reader, &[], seen)
                }
                _ => {
                    let (ahead, behind) = batch.split_at(batch.len() / 2);
                    self.send_some(sender, reader, ahead, &offsets_behind(ahead))?;
                    self.send_some(sender, reader, behind, seen)
                }
            },
        }
    }
}

/// Letters come in the order of each partition, so the last of each stands for those before it.
fn offsets_behind(batch: &[Returning]) -> BTreeMap<i32, i64> {
    batch.iter().map(|record| (record.letter.partition, record.letter.offset + 1)).collect()
}

/// A look back from the beginning must not make the next run send again what is behind it.
fn never_back(offsets: &BTreeMap<i32, i64>, replayed: &BTreeMap<i32, i64>) -> BTreeMap<i32, i64> {
    let later =
        |(&partition, &offset): (&i32, &i64)| (partition, offset.max(replayed.get(&partition).copied().unwrap_or(0)));
    offsets.iter().map(later).collect()
}

fn would_send(record: &Returning) -> String {
    let Returning { letter, topic, partition, content, .. } = record;
    let partition = partition.map_or_else(|| "by key".into(), |partition| partition.to_string());
    let bytes = content.payload.as_ref().map_or(0, Bytes::len);
    format!("{letter} would go to {topic}/{partition}, {bytes} bytes, attempt {}", content.attempts.saturating_add(1))
}

/// What happens to a letter.
#[derive(Debug)]
enum Verdict {
    Replay(Returning),
    /// The filters do not take it.
    PassOver,
    /// It was replayed often enough.
    Leave {
        attempts: u32,
    },
    NotReplayable(String),
}

struct Judge<'a> {
    filter: &'a Filter,
    attempts_max: u32,
    key: Option<&'a SecretKey>,
    /// Partitions of every topic there is.
    topics: BTreeMap<String, i32>,
}

impl Judge<'_> {
    /// An error ends the replay before this letter counts as seen.
    fn verdict(&self, letter: &Letter) -> Result<Verdict, Error> {
        if !self.filter.takes(letter) {
            return Ok(Verdict::PassOver);
        }
        let (content, origin) = match (letter.content(self.key), letter.origin()) {
            (Err(Unreadable::NoKey), _) => return Err(no_key(letter.position())),
            (Err(why), _) => return Ok(Verdict::NotReplayable(why.why().into())),
            (Ok(_), None) => return Ok(Verdict::NotReplayable(Unreadable::Foreign.why().into())),
            (Ok(content), Some(origin)) => (content, origin),
        };
        if content.attempts >= self.attempts_max {
            return Ok(Verdict::Leave { attempts: content.attempts });
        }
        let Some(&partitions) = self.topics.get(&*origin.topic) else {
            return Ok(Verdict::NotReplayable(format!("topic {} is not there", origin.topic)));
        };
        Ok(Verdict::Replay(Returning {
            letter: letter.position(),
            partition: Some(origin.partition).filter(|partition| (0..partitions).contains(partition)),
            topic: origin.topic,
            timestamp_ms: letter.record_timestamp_ms(),
            content,
        }))
    }
}

fn no_key(position: Position) -> Error {
    Error::new(Fault::Config, format!("letter {position} is encrypted and no key is configured"))
        .hint("set dead_letters.payload to \"encrypted\" and dead_letters.key to the key it was written under")
}

fn summary(tally: &Tally, settings: &Settings, dry_run: bool) -> String {
    let done = if dry_run { "would be replayed" } else { "replayed" };
    let mut parts = vec![format!("{} {done}", count(tally.replayed, "letter", "letters"))];
    let mut add = |number: u64, what: &str| {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    };
    add(tally.passed_over, "passed over by the filters");
    add(tally.left, "left (--attempts-max)");
    add(tally.not_replayable, "not replayable");
    format!("{}: {}", settings.outputs.dead_letters, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;
    use crate::config::DeadLetterPayload;

    fn verdict(letter: &Letter, attempts_max: u32, topics: &[(&str, i32)], filter: &Filter) -> Result<String, String> {
        let topics = topics.iter().map(|(name, partitions)| ((*name).to_owned(), *partitions)).collect();
        let judge = Judge { filter, attempts_max, key: None, topics };
        match judge.verdict(letter) {
            Ok(Verdict::Replay(record)) => Ok(would_send(&record)),
            Ok(Verdict::PassOver) => Ok("passed over".into()),
            Ok(Verdict::Leave { attempts }) => Ok(format!("left after {attempts}")),
            Ok(Verdict::NotReplayable(why)) => Ok(why),
            Err(error) => Err(error.message),
        }
    }

    #[test]
    fn a_letter_goes_back_is_left_or_cannot_go() {
        let all = Filter::default();
        let raw = letter(DeadLetterPayload::Raw);
        let check = |attempts_max, topics: &[(&str, i32)], expected: &str| {
            assert_eq!(verdict(&raw, attempts_max, topics, &all), Ok(expected.into()));
        };
        check(3, &[("reviews", 6)], "0/7 would go to reviews/3, 1 bytes, attempt 2");
        check(3, &[("reviews", 2)], "0/7 would go to reviews/by key, 1 bytes, attempt 2");
        check(3, &[("chats", 6)], "topic reviews is not there");
        check(1, &[("reviews", 6)], "left after 1");
        let chats = Filter { topic: Some("chats".into()), ..Filter::default() };
        assert_eq!(verdict(&raw, 3, &[], &chats), Ok("passed over".into()));
        let withheld = letter(DeadLetterPayload::Withheld);
        assert_eq!(verdict(&withheld, 3, &[], &all), Ok("its payload was withheld".into()));
        let encrypted = letter(DeadLetterPayload::Encrypted(SecretKey([7; 32])));
        assert_eq!(verdict(&encrypted, 3, &[], &all), Err("letter 0/7 is encrypted and no key is configured".into()));
        assert_eq!(verdict(&encrypted, 3, &[], &chats), Ok("passed over".into()));
    }

    #[test]
    fn offsets_stand_behind_the_last_letter_of_each_partition() {
        let judge = Judge {
            filter: &Filter::default(),
            attempts_max: 3,
            key: None,
            topics: BTreeMap::from([("reviews".to_owned(), 6)]),
        };
        let batch: Vec<Returning> = [(0, 7), (1, 3), (0, 9)]
            .map(|(partition, offset)| {
                let mut letter = letter(DeadLetterPayload::Raw);
                (letter.0.origin.partition, letter.0.origin.offset) = (partition, offset);
                match judge.verdict(&letter) {
                    Ok(Verdict::Replay(record)) => record,
                    other => panic!("{other:?}"),
                }
            })
            .into();
        assert_eq!(offsets_behind(&batch), BTreeMap::from([(0, 10), (1, 4)]));
        let replayed = BTreeMap::from([(0, 50), (1, 2)]);
        assert_eq!(never_back(&offsets_behind(&batch), &replayed), BTreeMap::from([(0, 50), (1, 4)]));
    }
}
