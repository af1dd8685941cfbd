//! A client, the relay and a gateway on loopback sockets. Each test says how a stream ends here
//! and asserts how it ends there.

use std::future::poll_fn;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::tls::session::tests::pair;

mod splits;

const IDLE: Duration = Duration::from_secs(60);

/// For what is not about deadlines.
const LONG: Deadlines = Deadlines {
    idle: IDLE,
    half_closed: IDLE,
    age: None,
};

/// How a peer saw its stream end.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    CloseNotify,
    Fin,
    Reset,
}

/// The client's and the gateway's ends, and the relay between them.
struct Scene {
    client: Leg,
    gateway: Leg,
    relay: JoinHandle<(End, Traffic)>,
}

impl Scene {
    /// The peer that ends first, the other one, and the relay.
    fn beginning_with(self, client: bool) -> (Leg, Leg, JoinHandle<(End, Traffic)>) {
        if client {
            (self.client, self.gateway, self.relay)
        } else {
            (self.gateway, self.client, self.relay)
        }
    }
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    (dialled, listener.accept().await.unwrap().0)
}

/// Two legs that have shaken hands: the one that dialled and the one that accepted.
async fn connected() -> (Leg, Leg) {
    let (client, server) = pair(&[&rustls::version::TLS13]);
    let (dialled, accepted) = sockets().await;
    let (mut client, mut server) = (Leg::new(dialled, client), Leg::new(accepted, server));
    let (a, b) = tokio::join!(client.handshake(), server.handshake());
    a.unwrap();
    b.unwrap();
    (client, server)
}

async fn scene_with_idle(idle: Duration) -> Scene {
    let (client, downstream) = connected().await;
    let (upstream, gateway) = connected().await;
    let relay = tokio::spawn(async move {
        let mut traffic = Traffic::default();
        let deadlines = Deadlines { idle, ..LONG };
        let (downstream, upstream) = (Box::new(downstream), Box::new(upstream));
        let end = relay(downstream, upstream, deadlines, &mut traffic).await;
        (end, traffic)
    });
    Scene {
        client,
        gateway,
        relay,
    }
}

async fn scene() -> Scene {
    scene_with_idle(IDLE).await
}

async fn send(leg: &mut Leg, data: &[u8]) {
    for piece in data.chunks(32 * 1024) {
        leg.session.seal(piece, &mut leg.outgoing).unwrap();
        poll_fn(|cx| leg.poll_flush(cx)).await.unwrap();
    }
}

async fn close(leg: &mut Leg) {
    leg.session.close(&mut leg.outgoing).unwrap();
    leg.give_up().await;
}

/// The next data; session tickets are read over.
async fn read_some(leg: &mut Leg) -> Vec<u8> {
    let mut got = Vec::new();
    while got.is_empty() {
        assert_ne!(poll_fn(|cx| leg.poll_receive(cx)).await.unwrap(), 0);
        let Leg {
            session, outgoing, ..
        } = &mut *leg;
        let opened = session.open(outgoing, |data| {
            got.extend_from_slice(data);
            Ok(())
        });
        assert_eq!(opened.unwrap(), Opened::NeedsInput);
    }
    got
}

async fn read_to_end(leg: &mut Leg) -> (Vec<u8>, Seen) {
    let (mut got, ended) = leg.session.take_early();
    if ended {
        return (got, Seen::CloseNotify);
    }
    loop {
        match poll_fn(|cx| leg.poll_receive(cx)).await {
            Ok(0) => return (got, Seen::Fin),
            Err(_) => return (got, Seen::Reset),
            Ok(_) => {
                let Leg {
                    session, outgoing, ..
                } = &mut *leg;
                let opened = session.open(outgoing, |data| {
                    got.extend_from_slice(data);
                    Ok(())
                });
                if opened.unwrap() == Opened::PeerClosed {
                    return (got, Seen::CloseNotify);
                }
            }
        }
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0_u32..)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .take(count)
        .collect()
}

