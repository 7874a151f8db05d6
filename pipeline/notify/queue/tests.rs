use super::*;
use crate::event::json::time;

fn alert(id: &str, revision: u32, state: v1::AlertState) -> v1::Alert {
    let firing_time = (state != v1::AlertState::Pending).then(|| time::from_ms(1_000)).flatten();
    v1::Alert { id: id.into(), revision, state: state.into(), firing_time, ..v1::Alert::default() }
}

fn firing(id: &str, revision: u32) -> v1::Alert {
    alert(id, revision, v1::AlertState::Firing)
}

fn queue() -> Queue {
    let mut queue = Queue::new(3_600_000, 7);
    queue.begin(0, 0);
    queue
}

const FAILING: Failed = Failed::Failing { retry_after_ms: None };

/// Both clocks agree.
fn at(ms: i64) -> Moment {
    Moment { up_ms: ms, wall_ms: ms }
}

fn ids(alerts: Vec<v1::Alert>) -> Vec<String> {
    alerts.into_iter().map(|alert| alert.id).collect()
}

fn first(queue: &Queue, now_ms: i64) -> Waiting {
    match queue.next(now_ms) {
        Next::Deliver(waiting) => *waiting,
        Next::Wait(wait) => panic!("waits for {wait:?} ms"),
    }
}

#[test]
fn only_what_somebody_is_told_of_waits_and_its_end_with_it() {
    let mut queue = queue();
    assert_eq!(queue.push(alert("a", 1, v1::AlertState::Pending), (0, 0), 0, true), Taken::Passed);
    let inhibited = v1::Alert { inhibited_by: Some("b".into()), ..firing("c", 1) };
    assert_eq!(queue.push(inhibited, (0, 1), 0, true), Taken::Passed);
    assert_eq!(queue.push(firing("d", 1), (0, 2), 0, false), Taken::Passed);
    assert_eq!(queue.push(firing("a", 2), (0, 3), 0, true), Taken::Waits);
    let told = first(&queue, 0);
    queue.delivered(&told, 10);
    assert_eq!(queue.next(10), Next::Wait(None));
    // Taken in by another one since: who was told of it is told.
    let taken_in = v1::Alert { inhibited_by: Some("b".into()), ..firing("a", 3) };
    assert_eq!(queue.push(taken_in, (0, 4), 20, true), Taken::Waits);
    let told = first(&queue, 20);
    queue.delivered(&told, 20);
    assert_eq!(queue.push(alert("a", 4, v1::AlertState::Resolved), (0, 5), 20, true), Taken::Waits);
}

#[test]
fn the_newest_revision_is_told_and_the_offset_stays_before_it() {
    let mut queue = queue();
    queue.push(firing("a", 1), (0, 5), 100, true);
    queue.push(firing("b", 1), (0, 6), 110, true);
    assert_eq!(queue.push(firing("a", 2), (0, 7), 120, true), Taken::Supersedes);
    queue.push(alert("x", 1, v1::AlertState::Pending), (0, 8), 120, true);
    assert_eq!(queue.committable(), [(0, 6)].into());
    // First come, first told, with what it is by now and the time since which it waits.
    let told = first(&queue, 200);
    assert_eq!((told.alert.revision, told.since_ms), (2, 100));
    // One that comes while it is told stays.
    queue.push(firing("a", 3), (0, 9), 210, true);
    queue.delivered(&told, 220);
    assert_eq!(queue.committable(), [(0, 6)].into());
    let told = first(&queue, 220);
    queue.delivered(&told, 220);
    let told = first(&queue, 220);
    queue.delivered(&told, 220);
    assert_eq!((queue.committable(), queue.next(220)), ([(0, 10)].into(), Next::Wait(None)));
    assert_eq!(queue.push(firing("a", 3), (0, 9), 230, true), Taken::Passed, "read again");
}

#[test]
fn a_receiver_out_of_reach_is_left_alone_for_longer_each_time() {
    let mut queue = queue();
    queue.push(firing("a", 1), (0, 0), 0, true);
    let mut now_ms = 0;
    let mut waits = Vec::new();
    for _ in 0..12 {
        let told = first(&queue, now_ms);
        let After::Again(delay_ms) = queue.failed(&told, Failed::Unreachable, at(now_ms)) else { panic!("given up") };
        assert_eq!(queue.next(now_ms), Next::Wait(Some(delay_ms)));
        now_ms += delay_ms;
        waits.push(delay_ms);
    }
    assert!(waits[0] >= 250 && waits[0] <= 500, "{waits:?}");
    assert!(waits[11] >= 30_000 && waits[11] <= 60_000, "{waits:?}");
    let asked = queue.unreachable(Some(7_200_000), now_ms);
    assert_eq!(asked, BACK_OFF_MAX_MS, "not for as long as it likes");
    let told = first(&queue, now_ms + asked);
    queue.delivered(&told, now_ms + asked);
    assert_eq!(queue.failures, 0);
}

