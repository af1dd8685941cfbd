//! Tokens that were verified before: what is remembered of them helps nobody else, and not for longer.

use e2e::{
    clock::unix_now,
    conversation::{Mismatch, expect},
    deadline::eventually,
    http::Exchange,
    key_server::Answer,
    token::SigningKey,
};
use hyper::StatusCode;

use crate::{
    Attack,
    forge::{encode, signature_of, with_signature},
    range::{BRIEF, KEYS_LIMIT, PARTNERS, Range, ask},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        row: 28,
        name: "a_remembered_token_vouches_for_no_other",
        run: |range| Box::pin(no_other(range)),
    },
    Attack {
        row: 28,
        name: "a_remembered_token_ends_when_it_expires",
        run: |range| Box::pin(expiry(range)),
    },
    Attack {
        row: 28,
        name: "a_remembered_token_goes_with_its_key",
        run: |range| Box::pin(withdrawn(range)),
    },
];

/// Each differs from a token that has just passed, twice, in one thing.
async fn no_other(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let draft = range.draft(key);
    let token = draft.signed(key)?;
    for _again in 0..2 {
        range.passes("a good token", &token).await?;
    }
    let mut flipped = signature_of(&token);
    flipped[0] ^= 1;
    let (text, signature) = (draft.signing_input(), signature_of(&token));
    let (header, payload) = text.split_once('.').unwrap_or_default();
    let root = draft.clone().claim("sub", "root").signing_input();
    let with_id = draft
        .clone()
        .head("kid", "rsa")
        .head("alg", "RS256")
        .signing_input();
    let spaced = format!("{}.{payload}", encode(format!("{} ", draft.header_text())));
    let partners = draft.clone().claim("iss", PARTNERS).signing_input();
    let cases = [
        (
            "a bit of its signature",
            with_signature(&text, flipped),
            "signature_invalid",
        ),
        (
            "its payload",
            with_signature(&root, &signature),
            "signature_invalid",
        ),
        (
            "its header",
            with_signature(&with_id, &signature),
            "signature_invalid",
        ),
        (
            "a space in its header",
            with_signature(&spaced, &signature),
            "signature_invalid",
        ),
        (
            "its issuer",
            with_signature(&partners, &signature),
            "signature_invalid",
        ),
        (
            "its signature is missing",
            format!("{header}.{payload}."),
            "signature_invalid",
        ),
        (
            "its last letters",
            token[..token.len() - 2].to_owned(),
            "signature_invalid",
        ),
    ];
    for (case, token, reason) in cases {
        range.refused(case, &token, reason).await?;
    }
    let moved = ask().header("x-token", token.as_str());
    range
        .refused_ask("the header it stands in", moved, "token_source_refused")
        .await?;
    range.passes("the good token", &token).await?;
    Ok(())
}

/// This provider's tokens have no leeway.
async fn expiry(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let end = unix_now() + 3;
    let token = range.draft_of(BRIEF, key).claim("exp", end).signed(key)?;
    range.passes("before its end", &token).await?;
    let mut exchange = range.stand.open().await?;
    let mut late = false;
    eventually("the end of a token", KEYS_LIMIT, async || {
        let asked = unix_now();
        let status = status_of(&mut exchange, &token).await?;
        late |= status == StatusCode::OK && asked >= end;
        (status == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await?;
    expect("the token passed after its end", late, false)?;
    range
        .refused("after its end", &token, "token_expired")
        .await?;
    Ok(())
}

async fn withdrawn(range: &Range) -> Result<(), Mismatch> {
    let (keys, good) = (&range.stand.keys, range.keys.p256.public_jwk());
    let passing = SigningKey::es256("passing")?;
    keys.answer("/brief", Answer::keys([&good, &passing.public_jwk()]));
    let token = range.draft_of(BRIEF, &passing).signed(&passing)?;
    let mut exchange = range.stand.open().await?;
    eventually("a new key", KEYS_LIMIT, async || {
        (status_of(&mut exchange, &token).await? == StatusCode::OK).then_some(())
    })
    .await?;
    range.passes("a token that is remembered", &token).await?;
    keys.answer("/brief", Answer::keys([&good]));
    eventually("the end of a key", KEYS_LIMIT, async || {
        (status_of(&mut exchange, &token).await? == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await?;
    range
        .refused("a token whose key is gone", &token, "key_unknown")
        .await?;
    // The same key under another name is another key to whoever names it.
    let mut again = passing.public_jwk();
    again["kid"] = "again".into();
    keys.answer("/brief", Answer::keys([&good, &again]));
    let renamed = range
        .draft_of(BRIEF, &passing)
        .head("kid", "again")
        .signed(&passing)?;
    eventually(
        "the key's return under another name",
        KEYS_LIMIT,
        async || (status_of(&mut exchange, &renamed).await? == StatusCode::OK).then_some(()),
    )
    .await?;
    range
        .refused("a token that names the old name", &token, "key_unknown")
        .await?;
    Ok(())
}

async fn status_of(exchange: &mut Exchange, token: &str) -> Option<StatusCode> {
    let reply = exchange.send(ask().bearer(token)).await.ok()?;
    Some(reply.status)
}
