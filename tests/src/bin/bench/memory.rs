//! How much memory the filter takes in one worker of a gateway.

use e2e::{
    clock::unix_now,
    error::HarnessError,
    http::{Ask, Exchange},
    issuer::{ALICE, Issuer},
    plain_gateway::identity_filter,
    run_folder::RunFolder,
    tools,
};
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::filter::start;

const PROVIDERS: usize = 10;
/// More than the cache holds by default, so that it is full and has turned over once.
const TOKENS: usize = 2_000;
/// The last part of the gauge's name in Envoy.
const GAUGE: &str = "identity_filter.memory_bytes";

/// Bytes of linear memory after tokens of ten providers have filled the cache.
pub(crate) async fn of_a_full_worker(
    issuer: &Issuer,
    keys: &Value,
    folder: &RunFolder,
) -> Result<u64, HarnessError> {
    let mut configuration = e2e::plugin::configuration(issuer);
    let mut provider = configuration["providers"][0].clone();
    provider["jwks"] = json!({ "inline": keys });
    let providers: Vec<Value> = (0..PROVIDERS)
        .map(|number| {
            let mut provider = provider.clone();
            if number > 0 {
                provider["name"] = json!(format!("people-{number}"));
                provider["issuer"] = json!(issuer_of(issuer, number));
            }
            provider
        })
        .collect();
    configuration["providers"] = json!(providers);
    let filters = vec![identity_filter(&tools::filter()?, &configuration)];
    let gateway = start(99, "memory", 1, filters, folder).await?;
    for number in 0..TOKENS {
        let token = person(issuer, number).signed(issuer.ec())?;
        let ask = Ask::get("pay.example.com", "/payments/1").bearer(&token);
        let reply = Exchange::open_clear(gateway.gateway.address)
            .await?
            .send(ask)
            .await?;
        // Only one of the providers' callers have a role; the tokens of all are verified.
        if !matches!(reply.status, StatusCode::OK | StatusCode::FORBIDDEN) {
            return Err(unexpected(reply.text(), "200 or 403"));
        }
    }
    let ask = Ask::get(
        &gateway.gateway.admin.to_string(),
        "/stats?filter=identity_filter",
    );
    let text = Exchange::open_clear(gateway.gateway.admin)
        .await?
        .send(ask)
        .await?
        .text();
    text.lines()
        .find_map(|line| {
            line.split_once(&format!("{GAUGE}: "))?
                .1
                .trim()
                .parse()
                .ok()
        })
        .ok_or_else(|| unexpected(text.clone(), "the gauge of the filter's memory"))
}

/// A token of the usual size, with the claims that providers like to add.
fn person(issuer: &Issuer, number: usize) -> e2e::token::Token {
    let name = format!("person-{number:06}");
    issuer
        .draft(ALICE)
        .with("iss", json!(issuer_of(issuer, number % PROVIDERS)))
        .with("sub", json!(name))
        .with("exp", json!(unix_now() + 24 * 3600))
        .with("jti", json!(format!("{number:032x}")))
        .with("client_id", json!("0oa1b2c3d4e5f6g7h8i9"))
        .with("email", json!(format!("{name}@example.com")))
        .with("name", json!(format!("Person Number {number}")))
        .with(
            "scope",
            json!("openid profile email orders:read orders:write"),
        )
        .with(
            "groups",
            json!(["staff", "engineering", "on-call", "payments-admins"]),
        )
}

fn issuer_of(issuer: &Issuer, number: usize) -> String {
    match number {
        0 => issuer.url(),
        _ => format!("{}/{number}", issuer.url()),
    }
}

fn unexpected(got: String, expected: &'static str) -> HarnessError {
    HarnessError::Answer {
        peer: "the gateway of the memory benchmark".to_owned(),
        got,
        expected,
    }
}