#[test]
fn what_is_refused_lets_the_others_pass_and_is_given_up() {
    let mut queue = queue();
    queue.push(firing("a", 1), (0, 0), 0, true);
    queue.push(firing("b", 1), (0, 1), 0, true);
    let told = first(&queue, 0);
    assert!(matches!(queue.failed(&told, Failed::Refused, at(0)), After::Again(_)));
    assert_eq!(first(&queue, 0).alert.id, "b");
    let told = first(&queue, 0);
    queue.delivered(&told, 0);
    assert_eq!(queue.committable(), [(0, 0)].into());
    let mut now_ms = 0;
    let mut tries = 1;
    loop {
        now_ms += 60_000;
        tries += 1;
        let told = first(&queue, now_ms);
        if queue.failed(&told, Failed::Refused, at(now_ms)) == After::GivenUp {
            break;
        }
    }
    assert_eq!((tries, queue.committable()), (REFUSALS_MAX, [(0, 2)].into()));
}

#[test]
fn old_news_is_given_up() {
    let mut queue = queue();
    queue.push(firing("a", 1), (0, 0), 0, true);
    let told = first(&queue, 3_600_000);
    assert_eq!(queue.failed(&told, Failed::Unreachable, at(3_600_000)), After::GivenUp);
    assert_eq!(queue.backlog(), (0, 0, None));
}

#[test]
fn what_goes_on_is_told_again_until_it_is_over() {
    let mut queue = queue();
    queue.push(firing("a", 1), (0, 0), 0, true);
    let told = first(&queue, 0);
    queue.delivered(&told, 1_000);
    queue.remember(firing("b", 5), 0);
    assert_eq!(ids(queue.due_again(2_000, 60_000)), ["b"], "not since this process is there");
    queue.told_again(&[firing("b", 5)], 2_000);
    assert_eq!(ids(queue.due_again(62_000, 60_000)), ["a", "b"]);
    queue.push(alert("a", 2, v1::AlertState::Retracted), (0, 1), 62_000, true);
    let told = first(&queue, 62_000);
    queue.delivered(&told, 62_000);
    assert_eq!(ids(queue.due_again(200_000, 60_000)), ["b"]);
}

#[test]
fn a_partition_that_is_left_takes_what_waits_with_it() {
    let mut queue = queue();
    queue.begin(1, 0);
    queue.push(firing("a", 1), (0, 0), 0, true);
    queue.push(firing("b", 1), (1, 0), 0, true);
    queue.leave(0);
    assert_eq!((first(&queue, 0).alert.id.as_str(), queue.committable()), ("b", [(1, 0)].into()));
}

#[test]
fn a_partition_that_is_left_takes_what_stands_with_it() {
    let mut queue = queue();
    queue.begin(1, 0);
    queue.push(firing("a", 1), (0, 0), 0, true);
    queue.push(firing("b", 1), (1, 0), 0, true);
    for _ in 0..2 {
        let told = first(&queue, 0);
        queue.delivered(&told, 0);
    }
    assert_eq!(ids(queue.due_again(60_000, 60_000)), ["a", "b"]);
    // Its next owner may end it: told again from here, it would fire for ever.
    queue.leave(0);
    assert_eq!((ids(queue.due_again(60_000, 60_000)), queue.standing("a")), (vec!["b".to_owned()], None));
}

#[test]
fn nothing_is_told_again_before_it_is_known_whether_it_is_over() {
    let mut queue = queue();
    queue.begin(1, 20);
    queue.begin(2, 30);
    queue.catch_up(2);
    queue.remember(firing("a", 1), 1);
    queue.remember(firing("b", 1), 1);
    queue.remember(firing("c", 1), 2);
    assert_eq!(ids(queue.due_again(0, 60_000)), ["c"]);
    // Its end lies further on, before what the group has committed.
    queue.remember(alert("a", 2, v1::AlertState::Resolved), 1);
    assert_eq!(ids(queue.due_again(0, 60_000)), ["c"]);
    queue.catch_up(1);
    assert_eq!(ids(queue.due_again(0, 60_000)), ["b", "c"]);
    // Of one of which there is news the news is told.
    queue.push(alert("c", 2, v1::AlertState::Resolved), (2, 30), 0, true);
    assert_eq!(ids(queue.due_again(0, 60_000)), ["b"]);
    // After another assignment it is read again.
    queue.leave(1);
    queue.begin(1, 21);
    queue.remember(firing("b", 1), 1);
    assert_eq!(ids(queue.due_again(0, 60_000)), [""; 0]);
    queue.pass((1, 21));
    assert_eq!(ids(queue.due_again(0, 60_000)), ["b"]);
}

