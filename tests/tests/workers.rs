//! A gateway of four workers, each with a VM and a copy of the keys of its own: together they ask no more
//! of a key server than they must, and each of them has the keys that it needs.
#![expect(clippy::panic, reason = "a failed test says what it saw")]

use std::{collections::BTreeMap, time::Duration};

use e2e::{
    clock::unix_now,
    conversation::{Mismatch, expect, verdict::allowed},
    deadline::eventually,
    error::HarnessError,
    http::{Ask, Exchange},
    key_server::{Answer, KeyServer},
    plugin::ISSUER_CLUSTER,
    stand::{Stand, url},
    token::{SigningKey, Token},
};
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

#[tokio::test]
async fn at_the_start_they_fetch_once_each_and_in_turn() {
    held(start().await);
}

#[tokio::test]
async fn a_flood_of_unknown_kids_makes_one_of_them_look() {
    held(flood().await);
}

#[tokio::test]
async fn all_of_them_learn_a_new_key_and_refuse_no_valid_token() {
    held(rotation().await);
}

/// The document takes its time, and all of them want it.
async fn start() -> Result<(), Mismatch> {
    let key = SigningKey::es256("first")?;
    let stand = stand(2 * PATIENT, |server| {
        let document = json!({ "keys": [key.public_jwk()] }).to_string();
        server.answer(PAGE, Answer::Late(FETCH_TIME, document));
    })
    .await?;
    let mut workers = one_connection_each(&stand).await?;
    for exchange in workers.values_mut() {
        allowed(exchange, ask().bearer(&token(&key)?)).await?;
    }
    // The gateway's main thread has a VM as well, which may have come or not. Two may begin together at
    // the first moment of all, when there is no note yet that says whose turn it is.
    let (fetches, at_once) = (stand.keys.asked(PAGE), stand.keys.most_at_once(PAGE));
    let about = format!("{fetches} fetches, {at_once} at the same time, are one each and in turn");
    let is_one_each = (WORKERS..=WORKERS + 1).contains(&fetches);
    expect(&about, is_one_each && at_once <= 2, true)
}

async fn flood() -> Result<(), Mismatch> {
    let (key, attacker) = (SigningKey::es256("first")?, SigningKey::es256("unknown")?);
    let stand = stand(BRIEF, |server| {
        server.answer(PAGE, Answer::keys([&key.public_jwk()]))
    })
    .await?;
    let mut workers = one_connection_each(&stand).await?;
    for exchange in workers.values_mut() {
        allowed(exchange, ask().bearer(&token(&key)?)).await?;
    }
    let (began, before) = (unix_now(), stand.keys.asked(PAGE));
    for _round in 0..25 {
        for exchange in workers.values_mut() {
            let reply = exchange.send(ask().bearer(&token(&attacker)?)).await?;
            expect("the status", reply.status, StatusCode::UNAUTHORIZED)?;
        }
    }
    let looks = stand.keys.asked(PAGE) - before;
    let seconds = usize::try_from(unix_now() - began).unwrap_or(usize::MAX);
    let about = format!("{looks} looks in {seconds} s are those of one worker");
    expect(&about, looks >= 1 && looks <= 2 + seconds / 10, true)
}

