//! The model that ships.

use groundswell::event::ModelId;
use groundswell::infer::{Backend, HeadKind};

use super::{backend, encode, inputs, largest_difference, open, repository, values};

const WORDS: [&str; 24] = [
    "the",
    "battery",
    "died",
    "after",
    "two",
    "days",
    "great",
    "sound",
    "terrible",
    "service",
    "快递",
    "很快",
    "屏幕",
    "坏了",
    "非常",
    "满意",
    "客服",
    "不理人",
    "I",
    "love",
    "it",
    "质量",
    "太差",
    "!",
];

/// Texts of 1 to 120 words in two languages, the same each time.
fn texts(count: usize) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut text =
        || (0..random.usize(1..=120)).map(|_| WORDS[random.usize(..WORDS.len())]).collect::<Vec<_>>().join(" ");
    (0..count).map(|_| text()).collect()
}

/// `deterministic`: a text's probabilities do not depend on its batch-mates or its padding.
#[test]
fn a_text_is_scored_alike_in_any_company() {
    let directory = open(repository().join("models/text"));
    assert!(!directory.batch_dependent);
    let mut backend = backend(&directory);
    let encoded = encode(&directory, &texts(500));
    let alone = values(&mut backend, &encoded, 1);
    let mut order: Vec<usize> = (0..encoded.len()).collect();
    order.sort_by_key(|&i| encoded[i].ids.len());
    let sorted: Vec<_> = order.iter().map(|&i| encoded[i].clone()).collect();
    let alone_sorted: Vec<_> = order.iter().map(|&i| alone[i].clone()).collect();
    for rows in [8, 32] {
        let as_they_come = largest_difference(&values(&mut backend, &encoded, rows), &alone);
        let by_length = largest_difference(&values(&mut backend, &sorted, rows), &alone_sorted);
        println!("batches of {rows}: as they come {as_they_come:.1e}, by length {by_length:.1e}");
        assert!(as_they_come <= 1e-4 && by_length <= 1e-4, "batches of {rows}: {as_they_come:.1e}, {by_length:.1e}");
    }
}

#[test]
fn it_has_a_sentiment_and_probabilities_add_up() {
    let directory = open(repository().join("models/text"));
    assert!(directory.heads.iter().any(|h| matches!(h.kind, HeadKind::Sentiment(_)) && h.name == "sentiment"));
    let mut backend = backend(&directory);
    for prediction in backend.run(ModelId(0), &inputs(&encode(&directory, &texts(20)))).unwrap() {
        for (head, answer) in directory.heads.iter().zip(&prediction.heads) {
            let value = |v: &f32| if head.embeds() { v * v } else { *v };
            let sum: f32 = answer.values.iter().map(value).sum();
            assert!((sum - 1.0).abs() < 1e-4, "{}: {sum}", head.name);
        }
    }
}
