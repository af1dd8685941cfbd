//! What the workers share without a lock, in every order in which threads may see each other's steps: the counts are
//! compiled a second time here, with loom's atomics.

use loom::sync::{Arc, Notify, atomic};
use loom::thread;

#[path = "../src/count.rs"]
mod count;

use count::Count;

/// As a connection waits for an endpoint's place (`cluster/queue.rs`) while the only one is given back
/// (`cluster/endpoint.rs`). One that waits for ever is a deadlock, which loom reports.
#[test]
fn who_waits_for_a_place_hears_of_the_one_that_is_given_back() {
    loom::model(|| {
        let places = Arc::new(Count::new());
        let line = Arc::new(Count::new());
        let free = Arc::new(Notify::new());
        assert_eq!(places.join(1), Some(0));
        let giver = {
            let (places, line, free) = (places.clone(), line.clone(), free.clone());
            thread::spawn(move || {
                places.leave();
                if line.now() > 0 {
                    free.notify();
                }
            })
        };
        assert_eq!(line.join(8), Some(0));
        while places.join(1).is_none() {
            free.wait();
        }
        line.leave();
        giver.join().unwrap();
        assert_eq!((places.now(), line.now()), (1, 0));
    });
}

/// As connections take a listener's places (`shared.rs`): the last one is one worker's, and none is lost.
#[test]
fn there_are_never_more_than_the_most_and_all_places_come_back() {
    loom::model(|| {
        let places = Arc::new(Count::new());
        let guest = |places: &Count| {
            let before = places.join(1);
            if before.is_some() {
                assert_eq!(places.now(), 1, "nobody else has one");
                places.leave();
            }
            before.is_some()
        };
        let others: Vec<_> = (0..2)
            .map(|_other| {
                let places = places.clone();
                thread::spawn(move || guest(&places))
            })
            .collect();
        let mut served = usize::from(guest(&places));
        for other in others {
            served += usize::from(other.join().unwrap());
        }
        assert!(served > 0, "the place was there for one of them");
        assert_eq!(places.now(), 0);
    });
}
