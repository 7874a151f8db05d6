use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;

const DELAY: Duration = Duration::from_millis(5);
const TOKENS_MAX: usize = 512;

fn settings(tries_max: u32) -> config::Batch {
    config::Batch { tokens_max: TOKENS_MAX, queue_delay_max: DELAY, tries_max, timeout: Duration::from_secs(10) }
}

fn request(payload: u64, tokens: usize, priority: Priority, arrived: Instant) -> Request<u64> {
    Request { model: ModelId(0), priority, tokens, rows_max: None, arrived, tries: 0, payload }
}

fn review(payload: u64, tokens: usize, arrived: Instant) -> Request<u64> {
    request(payload, tokens, Priority::Normal, arrived)
}

fn payloads(batch: &Batch<u64>) -> BTreeSet<u64> {
    batch.requests.iter().map(|request| request.payload).collect()
}

/// Lengths as real reviews have them: log-normal, median 22, from 3 to 200 tokens.
fn review_tokens(random: &mut fastrand::Rng) -> usize {
    let normal: f64 = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
    ((22.0f64.ln() + 0.85 * normal).exp() as usize).clamp(3, 200)
}

#[test]
fn waits_for_company_until_the_delay_is_over() {
    let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(3)));
    assert_eq!(batcher.next_deadline(), None);
    batcher.push(review(1, 20, start));
    batcher.push(review(2, 20, start + DELAY / 2));
    assert_eq!(batcher.take(start + DELAY / 2), None);
    assert_eq!(batcher.next_deadline(), Some(start + DELAY));
    let batch = batcher.take(start + DELAY).unwrap();
    assert_eq!(payloads(&batch), BTreeSet::from([1, 2]));
    assert_eq!((batch.tokens_padded, batch.tokens_used), (40, 40));
    assert!(batcher.is_empty());
}

#[test]
fn a_full_batch_goes_at_once() {
    let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(3)));
    (0..30).for_each(|n| batcher.push(review(n, 20, start)));
    assert_eq!(batcher.next_deadline(), Some(start));
    let batch = batcher.take(start).unwrap();
    assert_eq!((batch.requests.len(), batch.tokens_padded), (25, 500));
    assert_eq!((batcher.len(), batcher.tokens()), (5, 100));
    assert_eq!(batcher.take(start), None);
}

#[test]
fn a_batch_is_taken_ahead_only_where_many_more_wait() {
    let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(3)));
    let plenty = AHEAD_BATCHES * TOKENS_MAX / 20 + 1;
    (1..plenty as u64).for_each(|n| batcher.push(review(n, 20, start)));
    assert_eq!(batcher.take_ahead(start + DELAY), None);
    batcher.push(review(0, 20, start));
    assert_eq!(batcher.take_ahead(start).unwrap().requests.len(), 25);
    assert_eq!(batcher.take_ahead(start), None);
}

#[test]
fn the_oldest_leads_and_its_neighbours_in_length_fill() {
    let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(3)));
    batcher.push(review(0, 100, start));
    (1..=4).for_each(|n| batcher.push(review(n, 101, start)));
    (5..=20).for_each(|n| batcher.push(review(n, 20, start)));
    assert_eq!(payloads(&batcher.take(start).unwrap()), BTreeSet::from([0, 1, 2, 3, 4]));
}

#[test]
fn a_chat_goes_before_older_reviews_and_takes_those_like_it_along() {
    let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(3)));
    (0..10).for_each(|n| batcher.push(review(n, 100, start)));
    batcher.push(review(10, 10, start));
    batcher.push(request(11, 10, Priority::High, start + DELAY));
    assert_eq!(payloads(&batcher.take(start + DELAY).unwrap()), BTreeSet::from([10, 11]));
    assert_eq!(payloads(&batcher.take(start + DELAY).unwrap()), BTreeSet::from([0, 1, 2, 3, 4]));
}

