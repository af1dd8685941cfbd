//! The conversation of the demo, as tests: each chapter on a mesh of its own, so that one that
//! fails does not spoil another.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed test says what it saw, and so does a passed one"
)]

use e2e::{
    conversation::{
        CHAPTERS, Chapter, attribution, binding, failures, gateway_door, key_set, malformed, roles,
        tokens, transport,
    },
    mesh::{Mesh, Setup},
};

#[tokio::test]
async fn without_keys_nothing_is_taken_on_trust() {
    holds(&key_set::CHAPTER).await;
}

#[tokio::test]
async fn good_tokens_pass_and_no_others() {
    holds(&tokens::CHAPTER).await;
}

#[tokio::test]
async fn bound_tokens_are_good_in_one_hand_only() {
    holds(&binding::CHAPTER).await;
}

#[tokio::test]
async fn roles_count_in_their_own_namespace_only() {
    holds(&roles::CHAPTER).await;
}

#[tokio::test]
async fn malformed_requests_are_refused_and_do_no_harm() {
    holds(&malformed::CHAPTER).await;
}

#[tokio::test]
async fn bytes_and_protocols_arrive_as_they_were_sent() {
    holds(&transport::CHAPTER).await;
}

#[tokio::test]
async fn every_request_is_attributed_in_every_log() {
    holds(&attribution::CHAPTER).await;
}

#[tokio::test]
async fn the_gates_open_to_nobody_else() {
    holds(&gateway_door::CHAPTER).await;
}

#[tokio::test]
async fn one_failure_is_not_the_end() {
    holds(&failures::CHAPTER).await;
}

/// A chapter added to the conversation needs a test above.
#[test]
fn every_chapter_has_a_test() {
    let source = include_str!("conversation.rs");
    assert_eq!(
        source.matches("::CHAPTER).await").count() - 1,
        CHAPTERS.len()
    );
}

/// Walks the whole chapter and then says everything that did not hold.
async fn holds(chapter: &Chapter) {
    let setup = Setup {
        issuer: chapter.issuer,
        ..Setup::default()
    };
    let mut mesh = Mesh::start(setup)
        .await
        .unwrap_or_else(|error| panic!("{}", error.chain()));
    let mut broken = Vec::new();
    for step in chapter.steps {
        match step.run(&mut mesh).await {
            Ok(seen) => println!("✓ {}: {seen}", step.name),
            Err(mismatch) => broken.push(format!("✗ {}: {mismatch}", step.name)),
        }
    }
    assert!(broken.is_empty(), "{}\n{}", chapter.name, broken.join("\n"));
}
