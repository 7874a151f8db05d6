//! `bounded`: memory does not grow with the texts scored.

use std::fs;

use groundswell::event::ModelId;
use groundswell::infer::Backend;

use super::{backend, encoding, inputs, open, repository};

const TEXTS: usize = 200_000;

/// Kilobytes that the process holds in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Batches of every shape up to 16 texts and the model's limit, as a sorted window would cut them.
#[test]
#[ignore = "measures the whole process, so it must run alone: cargo test --test tests models::memory -- --ignored"]
fn it_is_flat_over_200_000_texts() {
    let directory = open(repository().join("tests/fixtures/models/bert"));
    let mut backend = backend(&directory);
    let mut random = fastrand::Rng::with_seed(11);
    let (mut scored, mut early) = (0, 0);
    while scored < TEXTS {
        let longest = random.usize(1..=directory.tokens_max);
        let text = || encoding(&vec![7; longest]);
        let rows = random.usize(1..=16).min(2048 / longest).max(1);
        backend.run(ModelId(0), &inputs(&(0..rows).map(|_| text()).collect::<Vec<_>>())).unwrap();
        scored += rows;
        if early == 0 && scored >= TEXTS / 10 {
            early = resident();
        }
    }
    let late = resident();
    println!("resident after {} texts: {early} kB, after {scored}: {late} kB", TEXTS / 10);
    assert!(late <= early + early / 10, "{early} kB grew to {late} kB");
}