#[test]
fn no_flood_of_chats_starves_a_review() {
    let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(3)));
    batcher.push(review(0, 190, start));
    let mut next = 1;
    for taken in 1.. {
        while batcher.tokens() < 4 * TOKENS_MAX {
            batcher.push(request(next, 10, Priority::High, start + DELAY));
            next += 1;
        }
        if payloads(&batcher.take(start + DELAY).unwrap()).contains(&0) {
            break;
        }
        assert!(taken <= 2, "the review still waits after {taken} batches");
    }
}

#[test]
fn a_request_longer_than_the_budget_goes_alone() {
    let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(3)));
    batcher.push(review(0, TOKENS_MAX * 2, start));
    batcher.push(review(1, TOKENS_MAX * 2, start));
    assert_eq!(payloads(&batcher.take(start).unwrap()), BTreeSet::from([0]));
    assert_eq!(payloads(&batcher.take(start).unwrap()), BTreeSet::from([1]));
}

#[test]
fn a_model_that_takes_one_text_gets_one_at_once() {
    let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(3)));
    (0..3).for_each(|n| batcher.push(Request { rows_max: Some(1), ..review(n, 10, start) }));
    for n in 0..3 {
        assert_eq!(payloads(&batcher.take(start).unwrap()), BTreeSet::from([n]));
    }
}

#[test]
fn models_do_not_share_a_batch() {
    let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(3)));
    (0..4).for_each(|n| batcher.push(Request { model: ModelId(n as u16 % 2), ..review(n, 10, start) }));
    let first = batcher.take(start + DELAY).unwrap();
    assert!(first.requests.iter().all(|request| request.model == first.model));
    assert_eq!(first.requests.len(), 2);
}

#[test]
fn a_retry_goes_before_everything_else_and_is_not_mixed() {
    let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(2)));
    batcher.push(review(0, 10, start));
    let batch = batcher.take(start + DELAY).unwrap();
    batcher.push(request(1, 10, Priority::High, start));
    assert!(batcher.fail(batch).is_empty());
    assert_eq!((batcher.len(), batcher.tokens()), (2, 20));
    let again = batcher.take(start).unwrap();
    assert_eq!(payloads(&again), BTreeSet::from([0]));
    assert_eq!(batcher.fail(again)[0].payload, 0);
}

#[test]
fn what_is_not_wanted_any_more_is_dropped() {
    let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(3)));
    (0..4).for_each(|n| batcher.push(review(n, 10, start)));
    let batch = batcher.take(start + DELAY).unwrap();
    assert!(batcher.fail(batch).is_empty());
    (4..60).for_each(|n| batcher.push(review(n, 10 + n as usize % 3, start)));
    batcher.retain(|payload| payload % 2 == 1);
    assert_eq!(batcher.len(), 30);
    let mut left = BTreeSet::new();
    while let Some(batch) = batcher.take(start + DELAY) {
        left.append(&mut payloads(&batch));
    }
    assert_eq!(left, (0..60).filter(|n| n % 2 == 1).collect());
    assert_eq!((batcher.len(), batcher.tokens()), (0, 0));
    batcher.push(review(0, 10, start));
    batcher.clear();
    assert_eq!((batcher.is_empty(), batcher.next_deadline()), (true, None));
}

#[test]
fn a_window_of_a_thousand_reviews_is_cut_with_little_padding() {
    let (start, mut random) = (Instant::now(), fastrand::Rng::with_seed(7));
    let mut batcher = Batcher::new(&settings(3));
    (0..1_000).for_each(|n| batcher.push(review(n, review_tokens(&mut random), start)));
    let (mut used, mut padded, mut batches) = (0, 0, 0);
    while let Some(batch) = batcher.take(start + DELAY) {
        (used, padded, batches) = (used + batch.tokens_used, padded + batch.tokens_padded, batches + 1);
    }
    let efficiency = used as f64 / padded as f64;
    assert!(efficiency >= 0.95, "{efficiency:.3} in {batches} batches");
}

