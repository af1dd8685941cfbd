use std::collections::HashSet;

use tokio::time::advance;

use super::super::endpoint::Lease;
use super::*;
use crate::health::Thresholds;

const SECOND: Duration = Duration::from_secs(1);

fn roster(edit: impl FnOnce(&mut Rules)) -> Roster {
    let mut rules = Rules {
        policy: Policy::RoundRobin,
        panic_percent: 25,
        slow_start: Duration::ZERO,
        connections: None,
        queue: QueueLimits {
            length: 0,
            timeout: SECOND,
        },
        ejection: Some(EjectionRules {
            failures: 3,
            base: 10 * SECOND,
            most: 60 * SECOND,
            most_percent: 50,
        }),
    };
    edit(&mut rules);
    Roster::new("gateway".to_owned(), rules, None)
}

/// Endpoints that end in these numbers.
fn targets(numbers: &[u8]) -> Vec<Target> {
    let target = |number: &u8| Target {
        address: SocketAddr::from(([192, 0, 2, *number], 443)).into(),
        weight: 1,
        rank: Rank::default(),
    };
    numbers.iter().map(target).collect()
}

fn lease(roster: &Roster) -> Lease {
    let visit = Visit { key: 7, tried: &[] };
    match roster.pick(&visit) {
        Pick::Endpoint(lease) => lease,
        nothing => panic!("{nothing:?}"),
    }
}

/// The endpoints that get connections now.
fn picked(roster: &Roster) -> Vec<u8> {
    let last = |lease: Lease| match lease.endpoint().address.0 {
        SocketAddr::V4(address) => address.ip().octets()[3],
        SocketAddr::V6(_) => 0,
    };
    let picked: HashSet<u8> = (0..50).map(|_| last(lease(roster))).collect();
    let mut picked: Vec<u8> = picked.into_iter().collect();
    picked.sort_unstable();
    picked
}

fn endpoint(roster: &Roster, number: u8) -> Arc<Endpoint> {
    let address = targets(&[number]).remove(0).address;
    let mut reports = roster.report().into_iter();
    let report = reports.find(|report| report.endpoint.address == address);
    report.unwrap().endpoint
}

/// As the cluster's keeper does.
async fn keep(roster: &Roster) {
    loop {
        let due = roster.review();
        roster.changed_or(due).await;
    }
}

