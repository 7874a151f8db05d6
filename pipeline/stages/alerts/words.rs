//! An alert in one sentence, in English and in Chinese.

use std::fmt::Write;

use jiff::Timestamp;

use super::scope;
use crate::config::{Signal, Statistic};
use crate::event::v1;

/// What the sentences are made of.
pub struct Said<'a> {
    pub scope: &'a str,
    pub signal: Signal,
    pub since_ms: i64,
    pub evidence: &'a v1::Evidence,
    pub emerging: bool,
}

impl Said<'_> {
    /// Whether the part that is named first is most of the excess.
    fn is_mostly(&self) -> bool {
        self.evidence.parts.first().is_some_and(|part| part.excess_share >= 0.5)
    }
}

/// Drivers that are named.
const NAMED: usize = 3;

/// What both languages say, each in its own words.
struct Figures {
    window: String,
    observed: String,
    texts: String,
    expected: String,
    /// Between the two the language's own word stands.
    range: [String; 2],
    since: String,
    /// Of what is counted, the part that was not.
    discounted: Option<String>,
    /// Whether what is counted is one of it.
    is_one: bool,
}

impl Figures {
    fn of(said: &Said, units: &[&str; 3]) -> Figures {
        let Said { evidence, .. } = said;
        let shown = match said.signal.statistic() {
            _ if said.signal == Signal::MeanSentiment => score,
            Statistic::Count => round,
            Statistic::Share => percent,
        };
        let (observed, texts) = (shown(evidence.observed), round(evidence.texts));
        let counted = if said.signal.statistic() == Statistic::Count { &observed } else { &texts };
        Figures {
            window: duration(evidence.window_ms, units),
            is_one: counted == "1",
            observed,
            texts,
            expected: shown(evidence.expected),
            range: [evidence.expected_low, evidence.expected_high].map(shown),
            since: clock(said.since_ms),
            discounted: (evidence.discounted_share >= 0.1).then(|| percent(evidence.discounted_share)),
        }
    }
}

pub fn english(said: &Said) -> String {
    let Figures { window, observed, texts, expected, range: [low, high], since, discounted, is_one } =
        Figures::of(said, &["h", "min", "s"]);
    let (one, many, hits) = english_nouns(said.signal);
    let (noun, are) = if is_one { (one, "is") } else { (many, "are") };
    let scope = named(said.scope, &EN);
    let mut text = match said.signal.statistic() {
        _ if said.signal == Signal::MeanSentiment => format!(
            "{scope}: the mean sentiment of {texts} {noun} in {window} is {observed}, {expected} expected ({low} to {high}), \
             since {since}."
        ),
        Statistic::Count => {
            format!("{scope}: {observed} {noun} in {window}, {expected} expected ({low}–{high}), since {since}.")
        }
        Statistic::Share => format!(
            "{scope}: {observed} of {texts} {noun} in {window} {are} {hits}, {expected} expected ({low}–{high}), since {since}."
        ),
    };
    if said.emerging {
        text.push_str(" It is new.");
    }
    put_list(&mut text, " Mostly about ", &said.evidence.terms, ", ", ".", |term| format!("“{}”", term.name));
    let within = if said.is_mostly() { " Mostly in " } else { " Partly in " };
    put_list(&mut text, within, &said.evidence.parts, ", ", ".", |part| {
        format!("{} ({} of the excess)", named_within(&part.name, &EN), percent(part.excess_share))
    });
    if let Some(discounted) = discounted {
        let what = format_args!(" {discounted} of the {many} are copies or from few writers and were not counted.");
        put(&mut text, what);
    }
    text
}

pub fn chinese(said: &Said) -> String {
    let Figures { window, observed, texts, expected, range: [low, high], since, discounted, .. } =
        Figures::of(said, &["小时", "分钟", "秒"]);
    let (noun, hits) = chinese_nouns(said.signal);
    let scope = named(said.scope, &ZH);
    let mut text = match said.signal.statistic() {
        _ if said.signal == Signal::MeanSentiment => format!(
            "{scope}：{window}内 {texts} {noun}的平均情感为 {observed}，预期 {expected}（{low} 至 {high}），始于 {since}。"
        ),
        Statistic::Count => {
            format!("{scope}：{window}内有 {observed} {noun}，预期 {expected}（{low}–{high}），始于 {since}。")
        }
        Statistic::Share => format!(
            "{scope}：{window}内 {texts} {noun}中有 {observed} 为{hits}，预期 {expected}（{low}–{high}），始于 {since}。"
        ),
    };
    if said.emerging {
        text.push_str("此前未见。");
    }
    put_list(&mut text, "主要涉及", &said.evidence.terms, "、", "。", |term| format!("“{}”", term.name));
    let within = if said.is_mostly() { "主要来自" } else { "部分来自" };
    put_list(&mut text, within, &said.evidence.parts, "、", "。", |part| {
        format!("{}（占增量的 {}）", named_within(&part.name, &ZH), percent(part.excess_share))
    });
    if let Some(discounted) = discounted {
        put(&mut text, format_args!("其中 {discounted} 为重复内容或来自少数用户，未计入。"));
    }
    text
}