#[derive(Debug, Default)]
struct Load {
    used: usize,
    padded: usize,
    /// By priority, in batches.
    wait_max: [usize; 2],
    wait_sum: [usize; 2],
    count: [usize; 2],
}

/// Keeps the queue at `window` requests while batches leave. A request's payload is the batch before which it came.
fn sustained(window: usize, share_of_chats: f64, seed: u64) -> Load {
    let (start, mut random) = (Instant::now(), fastrand::Rng::with_seed(seed));
    let (mut batcher, mut load) = (Batcher::new(&settings(3)), Load::default());
    for taken in 0..window {
        while batcher.len() < window {
            let priority = if random.f64() < share_of_chats { Priority::High } else { Priority::Normal };
            batcher.push(request(taken as u64, review_tokens(&mut random), priority, start));
        }
        let batch = batcher.take(start + DELAY).unwrap();
        for request in &batch.requests {
            let (lane, waited) = (request.priority as usize, taken - request.payload as usize);
            load.wait_max[lane] = load.wait_max[lane].max(waited);
            load.wait_sum[lane] += waited;
            load.count[lane] += 1;
        }
        load.used += batch.tokens_used;
        load.padded += batch.tokens_padded;
    }
    load
}

#[test]
fn under_sustained_load_padding_stays_small_and_chats_go_first() {
    for (window, share_of_chats) in [(512, 0.05), (512, 0.3), (1024, 0.3), (4096, 0.0), (4096, 0.3)] {
        let load = sustained(window, share_of_chats, 11);
        let efficiency = load.used as f64 / load.padded as f64;
        assert!(efficiency >= 0.95, "window {window}, chats {share_of_chats}: {efficiency:.3}, {load:?}");
        assert!(load.wait_max[1] <= window, "window {window}, chats {share_of_chats}: {load:?}");
        let [chat, review] = [0, 1].map(|lane| load.wait_sum[lane] as f64 / load.count[lane].max(1) as f64);
        assert!(chat * 4.0 < review, "window {window}, chats {share_of_chats}: chats {chat:.1}, reviews {review:.1}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push {
        model: u16,
        high: bool,
        tokens: usize,
    },
    /// Milliseconds that pass, then batches asked for.
    Take {
        passed: u64,
        batches: usize,
    },
    Fail,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tokens = prop_oneof![8 => 0..200usize, 1 => 200..2000usize, 1 => Just(usize::MAX / 4)];
    let push = (0..3u16, any::<bool>(), tokens).prop_map(|(model, high, tokens)| Step::Push { model, high, tokens });
    let take = (0..8u64, 0..6usize).prop_map(|(passed, batches)| Step::Take { passed, batches });
    proptest::collection::vec(prop_oneof![8 => push, 3 => take, 1 => Just(Step::Fail)], 1..300)
}

proptest! {
    /// Nothing lost, nothing doubled, budget and rows kept, deadlines kept, counts true.
    #[test]
    fn every_request_leaves_once_in_a_batch_that_keeps_its_bounds(steps in steps()) {
        let (mut now, mut batcher) = (Instant::now(), Batcher::new(&settings(2)));
        let (mut waiting, mut next) = (HashMap::new(), 0u64);
        let (mut failing, mut blamed) = (None, 0);
        for step in steps {
            match step {
                Step::Push { model, high, tokens } => {
                    let priority = if high { Priority::High } else { Priority::Normal };
                    let rows_max = (model == 2).then_some(3);
                    waiting.insert(next, now);
                    batcher.push(Request { model: ModelId(model), rows_max, ..request(next, tokens, priority, now) });
                    next += 1;
                }
                Step::Take { passed, batches } => {
                    now += Duration::from_millis(passed);
                    for _ in 0..batches {
                        let deadline = batcher.next_deadline();
                        let Some(batch) = batcher.take(now) else {
                            prop_assert!(deadline.is_none_or(|at| at > now), "idle past {deadline:?}");
                            break;
                        };
                        prop_assert!(deadline.is_some_and(|at| at <= now));
                        prop_assert!(batch.requests.len() == 1 || batch.tokens_padded <= TOKENS_MAX);
                        prop_assert!(batch.model != ModelId(2) || batch.requests.len() <= 3);
                        for request in &batch.requests {
                            prop_assert_eq!(request.model, batch.model);
                            prop_assert!(waiting.remove(&request.payload).is_some(), "lost or doubled");
                        }
                        failing = Some(batch);
                    }
                }
                Step::Fail => if let Some(batch) = failing.take() {
                    for request in &batch.requests {
                        waiting.insert(request.payload, request.arrived);
                    }
                    for culprit in batcher.fail(batch) {
                        waiting.remove(&culprit.payload);
                        blamed += 1;
                    }
                }
            }
            prop_assert_eq!(batcher.len(), waiting.len());
        }
        now += DELAY;
        while let Some(batch) = batcher.take(now) {
            for request in &batch.requests {
                prop_assert!(waiting.remove(&request.payload).is_some(), "lost or doubled");
            }
        }
        prop_assert!(waiting.is_empty(), "{} still wait", waiting.len());
        prop_assert!(blamed as u64 <= next);
        prop_assert_eq!((batcher.len(), batcher.tokens()), (0, 0));
    }

    /// Exactly the culprits are blamed, everybody else is answered, within the stated number of runs.
    #[test]
    fn a_failing_batch_costs_a_bounded_number_of_runs(
        n in 1..60usize, culprits in proptest::collection::btree_set(0..60u64, 0..6), tries_max in 1..4u32,
    ) {
        let culprits: BTreeSet<_> = culprits.into_iter().filter(|c| *c < n as u64).collect();
        let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(tries_max)));
        (0..n as u64).for_each(|payload| batcher.push(review(payload, 8, start)));
        let (mut answered, mut blamed, mut runs) = (BTreeSet::new(), BTreeSet::new(), 0);
        while let Some(batch) = batcher.take(start + DELAY) {
            runs += 1;
            if payloads(&batch).is_disjoint(&culprits) {
                answered.append(&mut payloads(&batch));
            } else {
                blamed.extend(batcher.fail(batch).into_iter().map(|request| request.payload));
            }
        }
        let (k, depth) = (culprits.len(), n.next_power_of_two().ilog2() as usize);
        let runs_max = tries_max as usize * (1 + k) + 2 * k * depth;
        prop_assert!(runs <= runs_max.max(1), "{runs} runs for {n} requests with {k} culprits; at most {runs_max}");
        prop_assert_eq!(&blamed, &culprits);
        let innocent: BTreeSet<_> = (0..n as u64).filter(|payload| !culprits.contains(payload)).collect();
        prop_assert_eq!(answered, innocent);
    }
    /// Each hang holds a thread: with one culprit in a batch there are two, or as many as tries where it came alone.
    #[test]
    fn a_culprit_that_hangs_is_found_with_two_hangs(n in 1..60usize, culprit in 0..60u64, tries_max in 2..4u32) {
        let culprit = culprit % n as u64;
        let (start, mut batcher) = (Instant::now(), Batcher::new(&settings(tries_max)));
        (0..n as u64).for_each(|payload| batcher.push(review(payload, 8, start)));
        let (mut answered, mut blamed, mut hangs) = (BTreeSet::new(), Vec::new(), 0);
        while let Some(batch) = batcher.take(start + DELAY) {
            if payloads(&batch).contains(&culprit) {
                hangs += 1;
                blamed.extend(batcher.fail_hung(batch).into_iter().map(|request| request.payload));
            } else {
                answered.append(&mut payloads(&batch));
            }
        }
        prop_assert_eq!(blamed, vec![culprit]);
        prop_assert_eq!(answered.len(), n - 1);
        prop_assert!(hangs <= tries_max.max(2), "{hangs} hangs among {n}");
    }
}
