//! A front that has nothing to dial with.

use crate::stage::{Stage, greeted};

/// It has no such address, as it may have no port or descriptor left. One failed attempt would be
/// enough to leave an endpoint out.
#[tokio::test]
async fn a_front_that_cannot_dial_blames_no_endpoint() {
    let edit = |config: String| {
        let balance = "  balance: round_robin\n";
        let ejection = "  ejection: { consecutive_failures: 1 }\n";
        let source = "  tcp: { source_addresses: [192.0.2.1] }\n";
        config.replace(balance, &format!("{balance}{ejection}{source}"))
    };
    let stage = Stage::prepare();
    let other = e2e::pod::Pod::start(&stage.pki).await.unwrap();
    let mut stage = stage.open_edited(&[other.address()], edit).await;
    let before = stage.open_files().await;
    for _visit in 0..4 {
        assert!(greeted(&stage.dialer()).await.is_none());
    }
    for line in stage.log(4).await {
        assert_eq!(line["termination"], "no_endpoint", "{line}");
        let error = line["error"].as_str().unwrap();
        assert!(error.contains("Cannot assign requested address"), "{line}");
    }
    for endpoint in [other.address(), stage.good.address()] {
        let about = stage.endpoint(endpoint).await.unwrap();
        assert_eq!(about["state"], "healthy", "{about}");
    }
    stage.is_as(before).await;
}
