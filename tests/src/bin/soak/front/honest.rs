//! Those who want an answer, and look whether it is the right one.

use std::{net::SocketAddrV4, time::Duration};

use e2e::{
    dialer::Dialer,
    http::{Ask, Exchange, KEPT_BYTES},
    pattern::{Pattern, Sum},
    proxy_protocol,
    random::Random,
};
use hyper::StatusCode;
use rustls::HandshakeKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::{
    endpoint::SMALL,
    senders::{Outcome, said},
    stage::{FRAGILE, STEADY, Town},
};

/// A new connection with a full handshake for each request; of two endpoints one may be gone.
pub(crate) async fn fresh(town: &Town, _random: &mut Random) -> Outcome {
    let dialer = town.dialer(town.public, FRAGILE).speaking(&["http/1.1"]);
    small(&mut open(&dialer).await?, FRAGILE).await?;
    Ok(1)
}

/// The first handshake is a full one, those after it resume its session.
pub(crate) async fn resumed(town: &Town, _random: &mut Random) -> Outcome {
    let dialer = town.dialer(town.public, STEADY).resuming();
    let mut kinds = Vec::new();
    for _connection in 0..10 {
        let mut tls = dialer.connect_tls().await.map_err(|error| error.chain())?;
        let mut heard = [0; 66];
        let talk = async {
            tls.write_all(&[7; 64]).await?;
            tls.flush().await?;
            tls.read_exact(&mut heard).await?;
            tls.shutdown().await
        };
        talk.await.map_err(said)?;
        if heard[2..] != [7; 64] {
            return Err("another echo".to_owned());
        }
        kinds.push(tls.get_ref().1.handshake_kind());
    }
    let resumed = kinds
        .iter()
        .filter(|kind| **kind == Some(HandshakeKind::Resumed))
        .count();
    // A new configuration in between may have new ticket keys: the next handshake is a full one again.
    if resumed >= kinds.len() / 2 {
        Ok(10)
    } else {
        Err(format!("{kinds:?}"))
    }
}

/// HTTP/1.1 on a connection that is kept.
pub(crate) async fn kept_1(town: &Town, _random: &mut Random) -> Outcome {
    kept(
        &town.dialer(town.public, STEADY).speaking(&["http/1.1"]),
        STEADY,
    )
    .await
}

/// HTTP/2 on a connection that is kept.
pub(crate) async fn kept_2(town: &Town, _random: &mut Random) -> Outcome {
    kept(&town.dialer(town.public, STEADY).speaking(&["h2"]), STEADY).await
}

async fn kept(dialer: &Dialer, host: &str) -> Outcome {
    let mut exchange = open(dialer).await?;
    for _request in 0..KEPT {
        small(&mut exchange, host).await?;
        sleep(BETWEEN).await;
    }
    Ok(KEPT)
}

/// A large answer.
pub(crate) async fn download(town: &Town, random: &mut Random) -> Outcome {
    let protocol = random.pick(&["h2", "http/1.1"]);
    let dialer = town.dialer(town.public, STEADY).speaking(&[protocol]);
    let path = format!("/download?bytes={BULK}");
    let reply = open(&dialer).await?.send(Ask::get(STEADY, &path)).await;
    let reply = reply.map_err(|error| error.chain())?;
    if reply.status == StatusCode::OK && reply.sha256 == Pattern::of(BULK).sha256() {
        return Ok(1);
    }
    Err(format!(
        "{protocol}: {}, {} bytes of {BULK}",
        reply.status, reply.length
    ))
}

/// A large request.
pub(crate) async fn upload(town: &Town, random: &mut Random) -> Outcome {
    let protocol = random.pick(&["h2", "http/1.1"]);
    let dialer = town.dialer(town.public, STEADY).speaking(&[protocol]);
    let ask = Ask::post(STEADY, "/upload", Pattern::of(BULK));
    let reply = open(&dialer)
        .await?
        .send(ask)
        .await
        .map_err(|error| error.chain())?;
    if reply.text() == Pattern::of(BULK).sha256() {
        Ok(1)
    } else {
        Err(format!("{protocol}: another sum"))
    }
}

