use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::{SpanRelativeTo, Timestamp};

use super::letter::Letter;
use crate::event::Reason;

/// Which letters are meant; all where nothing is said.
#[derive(Clone, Debug, Default, Args)]
pub struct Filter {
    /// Only letters of these reasons.
    #[arg(long, value_name = "REASON", value_delimiter = ',', value_parser = PossibleValuesParser::new(Reason::ALL.map(Reason::name)))]
    pub reason: Vec<String>,

    /// Only letters of records from this topic.
    #[arg(long)]
    pub topic: Option<String>,

    /// Only letters of records from this partition of their topic.
    #[arg(long, value_name = "N")]
    pub partition: Option<i32>,

    /// Only letters written since then: a time as in 2026-11-23T08:00:00Z, or how long ago, as in 30m, 12h, 7d.
    #[arg(long, value_name = "TIME", value_parser = since_now)]
    pub since: Option<Timestamp>,
}

impl Filter {
    pub fn takes(&self, letter: &Letter) -> bool {
        let named = |name: &str, wanted: &str| letter.ours(name).as_deref() == Some(wanted);
        let since = self.since.map(Timestamp::as_millisecond);
        (self.reason.is_empty() || self.reason.iter().any(|reason| named("reason", reason)))
            && self.topic.as_ref().is_none_or(|topic| named("topic", topic))
            && self.partition.is_none_or(|partition| named("partition", &partition.to_string()))
            && since.is_none_or(|since| letter.0.timestamp_ms.is_some_and(|written| written >= since))
    }
}

fn since_now(text: &str) -> Result<Timestamp, String> {
    since(text, Timestamp::now())
}

fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let expected = || "expected a time as in 2026-11-23T08:00:00Z, or how long ago, as in 30m, 12h, 7d".to_owned();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let span: jiff::Span = text.parse().map_err(|_| expected())?;
    let ago = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| expected())?;
    now.checked_sub(ago.abs()).map_err(|_| expected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DeadLetterPayload;

    fn takes(change: impl FnOnce(&mut Filter)) -> bool {
        let mut filter = Filter::default();
        change(&mut filter);
        filter.takes(&super::super::letter::tests::letter(DeadLetterPayload::Raw))
    }

    #[test]
    fn every_filter_lets_its_letters_pass_and_no_others() {
        assert!(takes(|_| {}));
        assert!(takes(|f| f.reason = vec!["missing".into(), "malformed".into()]));
        assert!(!takes(|f| f.reason = vec!["missing".into()]));
        assert!(takes(|f| f.topic = Some("reviews".into())) && !takes(|f| f.topic = Some("chats".into())));
        assert!(
            takes(|f| f.partition = Some(3)) && !takes(|f| f.partition = Some(0)),
            "the record's, not the letter's"
        );
        let at = |ms| Timestamp::from_millisecond(ms).ok();
        assert!(takes(|f| f.since = at(1_700_000_100_000)) && !takes(|f| f.since = at(1_700_000_100_001)));
    }

    #[test]
    fn times_are_absolute_or_ago() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        let check =
            |text: &str, expected: &str| assert_eq!(since(text, now).map(|t| t.to_string()), Ok(expected.into()));
        check("2026-11-22T08:00:00+08:00", "2026-11-22T00:00:00Z");
        check("30m", "2026-11-23T11:30:00Z");
        check("1d12h", "2026-11-22T00:00:00Z");
        for bad in ["", "yesterday", "12", "1mo", "2026-11-22"] {
            assert!(since(bad, now).is_err(), "{bad}");
        }
    }
}