fn fail(roster: &Roster, number: u8, times: usize) {
    let endpoint = endpoint(roster, number);
    for _failure in 0..times {
        roster.failed(&endpoint, "refused");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_again_and_again_is_ejected_for_a_while() {
    let roster = roster(|_rules| ());
    roster.update(targets(&[1, 2, 3]));
    fail(&roster, 2, 2);
    endpoint(&roster, 2).succeed();
    fail(&roster, 2, 2);
    assert_eq!(picked(&roster), [1, 2, 3], "never three in a row");
    fail(&roster, 2, 1);
    assert_eq!(picked(&roster), [1, 3]);
    tokio::select! {
        () = keep(&roster) => {}
        () = tokio::time::sleep(10 * SECOND + SECOND / 10) => {}
    }
    assert_eq!(picked(&roster), [1, 2, 3]);
    fail(&roster, 2, 1);
    assert_eq!(picked(&roster), [1, 3], "it was on probation");
    advance(11 * SECOND).await;
    roster.review();
    assert_eq!(picked(&roster), [1, 3], "twice as long this time");
    advance(10 * SECOND).await;
    roster.review();
    assert_eq!(picked(&roster), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn the_keeper_learns_of_an_ejection_that_began_while_it_slept() {
    let roster = roster(|_rules| ());
    roster.update(targets(&[1, 2]));
    let fault = async {
        tokio::time::sleep(SECOND).await;
        fail(&roster, 2, 3);
        assert_eq!(picked(&roster), [1]);
        tokio::time::sleep(11 * SECOND).await;
        assert_eq!(picked(&roster), [1, 2]);
    };
    tokio::select! {
        () = keep(&roster) => {}
        () = fault => {}
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_allowed_share_is_ejected() {
    let roster = roster(|_rules| ());
    roster.update(targets(&[1, 2, 3, 4]));
    for number in 1..=4 {
        fail(&roster, number, 3);
    }
    assert_eq!(picked(&roster), [3, 4]);
}

#[tokio::test(start_paused = true)]
async fn the_only_endpoint_is_never_ejected() {
    let roster = roster(|_rules| ());
    roster.update(targets(&[1]));
    fail(&roster, 1, 9);
    assert_eq!(picked(&roster), [1]);
}

#[tokio::test(start_paused = true)]
async fn too_few_healthy_endpoints_are_a_panic() {
    let roster = roster(|rules| rules.panic_percent = 60);
    roster.update(targets(&[1, 2]));
    assert!(!roster.is_in_panic());
    fail(&roster, 1, 3);
    assert!(roster.is_in_panic());
    assert_eq!(picked(&roster), [1, 2], "all are tried");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_left_drains() {
    let roster = roster(|_rules| ());
    roster.update(targets(&[1]));
    let lease = lease(&roster);
    roster.update(targets(&[2]));
    assert_eq!(picked(&roster), [2], "no new connections");
    let standings = || -> Vec<_> {
        let reports = roster.report().into_iter();
        reports
            .map(|report| (report.standing, report.endpoint.connections()))
            .collect()
    };
    assert_eq!(
        standings(),
        [(Standing::Healthy, 0), (Standing::Draining, 1)]
    );
    drop(lease);
    assert_eq!(standings(), [(Standing::Healthy, 0)]);
}

#[tokio::test(start_paused = true)]
async fn state_is_kept_by_address() {
    let roster = roster(|_rules| ());
    roster.update(targets(&[1, 2, 3]));
    fail(&roster, 2, 3);
    let open = lease(&roster);
    let kept = Arc::clone(open.endpoint());
    roster.update(targets(&[4, 3, 2, 1]));
    assert_eq!(picked(&roster), [1, 3, 4], "2 is ejected still");
    let same = |roster: &Roster| {
        let mut reports = roster.report().into_iter();
        reports.any(|report| Arc::ptr_eq(&report.endpoint, &kept))
    };
    assert!(same(&roster));
    roster.update(targets(&[4]));
    roster.update(targets(&[1, 2, 3, 4]));
    assert!(same(&roster), "it came back while it drained");
    assert_eq!(kept.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_joins_others_starts_slowly() {
    let roster = roster(|rules| rules.slow_start = 10 * SECOND);
    roster.update(targets(&[1, 2]));
    let share = |number: u8| {
        let address = endpoint(&roster, number).address;
        let leases = (0..1000).map(|_| lease(&roster));
        leases
            .filter(|lease| lease.endpoint().address == address)
            .count()
    };
    assert_eq!(share(1), 500, "at the start all are equal");
    advance(SECOND).await;
    roster.update(targets(&[1, 2, 3]));
    assert!((20..80).contains(&share(3)), "{}", share(3));
    advance(5 * SECOND).await;
    assert!((150..250).contains(&share(3)), "{}", share(3));
    advance(5 * SECOND).await;
    assert!((333..=334).contains(&share(3)), "{}", share(3));
}

#[tokio::test(start_paused = true)]
async fn a_full_endpoint_gets_no_more() {
    let roster = roster(|rules| rules.connections = Some(2));
    roster.update(targets(&[1, 2]));
    let visit = Visit { key: 7, tried: &[] };
    let leases: Vec<Lease> = (0..4).map(|_| lease(&roster)).collect();
    assert!(matches!(roster.pick(&visit), Pick::Full));
    for number in [1, 2] {
        assert_eq!(endpoint(&roster, number).connections(), 2);
    }
    drop(leases);
    let (one, other) = (endpoint(&roster, 1), endpoint(&roster, 2));
    let tried = [one, other];
    let visit = Visit {
        key: 7,
        tried: &tried,
    };
    assert!(
        matches!(roster.pick(&visit), Pick::Nobody),
        "all were tried"
    );
}

/// Results of checks of the endpoint `number`, one after the other.
fn check(roster: &Roster, watches: &[Watch], number: u8, results: &str) {
    const THRESHOLDS: Thresholds = Thresholds {
        healthy_after: 2,
        unhealthy_after: 3,
    };
    let address = targets(&[number]).remove(0).address;
    let watch = watches.iter().find(|watch| watch.address == address);
    for result in results.chars() {
        let result = if result == '+' {
            Ok(())
        } else {
            Err("refused")
        };
        let settled = roster.checked(*watch.unwrap(), result, &THRESHOLDS);
        assert!(settled.is_some(), "{number} is in service");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_checks_fail_gets_no_connections() {
    let roster = roster(|_rules| ());
    roster.update(targets(&[1, 2]));
    let watches = roster.unwatched();
    assert_eq!(picked(&roster), [1, 2], "before any check");
    check(&roster, &watches, 1, "+--");
    assert_eq!(picked(&roster), [1, 2]);
    check(&roster, &watches, 1, "-");
    assert_eq!(picked(&roster), [2]);
    let report = roster.report().remove(0);
    assert_eq!(report.standing, Standing::Unhealthy);
    assert_eq!((report.checks.passed, report.checks.failed), (1, 3));
    assert_eq!(report.checks.error.as_deref(), Some("refused"));
    check(&roster, &watches, 1, "++");
    assert_eq!(picked(&roster), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn each_endpoint_is_watched_once_for_as_long_as_it_serves() {
    let roster = roster(|_rules| ());
    roster.update(targets(&[1]));
    let first = roster.unwatched();
    assert_eq!(first.len(), 1);
    assert_eq!(roster.unwatched().len(), 0);
    let _open = lease(&roster);
    roster.update(targets(&[2]));
    roster.update(targets(&[1, 2]));
    assert_eq!(roster.unwatched().len(), 2, "1 was away in between");
    let thresholds = Thresholds {
        healthy_after: 1,
        unhealthy_after: 1,
    };
    let settled = roster.checked(first[0], Err("late"), &thresholds);
    assert_eq!(settled, None, "the watch of its first time ends");
    assert_eq!(picked(&roster), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn backups_take_over_while_the_first_are_down() {
    let roster = roster(|_rules| ());
    let mut all = targets(&[1, 2, 3]);
    all[2].rank.priority = 1;
    roster.update(all);
    let watches = roster.unwatched();
    assert_eq!(picked(&roster), [1, 2]);
    check(&roster, &watches, 1, "-");
    check(&roster, &watches, 2, "-");
    assert_eq!(picked(&roster), [3]);
    assert!(!roster.is_in_panic());
    check(&roster, &watches, 3, "-");
    assert!(roster.is_in_panic());
    assert_eq!(picked(&roster), [1, 2, 3]);
    check(&roster, &watches, 2, "++");
    assert_eq!(picked(&roster), [2]);
}