#[tokio::test]
async fn a_request_and_its_answer_pass_when_each_side_ends_in_turn() {
    for client_first in [true, false] {
        let (mut first, mut second, relay) = scene().await.beginning_with(client_first);
        let data = bytes(3_000_000);
        let (_, got) = tokio::join!(
            async {
                send(&mut first, &data).await;
                close(&mut first).await;
            },
            read_to_end(&mut second)
        );
        assert!(
            got == (data, Seen::CloseNotify),
            "client first: {client_first}"
        );
        // The first direction is over; the second one still carries.
        let answer = bytes(1_000_000);
        let (_, got) = tokio::join!(
            async {
                send(&mut second, &answer).await;
                close(&mut second).await;
            },
            read_to_end(&mut first)
        );
        assert!(
            got == (answer, Seen::CloseNotify),
            "client first: {client_first}"
        );
        let (end, traffic) = relay.await.unwrap();
        assert!(matches!(end, End::Closed), "{end:?}");
        let want = if client_first {
            (3_000_000, 1_000_000)
        } else {
            (1_000_000, 3_000_000)
        };
        assert_eq!((traffic.up, traffic.down), want);
    }
}

#[tokio::test]
async fn both_directions_carry_at_the_same_time() {
    let Scene {
        mut client,
        mut gateway,
        relay,
    } = scene().await;
    let (up, down) = (bytes(2_000_000), bytes(2_500_000));
    // Each side first sends all of its data and only then reads: the kernel's buffers alone could
    // not hold it, so this ends only if the other side reads meanwhile.
    let echo = tokio::spawn({
        let down = down.clone();
        async move {
            let (got, seen) = read_to_end(&mut gateway).await;
            send(&mut gateway, &down).await;
            close(&mut gateway).await;
            (got, seen)
        }
    });
    send(&mut client, &up).await;
    close(&mut client).await;
    assert!(read_to_end(&mut client).await == (down, Seen::CloseNotify));
    assert!(echo.await.unwrap() == (up, Seen::CloseNotify));
    assert!(matches!(relay.await.unwrap().0, End::Closed));
}

#[tokio::test]
async fn a_truncated_stream_arrives_truncated() {
    for client_first in [true, false] {
        let (mut first, mut second, relay) = scene().await.beginning_with(client_first);
        send(&mut first, b"half a mess").await;
        // FIN without close_notify.
        first.give_up().await;
        assert_eq!(
            read_to_end(&mut second).await,
            (b"half a mess".to_vec(), Seen::Fin)
        );
        drop(second);
        let want = if client_first {
            Side::Downstream
        } else {
            Side::Upstream
        };
        let (end, _) = relay.await.unwrap();
        assert!(
            matches!(end, End::Cut { by, error: None } if by == want),
            "{end:?}"
        );
    }
}

