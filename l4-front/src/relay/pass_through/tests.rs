//! A client, the relay and a server on loopback sockets: what comes out, how it ends, what is held.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::Expired;
use super::*;
use crate::pipe;

const MINUTE: Duration = Duration::from_secs(60);

const LONG: Deadlines = Deadlines {
    idle: MINUTE,
    half_closed: MINUTE,
    age: None,
};

struct Scene {
    client: TcpStream,
    server: TcpStream,
    relay: JoinHandle<(End, Traffic)>,
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (dialled, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (dialled.unwrap(), accepted.unwrap().0)
}

async fn scene(first: &[u8], deadlines: Deadlines) -> Scene {
    let (client, downstream) = sockets().await;
    let (upstream, server) = sockets().await;
    let mut buffer = Buffer::default();
    assert!(buffer.append(first));
    let relay = tokio::spawn(async move {
        let mut traffic = Traffic::default();
        let end = relay(downstream, upstream, buffer, deadlines, &mut traffic).await;
        (end, traffic)
    });
    Scene {
        client,
        server,
        relay,
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0_u32..)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .take(length)
        .collect()
}

/// Writes in pieces of these sizes, then ends.
async fn say(socket: &mut (impl AsyncWriteExt + Unpin), data: &[u8], pieces: &[usize]) {
    let (mut rest, mut pieces) = (data, pieces.iter().cycle());
    while !rest.is_empty() {
        let size = (*pieces.next().unwrap()).min(rest.len());
        let (piece, left) = rest.split_at(size);
        socket.write_all(piece).await.unwrap();
        rest = left;
    }
    socket.shutdown().await.unwrap();
}

async fn hear(socket: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut heard = Vec::new();
    socket.read_to_end(&mut heard).await.unwrap();
    heard
}

#[tokio::test]
async fn what_was_read_before_goes_first() {
    let mut scene = scene(b"hello ", LONG).await;
    scene.client.write_all(b"world").await.unwrap();
    scene.client.shutdown().await.unwrap();
    assert_eq!(hear(&mut scene.server).await, b"hello world");
    scene.server.write_all(b"answer").await.unwrap();
    drop(scene.server);
    assert_eq!(hear(&mut scene.client).await, b"answer");
    let (end, traffic) = scene.relay.await.unwrap();
    assert!(matches!(end, End::Closed), "{end:?}");
    assert_eq!((traffic.up, traffic.down, traffic.spliced), (5, 6, 0));
}

#[tokio::test]
async fn much_data_is_moved_by_the_kernel() {
    let mut scene = scene(b"", LONG).await;
    let data = pattern(8 << 20);
    let (mut from_client, mut to_client) = scene.client.split();
    let (mut from_server, mut to_server) = scene.server.split();
    let (_, _, up, down) = tokio::join!(
        say(&mut to_client, &data, &[100_000]),
        say(&mut to_server, &data, &[33_333]),
        hear(&mut from_server),
        hear(&mut from_client),
    );
    assert!(up == data && down == data);
    let (_end, traffic) = scene.relay.await.unwrap();
    let spliced = traffic.spliced;
    assert!(spliced > 15 << 20, "{spliced} bytes are spliced");
}

#[tokio::test]
async fn an_idle_connection_holds_no_pipe() {
    let mut scene = scene(b"", LONG).await;
    let data = pattern(1 << 20);
    let mut heard = vec![0; data.len()];
    let (sent, received) = tokio::join!(
        scene.client.write_all(&data),
        scene.server.read_exact(&mut heard)
    );
    sent.unwrap();
    received.unwrap();
    let (at_work, pooled) = pipe::tests::count();
    assert_eq!((at_work, pooled), (0, 1));
}

#[tokio::test]
async fn a_slow_reader_stops_its_sender() {
    let mut scene = scene(b"", LONG).await;
    let data = pattern(64 << 10);
    let mut taken = 0_usize;
    let full = async {
        loop {
            scene.client.write_all(&data).await.unwrap();
            taken += data.len();
        }
    };
    // Nothing is to happen in that time; that the sender stops is seen by the count.
    let _ = tokio::time::timeout(Duration::from_secs(1), full).await;
    assert!(taken < 64 << 20, "{taken} bytes are somewhere");
    let total = async {
        let mut heard = vec![0; 1 << 16];
        let mut total = 0;
        while total < taken {
            total += scene.server.read(&mut heard).await.unwrap();
        }
        total
    };
    assert!(total.await >= taken);
}

#[tokio::test]
async fn half_close_leaves_the_other_direction_open() {
    let mut scene = scene(b"", LONG).await;
    scene.server.shutdown().await.unwrap();
    assert_eq!(hear(&mut scene.client).await, b"");
    scene.client.write_all(b"still here").await.unwrap();
    scene.client.shutdown().await.unwrap();
    assert_eq!(hear(&mut scene.server).await, b"still here");
    assert!(matches!(scene.relay.await.unwrap().0, End::Closed));
}

#[tokio::test]
async fn a_reset_arrives_as_a_reset() {
    for by_client in [true, false] {
        let scene = scene(b"", LONG).await;
        let (gone, mut left, by) = if by_client {
            (scene.client, scene.server, Side::Downstream)
        } else {
            (scene.server, scene.client, Side::Upstream)
        };
        SockRef::from(&gone)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(gone);
        let error = left.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let (end, _traffic) = scene.relay.await.unwrap();
        assert!(
            matches!(end, End::Cut { by: who, error: Some(_) } if who == by),
            "{end:?}"
        );
    }
}

#[tokio::test]
async fn deadlines_end_it() {
    let second = Duration::from_secs(1);
    let cases = [
        (
            Deadlines {
                idle: second,
                ..LONG
            },
            false,
            Expired::Idle,
        ),
        (
            Deadlines {
                half_closed: second,
                ..LONG
            },
            true,
            Expired::HalfClosed,
        ),
        (
            Deadlines {
                age: Some(Instant::now()),
                ..LONG
            },
            false,
            Expired::Aged { quiet: true },
        ),
    ];
    for (deadlines, half_closed, want) in cases {
        let mut scene = scene(b"", deadlines).await;
        if half_closed {
            scene.client.shutdown().await.unwrap();
        }
        let (end, _traffic) = scene.relay.await.unwrap();
        assert!(matches!(end, End::Expired(what) if what == want), "{end:?}");
        assert_eq!(hear(&mut scene.client).await, b"");
        assert_eq!(hear(&mut scene.server).await, b"");
    }
}

/// As where a filter of system calls forbids splice(2).
#[tokio::test]
async fn where_the_kernel_refuses_it_is_copied() {
    let (mut client, downstream) = sockets().await;
    let (upstream, mut server) = sockets().await;
    let mut direction = Direction::new(Side::Downstream, Cargo::None);
    direction.moved = SPLICE_AFTER_BYTES;
    assert!(direction.pipe().is_some());
    for errno in [nix::libc::EINVAL, nix::libc::ENOSYS, nix::libc::EPERM] {
        assert!(cannot_splice(&io::Error::from_raw_os_error(errno)));
    }
    assert!(!cannot_splice(&io::ErrorKind::WouldBlock.into()));
    direction.copies = true;
    assert!(direction.pipe().is_none(), "for good");
    say(&mut client, b"copied", &[6]).await;
    let (mut count, mut spliced) = (0, 0);
    poll_fn(|cx| {
        let mut turn = || direction.poll(cx, &downstream, &upstream, &mut count, &mut spliced);
        while turn() != Moved::Nothing {}
        if direction.finished {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    assert_eq!(hear(&mut server).await, b"copied");
    assert_eq!((count, spliced), (6, 0));
}

#[tokio::test]
async fn what_a_pipe_takes_goes_on_in_the_same_turn() {
    let (mut client, downstream) = sockets().await;
    let (upstream, _server) = sockets().await;
    let mut direction = Direction::new(Side::Downstream, Cargo::None);
    direction.moved = SPLICE_AFTER_BYTES;
    client.write_all(b"at once").await.unwrap();
    downstream.readable().await.unwrap();
    upstream.writable().await.unwrap();
    let (mut count, mut spliced) = (0, 0);
    let moved = poll_fn(|cx| {
        Poll::Ready(direction.poll(cx, &downstream, &upstream, &mut count, &mut spliced))
    })
    .await;
    assert_eq!((moved, count, spliced), (Moved::ByPipe, 7, 7));
    assert!(matches!(direction.cargo, Cargo::None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_split_gives_the_same_bytes(
        up in (0_usize..400_000, prop::collection::vec(1_usize..80_000, 1..8)),
        down in (0_usize..400_000, prop::collection::vec(1_usize..80_000, 1..8)),
        first in 0_usize..3000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // Small pieces of much data would only make the test slow.
            let pieces = |(length, pieces): &(usize, Vec<usize>)| -> Vec<usize> {
                pieces.iter().map(|piece| (*piece).max(length / 200)).collect()
            };
            let (said_up, said_down) = (pattern(up.0), pattern(down.0));
            let mut scene = scene(&said_up[..first.min(up.0)], LONG).await;
            let (mut from_client, mut to_client) = scene.client.split();
            let (mut from_server, mut to_server) = scene.server.split();
            let (up_pieces, down_pieces) = (pieces(&up), pieces(&down));
            let (_, _, heard_up, heard_down) = tokio::join!(
                say(&mut to_client, &said_up[first.min(up.0)..], &up_pieces),
                say(&mut to_server, &said_down, &down_pieces),
                hear(&mut from_server),
                hear(&mut from_client),
            );
            prop_assert!(heard_up == said_up && heard_down == said_down);
            let (end, _traffic) = scene.relay.await.unwrap();
            prop_assert!(matches!(end, End::Closed), "{end:?}");
            prop_assert_eq!(pipe::tests::count().0, 0);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_connection_that_never_rests_ends_by_its_age() {
    let (mut client, downstream) = sockets().await;
    let (upstream, _server) = sockets().await;
    client.write_all(&[7; 256 * 1024]).await.unwrap();
    downstream.readable().await.unwrap();
    upstream.writable().await.unwrap();
    let deadlines = Deadlines {
        age: Some(Instant::now() - MINUTE),
        ..LONG
    };
    let mut traffic = Traffic::default();
    let none = Buffer::default();
    let mut relay = pin!(relay(downstream, upstream, none, deadlines, &mut traffic));
    // There is more to move when it is asked for the first time.
    let first = poll_fn(|cx| Poll::Ready(relay.as_mut().poll(cx))).await;
    let ended = matches!(
        first,
        Poll::Ready(End::Expired(Expired::Aged { quiet: false }))
    );
    assert!(ended, "{first:?}");
}
