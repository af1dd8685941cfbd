//! Those who must get nothing, or do not want it: each is right when the front ended its connection in time.

use std::{net::SocketAddr, time::Duration};

use e2e::{client_hello::client_hello, dialer::alert, error::HarnessError, random::Random};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    senders::{Outcome, said},
    stage::{STEADY, Town},
};

/// Says something and resets the connection.
pub(crate) async fn reset(town: &Town, random: &mut Random) -> Outcome {
    let dialer = town.dialer(town.public, STEADY);
    let mut tls = dialer.connect_tls().await.map_err(|error| error.chain())?;
    // What was said may not have been read by then.
    tls.write_all(&random.bytes(32 * 1024))
        .await
        .map_err(said)?;
    let (socket, _session) = tls.into_inner();
    socket.set_zero_linger().map_err(said)?;
    Ok(1)
}

/// Each byte comes in time, the ClientHello never does.
pub(crate) async fn slowloris(town: &Town, random: &mut Random) -> Outcome {
    let listener = random.pick(&[town.public, town.through]);
    let stream = TcpStream::connect(listener).await.map_err(said)?;
    let (mut read, mut write) = stream.into_split();
    let drip = async {
        for byte in client_hello(STEADY) {
            if write.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut heard = Vec::new();
    tokio::select! {
        () = drip => unreachable!("it never ends"),
        end = timeout(LIMIT, read.read_to_end(&mut heard)) => {
            end.map(|_ended_or_reset| 1).map_err(|_late| "it is still open".to_owned())
        }
    }
}

/// Asks for a name that there is no route for.
pub(crate) async fn wrong_name(town: &Town, random: &mut Random) -> Outcome {
    let listener = random.pick(&[town.public, town.through]);
    match town
        .dialer(listener, "nobody.example.org")
        .connect_tls()
        .await
    {
        Err(HarnessError::Connection { source, .. }) if alert(&source).is_some() => Ok(1),
        Err(error) => Err(error.chain()),
        Ok(_served) => Err("it was served".to_owned()),
    }
}

/// Bytes of no protocol.
pub(crate) async fn garbage(town: &Town, random: &mut Random) -> Outcome {
    let listener = random.pick(&[town.public, town.through, town.proxied]);
    let length = 1 + random.below(2000);
    let mut bytes = random.bytes(length);
    // Nothing that more could make a record or a header of.
    bytes[0] = b'x';
    is_ended(listener, &bytes).await
}

/// What begins like a PROXY header and is none.
pub(crate) async fn broken_header(town: &Town, random: &mut Random) -> Outcome {
    let bytes: &[u8] = random.pick(&[
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n".as_slice(),
        b"PROXY TCP9 1.2.3.4 5.6.7.8 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
    ]);
    is_ended(town.proxied, bytes).await
}

async fn is_ended(listener: SocketAddr, bytes: &[u8]) -> Outcome {
    let mut stream = TcpStream::connect(listener).await.map_err(said)?;
    stream.write_all(bytes).await.map_err(said)?;
    let mut heard = Vec::new();
    let end = timeout(LIMIT, stream.read_to_end(&mut heard)).await;
    // An alert may come, never data.
    match end {
        Err(_late) => Err("it is still open".to_owned()),
        Ok(_) if heard.first().is_some_and(|kind| *kind != ALERT) => {
            Err(format!("it heard {heard:02x?}"))
        }
        Ok(_ended_or_reset) => Ok(1),
    }
}

/// A record of TLS (RFC 8446 section 5.1).
const ALERT: u8 = 21;
/// Ten times what the front gives a ClientHello in a run.
const LIMIT: Duration = Duration::from_secs(10);