/// What is counted, one and many of it, and what is looked for among it.
fn english_nouns(signal: Signal) -> (&'static str, &'static str, &'static str) {
    match signal {
        Signal::Volume | Signal::NegativeShare => ("text", "texts", "negative"),
        Signal::MeanSentiment => ("text", "texts", ""),
        Signal::Users => ("writer, counted by bucket,", "writers, counted by bucket,", ""),
        Signal::Clicks => ("click", "clicks", ""),
        Signal::Purchases => ("purchase", "purchases", ""),
        Signal::Conversion => ("click", "clicks", "purchases"),
        Signal::CartShare => ("cart or purchase", "carts and purchases", "carts, not purchases"),
        Signal::DeadLetters => ("dead letter", "dead letters", ""),
    }
}

fn chinese_nouns(signal: Signal) -> (&'static str, &'static str) {
    match signal {
        Signal::Volume | Signal::NegativeShare => ("条文本", "负面"),
        Signal::MeanSentiment => ("条文本", ""),
        Signal::Users => ("位用户（逐桶计数）", ""),
        Signal::Clicks => ("次点击", ""),
        Signal::Purchases => ("次购买", ""),
        Signal::Conversion => ("次点击", "购买"),
        Signal::CartShare => ("次加购与购买", "加购而非购买"),
        Signal::DeadLetters => ("条死信", ""),
    }
}

