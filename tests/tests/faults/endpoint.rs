//! Endpoints that fail, each in its own way.

use std::{any::Any, net::SocketAddr, time::Duration};

use e2e::{
    haproxy::HaProxy,
    pki::{Authority, GATEWAY},
    pod::Pod,
};
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
    time::sleep,
};

use crate::stage::Stage;

impl Stage<(), ()> {
    /// Its address, and what it lives by.
    pub(crate) async fn endpoint_that(&self, fault: &str) -> (SocketAddr, Box<dyn Any>) {
        match fault {
            "frozen" | "gone" => {
                let process = HaProxy::start(&self.pki, &self.folder).await.unwrap();
                let address = process.address();
                if fault == "gone" {
                    return (address, Box::new(()));
                }
                process.process().freeze().unwrap();
                return (address, Box::new(process));
            }
            "resets" => return answering(b"", End::Reset).await,
            "answers in plain text" => return answering(PLAIN_TEXT, End::Close).await,
            "answers with an alert" => return answering(HANDSHAKE_FAILURE, End::Close).await,
            _ => {}
        }
        let pod = Pod::start(&self.pki).await.unwrap();
        match fault {
            "drips" => return behind(pod, Pace::Drips).await,
            "is late" => return behind(pod, Pace::Late).await,
            "refuses TLS" => pod.refuse_tls(),
            "another SPIFFE id" => pod.show(&self.pki.stranger),
            "an expired certificate" => {
                let issued = self
                    .pki
                    .mesh
                    .issue_until(2025, "old", &[GATEWAY], &self.folder);
                pod.show(&issued.unwrap());
            }
            _ => {
                let authority = Authority::create("impostor", &self.folder).unwrap();
                pod.show(&authority.issue("imp", &[GATEWAY], &self.folder).unwrap());
            }
        }
        (pod.address(), Box::new(pod))
    }
}

#[derive(Clone, Copy)]
enum End {
    Close,
    Reset,
}

/// An endpoint that knows one answer.
async fn answering(answer: &'static [u8], end: End) -> (SocketAddr, Box<dyn Any>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut stream, _front)) = listener.accept().await {
            let _some = stream.read(&mut [0; 16 * 1024]).await;
            let _gone = stream.write_all(answer).await;
            if let End::Reset = end {
                stream.set_zero_linger().unwrap();
            }
        }
    });
    (address, Box::new(serving))
}

#[derive(Clone, Copy)]
enum Pace {
    /// Each byte in time, the handshake never.
    Drips,
    /// The first byte comes a second late.
    Late,
}

/// A pod that is heard at this pace.
async fn behind(pod: Pod, pace: Pace) -> (SocketAddr, Box<dyn Any>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((front, _address)) = listener.accept().await {
            let pod = TcpStream::connect(pod.address()).await.unwrap();
            let (from_front, mut to_front) = front.into_split();
            let (mut from_pod, to_pod) = pod.into_split();
            connections.spawn(pass_on(from_front, to_pod));
            connections.spawn(async move {
                if let Pace::Late = pace {
                    sleep(Duration::from_secs(1)).await;
                    return pass_on(from_pod, to_front).await;
                }
                while let Ok(byte) = from_pod.read_u8().await {
                    if to_front.write_u8(byte).await.is_err() {
                        break;
                    }
                    sleep(Duration::from_millis(50)).await;
                }
            });
        }
    });
    (address, Box::new(serving))
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ended = io::copy(&mut from, &mut to).await;
    let _gone = to.shutdown().await;
}

const PLAIN_TEXT: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";

/// A TLS record with a fatal alert (RFC 8446 section 6).
const HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
