//! The identity filter's rules beside Envoy's own rbac, told the same as istiod would tell it: some tens
//! of made-up policies, each at two doors of one Envoy, and some thousands of made-up requests.
//!
//! Where the doors disagree, a named difference explains it, and docs/authorization.md has it; a
//! difference that nothing needs is a fault, too. The policies and requests come from a seed: `RBAC_SEED`
//! and `RBAC_REQUESTS` choose others.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, also in its helpers"
)]

mod differences;
mod doors;
mod native;
mod page;
mod policy;
mod request;

use std::collections::BTreeMap;

use e2e::{
    random::{Random, variable},
    run_folder::RunFolder,
};

use crate::{
    differences::{Difference, Side},
    doors::{Doors, Judged},
    policy::Policy,
    request::Request,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_disagreement_is_explained() {
    let seed = variable("RBAC_SEED").unwrap_or(SEED);
    let requests = variable("RBAC_REQUESTS").unwrap_or(REQUESTS);
    let mut random = Random::new(seed);
    let policies: Vec<_> = std::iter::repeat_with(|| Policy::by_chance(&mut random))
        .take(POLICIES)
        .collect();
    let requests: Vec<Vec<_>> = policies
        .iter()
        .map(|policy| {
            let count = usize::try_from(requests).unwrap() / POLICIES;
            std::iter::repeat_with(|| Request::by_chance(policy, &mut random))
                .take(count)
                .collect()
        })
        .collect();
    let mut folder = RunFolder::create().unwrap();
    let doors = Doors::open(&policies, &folder).await;
    let judged = doors.judge(requests).await;
    let (faults, used) = review(&judged);
    let count = |filter: bool, native: bool| {
        let alike = |case: &&Judged| {
            case.filter.is_allowed() == filter && case.native.is_allowed() == native
        };
        judged.iter().filter(alike).count()
    };
    let (both, neither) = (count(true, true), count(false, false));
    let plain = judged.iter().filter(|case| case.request.traits.is_empty());
    eprintln!(
        "{} requests to {POLICIES} policies of seed {seed}, {} of them without anything special: {both} let in by \
         both, {neither} by neither, {} and {} by the filter and by rbac alone: {used:?}",
        judged.len(),
        plain.count(),
        count(true, false),
        count(false, true),
    );
    if let Some(smallest) = faults.first() {
        folder.keep();
        let policy = &policies[smallest.policy];
        panic!(
            "RBAC_SEED={seed}: {} disagreements that nothing explains:\n{:#?}\nthe smallest:\n{smallest:#?}\n{}\n{}",
            faults.len(),
            kinds(&faults),
            serde_json::to_string_pretty(&policy.for_filter(&serde_json::Value::Null)["policy"])
                .unwrap(),
            doors::as_text(&native::filters(policy, &serde_json::Value::Null)[1..]),
        );
    }
    let unused: Vec<_> = differences::ALL
        .iter()
        .map(|difference| (difference.name, difference.allows))
        .filter(|named| !used.contains_key(named))
        .collect();
    assert!(
        unused.is_empty(),
        "nothing needs these differences: {unused:?}"
    );
    assert!(both > 500 && neither > 500, "one-sided: {both}, {neither}");
}

/// Disagreements that nothing explains, the simplest first; and how often each difference was all that was
/// special about a request on which the doors disagree.
fn review(judged: &[Judged]) -> (Vec<&Judged>, BTreeMap<(&'static str, Side), usize>) {
    let (mut faults, mut used) = (Vec::new(), BTreeMap::new());
    for case in judged {
        if !case.filter.is_verdict() || !case.native.is_verdict() {
            faults.push(case);
            continue;
        }
        let allows = match (case.filter.is_allowed(), case.native.is_allowed()) {
            (true, false) => Side::Filter,
            (false, true) => Side::Native,
            _ => continue,
        };
        let explains = |difference: &&Difference| difference.explains(allows, case);
        match differences::ALL.iter().find(explains) {
            Some(difference) if case.request.traits.len() == 1 => {
                *used.entry((difference.name, allows)).or_default() += 1;
            }
            Some(_with_others) => {}
            None => faults.push(case),
        }
    }
    faults.sort_by_key(|case| (case.request.traits.len(), case.rules));
    (faults, used)
}

/// What is special about requests and what each door said, and how often.
fn kinds(faults: &[&Judged]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for case in faults {
        let kind = format!("{:?}: {}", case.request.traits, case.said());
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// Of every run, so that a failure is met again.
const SEED: u64 = 1;
/// Each has two doors.
const POLICIES: usize = 60;
const REQUESTS: u64 = 18_000;