#[test]
fn an_alert_at_which_the_receiver_fails_lets_the_others_pass_and_is_given_up() {
    let mut queue = queue();
    queue.push(firing("bad", 1), (0, 0), 0, true);
    queue.push(firing("b", 1), (0, 1), 0, true);
    let mut now_ms = 0;
    for _ in 0..FIRST_TRIES {
        now_ms += BACK_OFF_MAX_MS;
        let told = first(&queue, now_ms);
        assert_eq!(told.alert.id, "bad");
        queue.failed(&told, FAILING, at(now_ms));
    }
    let (mut tries, mut revision) = (FIRST_TRIES, 0);
    loop {
        now_ms += BACK_OFF_MAX_MS;
        let told = first(&queue, now_ms);
        if told.alert.id != "bad" {
            queue.delivered(&told, now_ms);
            continue;
        }
        tries += 1;
        if queue.failed(&told, FAILING, at(now_ms)) == After::GivenUp {
            break;
        }
        revision += 1;
        queue.push(firing(&format!("other{revision}"), 1), (0, 1 + revision), now_ms, true);
        assert_ne!(first(&queue, now_ms + BACK_OFF_MAX_MS).alert.id, "bad", "a new one does not wait behind it");
    }
    assert_eq!(tries, FIRST_TRIES + FAILURES_ALONE_MAX);
    assert!(now_ms < 3_600_000, "long before old news");
}

#[test]
fn a_receiver_that_fails_at_all_loses_nothing() {
    let mut queue = queue();
    queue.push(firing("a", 1), (0, 0), 0, true);
    queue.push(firing("b", 1), (0, 1), 0, true);
    let mut now_ms = 0;
    for _ in 0..50 {
        now_ms += BACK_OFF_MAX_MS;
        let told = first(&queue, now_ms);
        assert_ne!(queue.failed(&told, FAILING, Moment { up_ms: now_ms, wall_ms: 0 }), After::GivenUp);
    }
    assert_eq!(queue.backlog(), (2, 2, Some(0)));
}

#[test]
fn a_clock_that_is_put_right_changes_no_wait() {
    let mut queue = queue();
    queue.push(firing("a", 1), (0, 0), 1_000_000, true);
    let told = first(&queue, 50);
    // The wall clock is years ahead, then behind: ages are judged by it, waits are not.
    let After::Again(delay_ms) = queue.failed(&told, FAILING, Moment { up_ms: 50, wall_ms: 0 }) else {
        panic!("given up")
    };
    assert_eq!(queue.next(50), Next::Wait(Some(delay_ms)));
    let told = first(&queue, 50 + delay_ms);
    let late = Moment { up_ms: 50 + delay_ms, wall_ms: 1_000_000 + 3_600_000 };
    assert_eq!(queue.failed(&told, FAILING, late), After::GivenUp);
}

#[test]
fn one_that_is_refused_again_is_found_and_forgotten() {
    let mut queue = queue();
    queue.catch_up(0);
    (0..100).for_each(|i| queue.remember(firing(&format!("{i:02}"), 1), 0));
    let mut requests = 0;
    while let due = queue.due_again(0, 60_000)
        && !due.is_empty()
    {
        requests += 1;
        assert!(due.len() <= AGAIN_MAX);
        match due.iter().any(|alert| alert.id == "37") {
            true => assert_eq!(queue.refused_again(&due), due.len() == 1),
            false => queue.told_again(&due, 0),
        }
    }
    assert!((10..40).contains(&requests), "{requests}");
    assert_eq!((queue.standing("37"), queue.standing.len(), queue.again_max), (None, 99, AGAIN_MAX));
}

#[test]
fn the_end_of_what_may_have_been_heard_is_told() {
    let mut queue = queue();
    queue.push(firing("a", 1), (0, 0), 0, true);
    queue.push(firing("b", 1), (0, 1), 0, true);
    let told = first(&queue, 0);
    queue.failed(&told, FAILING, at(0));
    // It may have taken the first and not said so; of the second it knows nothing.
    assert_eq!(queue.push(alert("a", 2, v1::AlertState::Resolved), (0, 2), 10, true), Taken::Supersedes);
    assert_eq!(queue.push(alert("b", 2, v1::AlertState::Retracted), (0, 3), 10, true), Taken::Supersedes);
    let told = first(&queue, 60_000);
    assert_eq!((told.alert.id.as_str(), told.alert.revision), ("a", 2));
    queue.delivered(&told, 60_000);
    assert_eq!((queue.next(60_000), queue.committable()), (Next::Wait(None), [(0, 4)].into()));
}

#[test]
fn what_stands_is_bounded_and_what_is_over_makes_room() {
    let mut queue = queue();
    queue.push(firing("told", 1), (0, 0), 0, true);
    let told = first(&queue, 0);
    queue.delivered(&told, 0);
    // Many that came and went take no place of one that goes on.
    (0..STANDING_MAX * 2).for_each(|i| {
        queue.remember(firing(&format!("n{i}"), 1), 0);
        queue.remember(alert(&format!("n{i}"), 2, v1::AlertState::Resolved), 0);
    });
    assert_eq!((queue.standing.len(), queue.told.len()), (1, 1));
    (0..STANDING_MAX + 50).for_each(|i| queue.remember(firing(&i.to_string(), 1), 0));
    assert_eq!((queue.standing.len(), queue.told.len()), (STANDING_MAX, STANDING_MAX));
    // Those that were told longest ago go first.
    assert!(queue.standing("told").is_some() && queue.standing("50").is_none() && queue.standing("51").is_some());
    (0..STANDING_MAX + 50).for_each(|i| queue.remember(alert(&i.to_string(), 2, v1::AlertState::Resolved), 0));
    assert_eq!((queue.standing.len(), queue.told.len()), (1, 1));
}
