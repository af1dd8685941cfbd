//! Both sides in one process, and what either does when the other fails.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio::net::UnixStream;

use super::predecessor::{self, Endpoint};
use super::successor::{self, Handed};
use super::wire::{self, Answer, PROTOCOL, Request};
use super::{READY, UpgradeError};
use crate::tcp::Listening;

/// A place for the socket, which goes with this.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        Self(std::env::temp_dir().join(uuid::Uuid::now_v7().to_string()))
    }

    fn published(&self) -> Endpoint {
        let mut endpoint = Endpoint::bind(&self.0).unwrap();
        endpoint.publish().unwrap();
        endpoint
    }
}

fn sockets(count: usize) -> Vec<TcpListener> {
    let first = Listening::PLAIN.bind("127.0.0.1:0".parse().unwrap());
    let mut sockets = vec![first.unwrap()];
    let address = sockets[0].local_addr().unwrap();
    sockets.resize_with(count, || Listening::PLAIN.bind(address).unwrap());
    sockets
}

#[tokio::test]
async fn all_sockets_of_an_address_go_over() {
    let place = Place::new();
    let endpoint = place.published();
    let sockets = sockets(3);
    let address = sockets[0].local_addr().unwrap();
    let offered: Vec<_> = sockets.iter().map(|socket| (address, socket)).collect();
    let old = async {
        let stream = endpoint.next().await;
        predecessor::hand_over(stream, &offered).await.unwrap()
    };
    let new = async {
        let (predecessor, mut inherited) = successor::connect(&place.0).await.unwrap().unwrap();
        assert_eq!(inherited.take(address).len(), 3);
        predecessor.ready(vec![address]).await.unwrap()
    };
    let (taken, handed) = tokio::join!(old, new);
    assert_eq!(taken.unwanted, [address]);
    assert_eq!(taken.pid.unsigned_abs(), std::process::id());
    assert!(matches!(handed, Handed::Over(_)), "{handed:?}");
}

#[tokio::test]
async fn the_file_is_for_this_user_alone_and_goes_with_its_owner() {
    let place = Place::new();
    assert!(successor::connect(&place.0).await.unwrap().is_none());
    let first = place.published();
    let mode = std::fs::metadata(&place.0).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(successor::is_served(&place.0).await);
    let second = place.published();
    drop(first);
    assert!(
        successor::is_served(&place.0).await,
        "the file is the second's"
    );
    drop(second);
    assert!(!place.0.exists());
}

#[tokio::test]
async fn a_successor_that_is_gone_before_it_is_ready_changes_nothing() {
    let place = Place::new();
    let endpoint = place.published();
    let sockets = sockets(1);
    let address = sockets[0].local_addr().unwrap();
    let offered = [(address, &sockets[0])];
    let old = async { predecessor::hand_over(endpoint.next().await, &offered).await };
    let new = async { drop(successor::connect(&place.0).await.unwrap()) };
    let (handed, ()) = tokio::join!(old, new);
    assert!(matches!(handed, Err(UpgradeError::Exchange(_))));
}

#[tokio::test]
async fn another_version_is_refused_and_told_why() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let hello = Request::Hello {
        protocol: PROTOCOL + 1,
    };
    wire::send(&mut ours, &hello).await.unwrap();
    let error = predecessor::hand_over(theirs, &[]).await.err().unwrap();
    assert!(matches!(error, UpgradeError::Refused { .. }), "{error}");
    let Answer::Refused { reason } = wire::receive(&mut ours).await.unwrap() else {
        panic!("not refused");
    };
    assert!(reason.contains("version 2"), "{reason}");
}

/// A predecessor that serves and one that is gone are two things: next to the first, the successor
/// must not go on; without the second, nobody else is there.
#[tokio::test]
async fn a_successor_goes_on_only_where_its_predecessor_does_not() {
    for (answer, goes_on) in [
        (Some(Answer::Taken), true),
        (None, true),
        (
            Some(Answer::Refused {
                reason: "late".to_owned(),
            }),
            false,
        ),
    ] {
        let place = Place::new();
        let endpoint = place.published();
        let old = async {
            let mut stream = endpoint.next().await;
            let _hello: Request = wire::receive(&mut stream).await.unwrap();
            let sockets = Vec::new();
            let offer = Answer::Offer { sockets };
            wire::send(&mut stream, &offer).await.unwrap();
            let _ready: Request = wire::receive(&mut stream).await.unwrap();
            if let Some(answer) = answer {
                wire::send(&mut stream, &answer).await.unwrap();
            }
        };
        let new = async {
            let (predecessor, _none) = successor::connect(&place.0).await.unwrap().unwrap();
            predecessor.ready(Vec::new()).await
        };
        let ((), outcome) = tokio::join!(old, new);
        assert_eq!(outcome.is_ok(), goes_on);
    }
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_is_never_ready_is_refused_in_the_end() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let start = tokio::time::Instant::now();
    let new = async {
        let hello = Request::Hello { protocol: PROTOCOL };
        wire::send(&mut ours, &hello).await.unwrap();
        let _offer: Answer = wire::receive(&mut ours).await.unwrap();
        let refused: Answer = wire::receive(&mut ours).await.unwrap();
        assert!(matches!(refused, Answer::Refused { .. }), "{refused:?}");
    };
    let (outcome, ()) = tokio::join!(predecessor::hand_over(theirs, &[]), new);
    assert!(matches!(outcome, Err(UpgradeError::Refused { .. })));
    assert!(start.elapsed() >= READY);
}

#[tokio::test]
async fn a_socket_of_another_address_is_not_taken() {
    let place = Place::new();
    let endpoint = place.published();
    let socket = sockets(1).remove(0);
    let offered = [("192.0.2.1:443".parse().unwrap(), &socket)];
    let old = async { predecessor::hand_over(endpoint.next().await, &offered).await };
    let (_gone, taken) = tokio::join!(old, successor::connect(&place.0));
    let error = taken.unwrap_err();
    assert!(matches!(error, UpgradeError::Socket { .. }), "{error}");
}