/// Everything, brand, product, channel, topic, intent.
const DIMENSIONS: [&str; 8] = ["brand", "product", "channel", "topic", "intent", "category", "input", "reason"];
/// How a language names scopes: everything and each dimension, at the beginning of a sentence and within it.
struct Names {
    first: [&'static str; 9],
    within: [&'static str; 9],
    between: &'static str,
}

const EN: Names = Names {
    first: ["Everything", "Brand ", "Product ", "Channel ", "Topic ", "Intent ", "Category ", "Input ", "Reason "],
    within: EN_WITHIN,
    between: ", ",
};
const EN_WITHIN: [&str; 9] =
    ["everything", "brand ", "product ", "channel ", "topic ", "intent ", "category ", "input ", "reason "];
const ZH_NAMES: [&str; 9] = ["全部", "品牌 ", "商品 ", "渠道 ", "话题 ", "意图 ", "类目 ", "来源 ", "原因 "];
const ZH: Names = Names { first: ZH_NAMES, within: ZH_NAMES, between: "、" };

fn named(name: &str, names: &Names) -> String {
    named_by(name, &names.first, names)
}

fn named_within(name: &str, names: &Names) -> String {
    named_by(name, &names.within, names)
}

fn named_by(name: &str, first: &[&str; 9], names: &Names) -> String {
    let name = scope::bare(name);
    if name == scope::ALL {
        return first[0].to_owned();
    }
    let parts = name.split(',').filter_map(|part| part.split_once('='));
    let one = |(i, (dimension, value)): (usize, (&str, &str))| {
        let words = if i == 0 { first } else { &names.within };
        let place = DIMENSIONS.iter().position(|known| *known == dimension);
        format!("{}{}", place.map_or("", |place| words[place + 1]), scope::unescaped(value))
    };
    parts.enumerate().map(one).collect::<Vec<_>>().join(names.between)
}

fn put_list(
    text: &mut String,
    before: &str,
    drivers: &[v1::Driver],
    between: &str,
    after: &str,
    word: impl Fn(&v1::Driver) -> String,
) {
    if drivers.is_empty() {
        return;
    }
    let words: Vec<String> = drivers.iter().take(NAMED).map(word).collect();
    put(text, format_args!("{before}{}{after}", words.join(between)));
}

fn put(text: &mut String, what: std::fmt::Arguments) {
    // Writing to a string does not fail.
    let _ = text.write_fmt(what);
}

fn percent(share: f64) -> String {
    format!("{} %", round(share * 100.0))
}

/// From -1 to 1.
fn score(score: f64) -> String {
    format!("{score:+.2}")
}

fn round(number: f64) -> String {
    match number {
        // Something is expected, and hardly anything.
        0.000_001..0.05 => "< 0.1".to_owned(),
        ..9.95 if number.fract() > 0.05 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// In hours, minutes or seconds, whichever is whole.
fn duration(ms: i64, [hours, minutes, seconds]: &[&str; 3]) -> String {
    match ms {
        ms if ms % 3_600_000 == 0 => format!("{} {hours}", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{} {minutes}", ms / 60_000),
        ms => format!("{} {seconds}", ms / 1000),
    }
}

/// With seconds where a bucket is no whole minute.
fn clock(ms: i64) -> String {
    let form = if ms % 60_000 == 0 { "%Y-%m-%d %H:%M UTC" } else { "%Y-%m-%d %H:%M:%S UTC" };
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.strftime(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_say_the_same() {
        let driver = |name: &str, share| v1::Driver { name: name.into(), count: 9.0, lift: 8.0, excess_share: share };
        let evidence = v1::Evidence {
            observed: 0.62,
            expected: 0.2,
            expected_low: 0.08,
            expected_high: 0.343,
            texts: 50.0,
            window_ms: 300_000,
            terms: vec![driver("payment page", 0.0), driver("退款失败", 0.0)],
            parts: vec![driver("product=p%2C1", 0.71)],
            discounted_share: 0.25,
            ..v1::Evidence::default()
        };
        let said = Said {
            scope: "brand=Nova,topic=payment",
            signal: Signal::NegativeShare,
            since_ms: 1_795_341_600_000,
            evidence: &evidence,
            emerging: false,
        };
        assert_eq!(
            english(&said),
            "Brand Nova, topic payment: 62 % of 50 texts in 5 min are negative, 20 % expected (8 %–34 %), since 2026-11-22 \
             10:00 UTC. Mostly about “payment page”, “退款失败”. Mostly in product p,1 (71 % of the excess). 25 % of the \
             texts are copies or from few writers and were not counted."
        );
        assert_eq!(
            chinese(&said),
            "品牌 Nova、话题 payment：5 分钟内 50 条文本中有 62 % 为负面，预期 20 %（8 %–34 %），始于 2026-11-22 10:00 UTC。\
             主要涉及“payment page”、“退款失败”。主要来自商品 p,1（占增量的 71 %）。其中 25 % 为重复内容或来自少数用户，未计入。"
        );
        let volume = Said { scope: "all", signal: Signal::Volume, emerging: true, ..said };
        let evidence = v1::Evidence { observed: 812.0, expected: 5.25, window_ms: 60_000, ..v1::Evidence::default() };
        let volume = Said { evidence: &evidence, ..volume };
        let carts =
            v1::Evidence { observed: 0.97, expected: 0.55, texts: 210.0, window_ms: 300_000, ..evidence.clone() };
        let carts = Said {
            scope: "of=checkouts,category=care",
            signal: Signal::CartShare,
            evidence: &carts,
            emerging: false,
            ..volume
        };
        assert_eq!(
            english(&carts),
            "Category care: 97 % of 210 carts and purchases in 5 min are carts, not purchases, 55 % expected (0 %–0 %), \
             since 2026-11-22 10:00 UTC."
        );
        assert_eq!(
            chinese(&carts),
            "类目 care：5 分钟内 210 次加购与购买中有 97 % 为加购而非购买，预期 55 %（0 %–0 %），始于 2026-11-22 10:00 UTC。"
        );
        let sentence = english(&volume);
        assert_eq!(
            sentence,
            "Everything: 812 texts in 1 min, 5.2 expected (0–0), since 2026-11-22 10:00 UTC. It is new."
        );
    }

    #[test]
    fn one_is_one_and_short_buckets_have_seconds() {
        let evidence = v1::Evidence { observed: 1.0, expected: 40.0, window_ms: 10_000, ..v1::Evidence::default() };
        let said = Said {
            scope: "all",
            signal: Signal::Volume,
            since_ms: 1_795_341_610_000,
            evidence: &evidence,
            emerging: false,
        };
        assert_eq!(english(&said), "Everything: 1 text in 10 s, 40 expected (0–0), since 2026-11-22 10:00:10 UTC.");
        assert_eq!(chinese(&said), "全部：10 秒内有 1 条文本，预期 40（0–0），始于 2026-11-22 10:00:10 UTC。");
        let share = v1::Evidence { texts: 1.0, ..evidence.clone() };
        let share = Said { signal: Signal::NegativeShare, evidence: &share, ..said };
        assert!(
            english(&share).starts_with("Everything: 100 % of 1 text in 10 s is negative, "),
            "{}",
            english(&share)
        );
    }
}