/// TLS that passes through, in both directions and at length.
pub(crate) async fn through(town: &Town, random: &mut Random) -> Outcome {
    let protocol = random.pick(&["h2", "http/1.1"]);
    let mut exchange = open(&town.dialer(town.through, STEADY).speaking(&[protocol])).await?;
    for _request in 0..10 {
        small(&mut exchange, STEADY).await?;
    }
    let length = KEPT_BYTES as u64;
    let path = format!("/download?bytes={length}");
    let reply = exchange
        .send(Ask::get(STEADY, &path))
        .await
        .map_err(|error| error.chain())?;
    if reply.sha256 == Pattern::of(length).sha256() {
        Ok(11)
    } else {
        Err(format!("{protocol}: another sum"))
    }
}

/// Takes its time over a large answer: what the front holds for it must not grow.
pub(crate) async fn slow_reader(town: &Town, _random: &mut Random) -> Outcome {
    let dialer = town.dialer(town.public, STEADY).speaking(&["http/1.1"]);
    let mut tls = dialer.connect_tls().await.map_err(|error| error.chain())?;
    let request = format!(
        "GET /download?bytes={BULK} HTTP/1.1\r\nhost: {STEADY}\r\nconnection: close\r\n\r\n"
    );
    tls.write_all(request.as_bytes()).await.map_err(said)?;
    tls.flush().await.map_err(said)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tls.read_u8().await.map_err(said)?);
    }
    let (mut sum, mut bytes) = (Sum::default(), vec![0; 64 * 1024]);
    loop {
        let length = tls.read(&mut bytes).await.map_err(said)?;
        if length == 0 {
            break;
        }
        sum.add(&bytes[..length]);
        sleep(BETWEEN).await;
    }
    let length = sum.length();
    if sum.hex() == Pattern::of(BULK).sha256() {
        Ok(1)
    } else {
        Err(format!("{length} bytes of {BULK}"))
    }
}

/// Says all it has to say and ends its direction before it reads.
pub(crate) async fn half_close(town: &Town, random: &mut Random) -> Outcome {
    let dialer = town.dialer(town.public, STEADY);
    let mut tls = dialer.connect_tls().await.map_err(|error| error.chain())?;
    let words = random.bytes(48 * 1024);
    let mut heard = Vec::new();
    let talk = async {
        tls.write_all(&words).await?;
        tls.shutdown().await?;
        tls.read_to_end(&mut heard).await
    };
    talk.await.map_err(said)?;
    if heard.get(2..) == Some(&words) {
        Ok(1)
    } else {
        Err(format!("{} bytes came back", heard.len()))
    }
}

/// Behind a proxy that says who the client is: the endpoint must hear the same.
pub(crate) async fn proxied(town: &Town, random: &mut Random) -> Outcome {
    let port = 1024 + u16::try_from(random.below(60_000)).unwrap_or_default();
    let ip = std::net::Ipv4Addr::new(198, 51, 100, random.bytes(1)[0]);
    let source = SocketAddrV4::new(ip, port);
    let header = proxy_protocol::encode(source, SocketAddrV4::new([192, 0, 2, 1].into(), 443), &[]);
    let dialer = town
        .dialer(town.proxied, STEADY)
        .speaking(&["h2"])
        .saying_first(header);
    let reply = open(&dialer).await?.send(Ask::get(STEADY, "/source")).await;
    let text = reply.map_err(|error| error.chain())?.text();
    if text == source.to_string() {
        Ok(1)
    } else {
        Err(format!("{text} instead of {source}"))
    }
}

async fn open(dialer: &Dialer) -> Result<Exchange, String> {
    Exchange::open(dialer).await.map_err(|error| error.chain())
}

async fn small(exchange: &mut Exchange, host: &str) -> Result<(), String> {
    let reply = exchange
        .send(Ask::get(host, "/"))
        .await
        .map_err(|error| error.chain())?;
    if reply.status == StatusCode::OK && reply.text() == SMALL {
        return Ok(());
    }
    Err(format!("{}: {}", reply.status, reply.text()))
}

/// Requests on one connection.
const KEPT: u64 = 100;
/// Bytes of a large request or answer.
const BULK: u64 = 4 << 20;
/// One request and the next, one read and the next.
const BETWEEN: Duration = Duration::from_millis(10);