/// Nobody sends a token of the new key before all connections do, and the provider has withdrawn the old.
async fn rotation() -> Result<(), Mismatch> {
    let (old, new) = (SigningKey::es256("old")?, SigningKey::es256("new")?);
    let stand = stand(PATIENT, |server| {
        server.answer(PAGE, Answer::keys([&old.public_jwk()]))
    })
    .await?;
    let mut workers = one_connection_each(&stand).await?;
    let remembered = token(&old)?;
    for exchange in workers.values_mut() {
        allowed(exchange, ask().bearer(&remembered)).await?;
    }
    let before = stand.keys.asked(PAGE);
    stand.keys.answer(PAGE, Answer::keys([&new.public_jwk()]));
    let latest = token(&new)?;
    let mut load = JoinSet::new();
    for mut exchange in workers.into_values() {
        let latest = latest.clone();
        load.spawn(async move {
            for _request in 0..25 {
                allowed(&mut exchange, ask().bearer(&latest)).await?;
            }
            Ok::<_, Mismatch>(exchange)
        });
    }
    let mut workers = Vec::new();
    for outcome in load.join_all().await {
        workers.push(outcome?);
    }
    let fetches = stand.keys.asked(PAGE) - before;
    expect("the fetches, one for each worker", fetches, WORKERS)?;
    for exchange in &mut workers {
        let reply = exchange.send(ask().bearer(&remembered)).await?;
        expect(
            "the old key's token",
            reply.status,
            StatusCode::UNAUTHORIZED,
        )?;
    }
    Ok(())
}

async fn stand(wait: Duration, publish: impl FnOnce(&KeyServer)) -> Result<Stand, HarnessError> {
    Stand::start(WORKERS, |server| {
        publish(server);
        configuration(server, wait)
    })
    .await
}

/// The kernel deals connections out to the workers: opens them until each has one.
async fn one_connection_each(stand: &Stand) -> Result<BTreeMap<String, Exchange>, HarnessError> {
    let mut found = BTreeMap::new();
    eventually("a connection to each worker", SPREAD_LIMIT, async || {
        let before = connections(stand).await.ok()?;
        let exchange = stand.open().await.ok()?;
        let after = connections(stand).await.ok()?;
        let taker = after
            .iter()
            .find(|(name, count)| before.get(*name) != Some(count))?;
        found.entry(taker.0.clone()).or_insert(exchange);
        (found.len() == WORKERS).then_some(())
    })
    .await?;
    Ok(found)
}

/// How many connections each worker has taken.
async fn connections(stand: &Stand) -> Result<BTreeMap<String, u64>, HarnessError> {
    let admin = stand.gateway.admin();
    let ask = Ask::get(
        &admin.to_string(),
        "/stats?filter=^listener.*worker_.*downstream_cx_total$",
    );
    let reply = Exchange::open_clear(admin).await?.send(ask).await?;
    let text = reply.text();
    let counters = text.lines().filter_map(|line| line.split_once(": "));
    Ok(counters
        .filter_map(|(name, count)| Some((name.to_owned(), count.trim().parse().ok()?)))
        .collect())
}

fn token(key: &SigningKey) -> Result<String, HarnessError> {
    Token::honest(ISSUER, AUDIENCE, "alice").signed(key)
}

fn ask() -> Ask {
    Ask::get("api.example.com", "/payments/list")
}

fn configuration(server: &KeyServer, wait: Duration) -> Value {
    json!({
        "providers": [{
            "name": "people",
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "algorithms": ["ES256"],
            "jwks": {
                "cluster": ISSUER_CLUSTER,
                "uri": url(server, PAGE),
                "wait_milliseconds": wait.as_millis(),
            },
        }],
        "namespaces": [{ "name": "payments", "routes": [{ "host": "api.example.com" }] }],
        "policy": { "rules": [
            { "name": "everybody-known", "namespace": "payments", "authenticated": true },
        ] },
        "limits": { "failures_per_source": 1_000_000, "failure_window_seconds": 1 },
    })
}

fn held(outcome: Result<(), Mismatch>) {
    outcome.unwrap_or_else(|mismatch| panic!("{mismatch}"));
}

const WORKERS: usize = 4;
const PAGE: &str = "/keys";
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "api://orders";

/// A request waits long enough for four fetches.
const PATIENT: Duration = Duration::from_secs(5);
/// It does not wait until the next look at unknown keys is allowed, ten seconds after the last.
const BRIEF: Duration = Duration::from_secs(1);

/// Far below the patience of a worker whose turn it is not.
const FETCH_TIME: Duration = Duration::from_millis(50);

/// For the kernel to deal one connection to each worker.
const SPREAD_LIMIT: Duration = Duration::from_secs(30);
