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

/// Drivers that are named.
const NAMED: usize = 3;

pub fn english(said: &Said) -> String {
    let Said { evidence, .. } = said;
    let window = minutes(evidence.window_ms);
    let (noun, hits) = english_nouns(said.signal);
    let mut text = match said.signal.statistic() {
        _ if said.signal == Signal::MeanSentiment => format!(
            "{}: the mean sentiment of {} {noun} in {window} is {}, {} expected ({} to {}), since {}.",
            named(said.scope, &EN),
            round(evidence.texts),
            score(evidence.observed),
            score(evidence.expected),
            score(evidence.expected_low),
            score(evidence.expected_high),
            clock(said.since_ms)
        ),
        Statistic::Count => format!(
            "{}: {} {noun} in {window}, {} expected ({}–{}), since {}.",
            named(said.scope, &EN),
            round(evidence.observed),
            round(evidence.expected),
            round(evidence.expected_low),
            round(evidence.expected_high),
            clock(said.since_ms)
        ),
        Statistic::Share => format!(
            "{}: {} of {} {noun} in {window} are {hits}, {} expected ({}–{}), since {}.",
            named(said.scope, &EN),
            percent(evidence.observed),
            round(evidence.texts),
            percent(evidence.expected),
            percent(evidence.expected_low),
            percent(evidence.expected_high),
            clock(said.since_ms)
        ),
    };
    if said.emerging {
        text.push_str(" It is new.");
    }
    put_list(&mut text, " Mostly about ", &evidence.terms, ", ", ".", |term| format!("“{}”", term.name));
    put_list(&mut text, " Mostly in ", &evidence.parts, ", ", ".", |part| {
        format!("{} ({} of the excess)", named(&part.name, &EN_WITHIN), percent(part.excess_share))
    });
    if evidence.discounted_share >= 0.1 {
        put(
            &mut text,
            format_args!(
                " {} of the {noun} are copies or from few writers and were not counted.",
                percent(evidence.discounted_share)
            ),
        );
    }
    text
}

pub fn chinese(said: &Said) -> String {
    let Said { evidence, .. } = said;
    let window = chinese_minutes(evidence.window_ms);
    let (noun, hits) = chinese_nouns(said.signal);
    let mut text = match said.signal.statistic() {
        _ if said.signal == Signal::MeanSentiment => format!(
            "{}：{window}内 {} {noun}的平均情感为 {}，预期 {}（{} 至 {}），始于 {}。",
            named(said.scope, &ZH),
            round(evidence.texts),
            score(evidence.observed),
            score(evidence.expected),
            score(evidence.expected_low),
            score(evidence.expected_high),
            clock(said.since_ms)
        ),
        Statistic::Count => format!(
            "{}：{window}内有 {} {noun}，预期 {}（{}–{}），始于 {}。",
            named(said.scope, &ZH),
            round(evidence.observed),
            round(evidence.expected),
            round(evidence.expected_low),
            round(evidence.expected_high),
            clock(said.since_ms)
        ),
        Statistic::Share => format!(
            "{}：{window}内 {} {noun}中有 {} 为{hits}，预期 {}（{}–{}），始于 {}。",
            named(said.scope, &ZH),
            round(evidence.texts),
            percent(evidence.observed),
            percent(evidence.expected),
            percent(evidence.expected_low),
            percent(evidence.expected_high),
            clock(said.since_ms)
        ),
    };
    if said.emerging {
        text.push_str("此前未见。");
    }
    put_list(&mut text, "主要涉及", &evidence.terms, "、", "。", |term| format!("“{}”", term.name));
    put_list(&mut text, "主要来自", &evidence.parts, "、", "。", |part| {
        format!("{}（占增量的 {}）", named(&part.name, &ZH), percent(part.excess_share))
    });
    if evidence.discounted_share >= 0.1 {
        put(&mut text, format_args!("其中 {} 为重复内容或来自少数用户，未计入。", percent(evidence.discounted_share)));
    }
    text
}

/// What is counted, and what is looked for among it.
fn english_nouns(signal: Signal) -> (&'static str, &'static str) {
    match signal {
        Signal::Volume | Signal::NegativeShare => ("texts", "negative"),
        Signal::MeanSentiment => ("texts", ""),
        Signal::Users => ("writers, counted by bucket,", ""),
        Signal::Clicks => ("clicks", ""),
        Signal::Purchases => ("purchases", ""),
        Signal::CartShare => ("carts and purchases", "carts, not purchases"),
        Signal::DeadLetters => ("dead letters", ""),
    }
}

fn chinese_nouns(signal: Signal) -> (&'static str, &'static str) {
    match signal {
        Signal::Volume | Signal::NegativeShare => ("条", "负面"),
        Signal::MeanSentiment => ("条", ""),
        Signal::Users => ("位用户（逐桶计数）", ""),
        Signal::Clicks => ("次点击", ""),
        Signal::Purchases => ("次购买", ""),
        Signal::CartShare => ("次加购与购买", "加购而非购买"),
        Signal::DeadLetters => ("封死信", ""),
    }
}

/// Everything, brand, product, channel, topic, intent.
const DIMENSIONS: [&str; 8] = ["brand", "product", "channel", "topic", "intent", "category", "input", "reason"];
const EN: [&str; 9] =
    ["Everything", "Brand ", "Product ", "Channel ", "Topic ", "Intent ", "Category ", "Input ", "Reason "];
const EN_WITHIN: [&str; 9] =
    ["everything", "brand ", "product ", "channel ", "topic ", "intent ", "category ", "input ", "reason "];
const ZH: [&str; 9] = ["全部", "品牌 ", "商品 ", "渠道 ", "话题 ", "意图 ", "类目 ", "来源 ", "原因 "];

fn named(name: &str, words: &[&str; 9]) -> String {
    let name = scope::bare(name);
    if name == scope::ALL {
        return words[0].to_owned();
    }
    let parts = name.split(',').filter_map(|part| part.split_once('='));
    let one = |(dimension, value): (&str, &str)| {
        let place = DIMENSIONS.iter().position(|known| *known == dimension);
        format!("{}{}", place.map_or("", |place| words[place + 1]), scope::unescaped(value))
    };
    parts.map(one).collect::<Vec<_>>().join(", ")
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
    format!("{:.0} %", share * 100.0)
}

/// From -1 to 1.
fn score(score: f64) -> String {
    format!("{score:+.2}")
}

fn round(number: f64) -> String {
    if number < 10.0 && number.fract() > 0.05 { format!("{number:.1}") } else { format!("{number:.0}") }
}

fn minutes(ms: i64) -> String {
    match ms {
        ms if ms % 3_600_000 == 0 => format!("{} h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms => format!("{} s", ms / 1000),
    }
}

fn chinese_minutes(ms: i64) -> String {
    match ms {
        ms if ms % 3_600_000 == 0 => format!("{} 小时", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{} 分钟", ms / 60_000),
        ms => format!("{} 秒", ms / 1000),
    }
}

fn clock(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
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
            "Brand Nova, Topic payment: 62 % of 50 texts in 5 min are negative, 20 % expected (8 %–34 %), since 2026-11-22 \
             10:00 UTC. Mostly about “payment page”, “退款失败”. Mostly in product p,1 (71 % of the excess). 25 % of the \
             texts are copies or from few writers and were not counted."
        );
        assert_eq!(
            chinese(&said),
            "品牌 Nova, 话题 payment：5 分钟内 50 条中有 62 % 为负面，预期 20 %（8 %–34 %），始于 2026-11-22 10:00 UTC。\
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
}
