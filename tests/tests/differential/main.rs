//! The identity filter beside Envoy's own jwt_authn and rbac, on one Envoy and told the same: some
//! thousands of made-up requests go to both, honest and hostile ones.
//!
//! Three things must hold. The filter lets in exactly what is good, by what each change of a request says
//! about it. Who is let in at both doors is the same caller. Where the doors disagree, a named rule
//! explains it, and docs/differential.md has the rule.
//!
//! The requests come from a seed: `DIFFERENTIAL_SEED` and `DIFFERENTIAL_REQUESTS` choose others.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, also in its helpers"
)]

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use e2e::{
    clock::unix_now, deadline::eventually, log, plain_gateway::PlainGateway, random::variable,
    run_folder::RunFolder,
};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use signatures::signer::Signer;

use crate::{
    draft::{Draft, Issuer, Written},
    mutation::{Mutation, PLACES},
    rules::{Rule, Side},
    verdict::Verdict,
};

mod draft;
mod gateway;
mod mutation;
mod page;
mod rules;
mod verdict;

/// A request, by what it is made of.
#[derive(Debug)]
struct Plan {
    issuer: usize,
    key: usize,
    chance: usize,
    changes: Vec<&'static Mutation>,
}

/// A request that was judged at both doors.
struct Judged {
    changes: Vec<&'static Mutation>,
    is_good: bool,
    request: Written,
    filter: Verdict,
    native: Verdict,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_disagreement_is_explained() {
    let seed = variable("DIFFERENTIAL_SEED").unwrap_or(SEED);
    let requests = variable("DIFFERENTIAL_REQUESTS").unwrap_or(REQUESTS);
    let mut folder = RunFolder::create().unwrap();
    let issuers = gateway::issuers();
    let envoy = gateway::start(&issuers, &folder).await;
    let plans = plans(&issuers, seed, usize::try_from(requests).unwrap());
    let judged = judge(plans, &issuers, &envoy).await;
    let reasons = reasons(&envoy, &judged).await;
    let (faults, used) = review(&judged, &reasons);
    let (mut both, mut neither) = (0, 0);
    for case in &judged {
        both += usize::from(case.filter.is_allowed() && case.native.is_allowed());
        neither += usize::from(!case.filter.is_allowed() && !case.native.is_allowed());
    }
    eprintln!(
        "{} requests of seed {seed}: {both} let in by both, {neither} by neither; by one: {used:?}",
        judged.len()
    );
    if !faults.is_empty() {
        folder.keep();
    }
    let shown: Vec<_> = faults.iter().take(60).map(String::as_str).collect();
    assert!(
        faults.is_empty(),
        "DIFFERENTIAL_SEED={seed}: {} kinds of faults\n{}",
        faults.len(),
        shown.join("\n")
    );
    let unused: Vec<_> = rules::ALL
        .iter()
        .map(|rule| rule.name)
        .filter(|name| !used.contains_key(name))
        .collect();
    assert!(unused.is_empty(), "nothing needs these rules: {unused:?}");
    assert!(both > 200 && neither > 200);
}

/// Every change alone with every key, and then changes by chance.
fn plans(issuers: &[Issuer], seed: u64, requests: usize) -> Vec<Plan> {
    let mut plans = Vec::new();
    for (number, issuer) in issuers.iter().enumerate() {
        for key in 0..issuer.keys.len() {
            for (chance, change) in PLACES.into_iter().flatten().enumerate() {
                plans.push(Plan {
                    issuer: number,
                    key,
                    chance: chance.wrapping_mul(2_654_435_761),
                    changes: vec![change],
                });
            }
        }
    }
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let plan = plan(issuers.len());
    while plans.len() < requests {
        plans.push(plan.new_tree(&mut runner).unwrap().current());
    }
    plans
}

/// In each place nothing, a change that does no harm, or any change.
fn plan(issuers: usize) -> impl Strategy<Value = Plan> {
    let change = |place: usize| {
        let all: Vec<&'static Mutation> = PLACES[place].iter().collect();
        let harmless: Vec<_> = all.iter().copied().filter(|one| one.is_good()).collect();
        let any = prop::sample::select(all).prop_map(Some).boxed();
        let harmless = if harmless.is_empty() {
            Just(None).boxed()
        } else {
            prop::sample::select(harmless).prop_map(Some).boxed()
        };
        prop_oneof![3 => Just(None), 3 => harmless, 1 => any]
    };
    let changes = (change(0), change(1), change(2), change(3));
    (0..issuers, 0..100_usize, any::<usize>(), changes).prop_map(
        |(issuer, key, chance, (a, b, c, d))| Plan {
            issuer,
            key,
            chance,
            changes: [a, b, c, d].into_iter().flatten().collect(),
        },
    )
}

async fn judge(plans: Vec<Plan>, issuers: &[Issuer; 2], envoy: &PlainGateway) -> Vec<Judged> {
    let stranger = Signer::es256("stranger");
    let now = unix_now();
    let mut made = Vec::new();
    let mut requests = Vec::new();
    for (number, plan) in plans.into_iter().enumerate() {
        let subject = format!("caller-{number}");
        let (issuer, other) = (&issuers[plan.issuer], &issuers[1 - plan.issuer]);
        let mut draft = Draft::honest(issuer, other, &stranger, plan.key, &subject, now);
        draft.chance = plan.chance;
        for change in &plan.changes {
            change.apply(&mut draft);
        }
        requests.push(draft.written());
        made.push((plan.changes, draft.is_good));
    }
    let (filter, native) = tokio::join!(
        verdict::ask(envoy.address, &requests),
        verdict::ask(envoy.beside[0], &requests)
    );
    made.into_iter()
        .zip(requests)
        .zip(filter.into_iter().zip(native))
        .map(|(((changes, is_good), request), (filter, native))| Judged {
            changes,
            is_good,
            request,
            filter,
            native,
        })
        .collect()
}

/// The filter's reason for each denial, from its audit records.
async fn reasons(envoy: &PlainGateway, judged: &[Judged]) -> HashMap<String, String> {
    let wanted = judged
        .iter()
        .filter_map(|case| case.filter.decision())
        .count();
    eventually("the audit records", AUDIT_LIMIT, async || {
        let reasons = log::reasons(envoy.process.log());
        (reasons.len() >= wanted).then_some(reasons)
    })
    .await
    .unwrap()
}

/// What must not be, each kind once, and how often each rule was needed.
fn review(
    judged: &[Judged],
    reasons: &HashMap<String, String>,
) -> (Vec<String>, BTreeMap<&'static str, usize>) {
    // Those with the fewest changes come first.
    let mut faults: BTreeMap<(usize, String), (usize, String)> = BTreeMap::new();
    let mut used = BTreeMap::new();
    for case in judged {
        let names: Vec<_> = case.changes.iter().map(|change| change.name).collect();
        let reason = case
            .filter
            .decision()
            .and_then(|decision| reasons.get(&decision).cloned())
            .unwrap_or_else(|| case.filter.text.clone());
        match fault(case, &reason, &mut used) {
            None => {}
            Some(fault) => {
                let kind = format!("{fault} [{}]", names.join(" + "));
                let request = String::from_utf8_lossy(
                    case.request
                        .fields
                        .first()
                        .map_or(&[][..], |(_, value)| value),
                );
                let short: String = request.chars().take(300).collect();
                let example = format!("for example {} {short}", case.request.path);
                let simple = names.len();
                faults.entry((simple, kind)).or_insert((0, example)).0 += 1;
            }
        }
    }
    let shown = faults
        .into_iter()
        .map(|((_simple, kind), (count, example))| {
            format!("{count} times: {kind}\n        {example}")
        });
    (shown.collect(), used)
}

fn fault(case: &Judged, reason: &str, used: &mut BTreeMap<&'static str, usize>) -> Option<String> {
    let (filter, native) = (&case.filter, &case.native);
    if !filter.is_one() || !native.is_one() {
        return Some(format!("no verdict: {filter:?}, {native:?}"));
    }
    if filter.is_allowed() != case.is_good {
        return Some(format!(
            "the filter is wrong: {filter:?}, because {reason:?}; native: {native:?}"
        ));
    }
    let (allows, other) = match (filter.is_allowed(), native.is_allowed()) {
        (true, true) if is_same(&filter.subject, &native.subject) => return None,
        (true, true) => (Side::Both, native.subject.as_str()),
        (false, false) => return None,
        (true, false) => (Side::Filter, native.text.as_str()),
        (false, true) => (Side::Native, reason),
    };
    let explains = |rule: &&Rule| rule.explains(allows, &case.changes, other);
    match rules::ALL.iter().find(explains) {
        Some(rule) => {
            *used.entry(rule.name).or_default() += 1;
            None
        }
        None => Some(format!("{allows:?} lets in, the other says {other:?}")),
    }
}

/// The filter escapes what is not visible in a header.
fn is_same(ours: &str, native: &str) -> bool {
    let mut plain = Vec::new();
    let mut rest = ours.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| *first == b'%');
        let byte = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    plain == native.as_bytes()
}

/// Of every run, so that a failure is met again.
const SEED: u64 = 1;
/// Changes that stand alone included.
const REQUESTS: u64 = 5000;
/// The gateway writes its log when it has time.
const AUDIT_LIMIT: Duration = Duration::from_secs(20);