#[tokio::test]
async fn a_reset_is_no_clean_end() {
    for client_first in [true, false] {
        let (mut first, mut second, relay) = scene().await.beginning_with(client_first);
        send(&mut first, b"x").await;
        // Once the byte is there, the relay has read everything before the reset.
        assert_eq!(read_some(&mut second).await, b"x");
        first.socket.set_zero_linger().unwrap();
        drop(first);
        assert_eq!(read_to_end(&mut second).await, (Vec::new(), Seen::Fin));
        let want = if client_first {
            Side::Downstream
        } else {
            Side::Upstream
        };
        let (end, _) = relay.await.unwrap();
        assert!(
            matches!(end, End::Cut { by, error: Some(_) } if by == want),
            "{end:?}"
        );
    }
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    let Scene {
        mut client,
        mut gateway,
        relay,
    } = scene().await;
    send(&mut client, &bytes(200_000)).await;
    // Small enough to be with the relay's kernel before the gateway's reset arrives there.
    let answer = bytes(10_000);
    send(&mut gateway, &answer).await;
    close(&mut gateway).await;
    // The gateway is gone with the request half read.
    drop(gateway);
    send(&mut client, &bytes(200_000)).await;
    assert!(read_to_end(&mut client).await == (answer, Seen::CloseNotify));
    drop(client);
    relay.await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_stops_the_sender_and_loses_nothing() {
    let Scene {
        mut client,
        mut gateway,
        relay,
    } = scene().await;
    let data = bytes(32_000_000);
    let sender = tokio::spawn({
        let data = data.clone();
        async move {
            send(&mut client, &data).await;
            close(&mut client).await;
            client
        }
    });
    // Nobody reads: kernel buffers fill up and everything stands still.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        !sender.is_finished(),
        "32 MB fit into buffers that should be small"
    );
    assert!(read_to_end(&mut gateway).await == (data, Seen::CloseNotify));
    close(&mut gateway).await;
    let mut client = sender.await.unwrap();
    assert_eq!(read_to_end(&mut client).await.1, Seen::CloseNotify);
    assert!(matches!(relay.await.unwrap().0, End::Closed));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_connection_and_is_no_clean_end() {
    let Scene {
        mut client,
        mut gateway,
        relay,
    } = scene_with_idle(Duration::from_secs(5)).await;
    let start = Instant::now();
    let (end, _) = relay.await.unwrap();
    assert!(matches!(end, End::Expired(Expired::Idle)), "{end:?}");
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(read_to_end(&mut client).await.1, Seen::Fin);
    assert_eq!(read_to_end(&mut gateway).await.1, Seen::Fin);
}

#[tokio::test]
async fn what_came_with_the_handshake_is_relayed() {
    let (mut client, downstream) = {
        let (client, server) = pair(&[&rustls::version::TLS13]);
        let (dialled, accepted) = sockets().await;
        let (mut client, mut server) = (Leg::new(dialled, client), Leg::new(accepted, server));
        let served = tokio::spawn(async move {
            server.handshake().await.unwrap();
            server
        });
        client.handshake().await.unwrap();
        send(&mut client, b"at once").await;
        (client, served.await.unwrap())
    };
    let (upstream, mut gateway) = connected().await;
    let relay: JoinHandle<End> = tokio::spawn(async move {
        let (downstream, upstream) = (Box::new(downstream), Box::new(upstream));
        relay(downstream, upstream, LONG, &mut Traffic::default()).await
    });
    close(&mut client).await;
    assert_eq!(
        read_to_end(&mut gateway).await,
        (b"at once".to_vec(), Seen::CloseNotify)
    );
    close(&mut gateway).await;
    assert!(matches!(relay.await.unwrap(), End::Closed));
}

#[tokio::test]
async fn a_broken_record_is_answered_with_an_alert_and_never_passed_on() {
    let Scene {
        mut client,
        mut gateway,
        relay,
    } = scene().await;
    client.session.seal(b"data", &mut client.outgoing).unwrap();
    *client.outgoing.filled_mut().last_mut().unwrap() ^= 1;
    poll_fn(|cx| client.poll_flush(cx)).await.unwrap();
    assert_eq!(read_to_end(&mut gateway).await, (Vec::new(), Seen::Fin));
    let (end, traffic) = relay.await.unwrap();
    assert!(
        matches!(
            end,
            End::Broken {
                by: Side::Downstream,
                ..
            }
        ),
        "{end:?}"
    );
    assert_eq!(traffic.up, 0);
    assert!(poll_fn(|cx| client.poll_receive(cx)).await.unwrap() > 0);
    let alert = client.session.open(&mut client.outgoing, |_| Ok(()));
    let alert = alert.unwrap_err().to_string();
    assert!(alert.contains("BadRecordMac"), "{alert}");
}

#[tokio::test]
async fn an_open_connection_needs_little_room() {
    let (_client, downstream) = connected().await;
    let (upstream, _gateway) = connected().await;
    let mut traffic = Traffic::default();
    let future = relay(Box::new(downstream), Box::new(upstream), LONG, &mut traffic);
    let room = size_of_val(&future);
    assert!(room <= 1024, "{room} bytes for as long as it is open");
}
