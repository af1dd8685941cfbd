//! Downstreams that are slow after their handshake.

use std::time::Duration;

use e2e::echo::{Echo, say};
use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};

use crate::stage::{LIMIT, Stage, read_to_end};

/// Each byte comes before the connection counts as idle, so its age is what ends it.
#[tokio::test]
async fn a_downstream_that_drips_its_data_is_ended_by_its_age() {
    let edit = |config: String| {
        let timeouts = "idle_seconds: 5, max_age_seconds: 10, max_age_jitter_percent: 0";
        config.replace("idle_seconds: 300", timeouts)
    };
    let mut stage = Stage::prepare().open_edited(&[], edit).await;
    let before = stage.open_files().await;
    let (downstream, _port) = stage.greeted().await.unwrap();
    let (mut from_front, mut to_front) = tokio::io::split(downstream);
    let drip = async {
        while to_front.write_all(b"x").await.is_ok() && to_front.flush().await.is_ok() {
            // Longer than the quiet second that the front waits for.
            sleep(Duration::from_millis(1500)).await;
        }
        std::future::pending::<()>().await;
    };
    let heard = async {
        assert!(stage.visit().await.is_some(), "in the meantime");
        let mut heard = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut from_front, &mut heard);
        timeout(AGE_LIMIT, read).await.unwrap().unwrap();
        heard
    };
    let heard = tokio::select! {
        () = drip => unreachable!("it goes on"),
        heard = heard => heard,
    };
    assert!(heard.ends_with(b"xxxxx"), "{heard:?}");
    let line = stage.line_with("max_age").await;
    assert!(line["duration_ms"].as_u64().unwrap() >= 10_000, "{line}");
    drop((from_front, to_front));
    assert!(stage.visit().await.is_some());
    stage.is_as(before).await;
}

/// The gateway says back what it hears, so a client that never reads stops both directions. What
/// is on its way then is in the kernel's buffers, which are bounded, and not in the front's.
#[tokio::test]
async fn downstreams_that_never_read_cost_no_memory_and_are_ended() {
    let edit = |config: String| config.replace("idle_seconds: 300", "idle_seconds: 3");
    let mut stage = Echo::start(edit).await.unwrap();
    for _visit in 0..4 {
        say(&mut stage.connect().await.unwrap()).await.unwrap();
    }
    let before = stage.front.process().resident_kib().unwrap();
    let mut stuck = Vec::new();
    let mut said = 0;
    for _connection in 0..CONNECTIONS {
        let mut stream = stage.connect().await.unwrap();
        let piece = [7; 64 * 1024];
        // A write that does not come to its end stands for one that never will.
        while let Ok(written) = timeout(STUCK, stream.write_all(&piece)).await {
            if written.is_err() {
                break;
            }
            said += piece.len();
        }
        stuck.push(stream);
    }
    let grown = stage.front.process().resident_kib().unwrap() - before;
    let each = grown / CONNECTIONS;
    assert!(said > 16 << 20, "only {said} bytes were on their way");
    assert!(each < KIB_EACH, "{each} KiB each, {said} bytes were said");
    say(&mut stage.connect().await.unwrap()).await.unwrap();
    let ended = "l4_front_downstream_connections_ended_total\
                 {listener=\"public\",termination=\"idle_timeout\"}";
    e2e::deadline::eventually("their end", LIMIT, async || {
        let ended = stage.front.metric(ended).await.unwrap();
        (ended == u64::from(CONNECTIONS)).then_some(())
    })
    .await
    .unwrap();
    for mut stream in stuck {
        assert!(read_to_end(&mut stream).await.is_err(), "no clean end");
    }
}

const CONNECTIONS: u32 = 8;

/// Two directions with a buffer on each side of each, and room for what the allocator keeps.
const KIB_EACH: u32 = 512;

/// Loopback takes what it has room for at once.
const STUCK: Duration = Duration::from_millis(500);

/// Ten seconds, a quiet one, and time to spare.
const AGE_LIMIT: Duration = Duration::from_secs(60);
