//! Conversations in records of every size: what arrives is what was said, whoever ends first.

use proptest::prelude::*;

use super::*;

/// Bytes, and in pieces of which sizes, in turn, they are said.
type Speech = (usize, Vec<usize>);

fn speech() -> impl Strategy<Value = Speech> {
    (
        0_usize..200_000,
        prop::collection::vec(1_usize..40_000, 1..8),
    )
}

async fn say(leg: &mut Leg, (length, pieces): &Speech) {
    let said = bytes(*length);
    let (mut rest, mut sizes) = (said.as_slice(), pieces.iter().cycle());
    while !rest.is_empty() {
        // Small pieces of much data would only make the test slow.
        let size = sizes.next().map_or(1, |size| (*size).max(length / 200));
        let (piece, after) = rest.split_at(size.min(rest.len()));
        send(leg, piece).await;
        rest = after;
    }
    close(leg).await;
}

async fn converse(question: Speech, answer: Speech, client: bool) -> Result<(), TestCaseError> {
    let (mut asking, mut answering, relay) = scene().await.beginning_with(client);
    let (heard_answer, heard_question) = tokio::join!(
        async {
            say(&mut asking, &question).await;
            read_to_end(&mut asking).await
        },
        async {
            let heard = read_to_end(&mut answering).await;
            say(&mut answering, &answer).await;
            heard
        },
    );
    prop_assert!(heard_question == (bytes(question.0), Seen::CloseNotify));
    prop_assert!(heard_answer == (bytes(answer.0), Seen::CloseNotify));
    let (end, traffic) = relay.await.unwrap();
    prop_assert!(matches!(end, End::Closed), "{end:?}");
    let (up, down) = if client {
        (question.0, answer.0)
    } else {
        (answer.0, question.0)
    };
    prop_assert_eq!((traffic.up, traffic.down), (up as u64, down as u64));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_split_of_a_conversation_arrives(
        question in speech(),
        answer in speech(),
        client in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(converse(question, answer, client))?;
    }
}
