//! What happens around the requests in the course of a run: the key server has its moods, and the provider changes its key.

use std::time::Duration;

use e2e::error::HarnessError;
use tokio::time::{Instant, sleep};

use super::{
    classes::Era,
    key_server::{KeyServer, Mood},
    load::Load,
    watch::Watch,
};

/// The events, each at a share of the requests, in percent.
const EVENTS: [(u64, Event); 10] = [
    (15, Event::Mood(Mood::Slow)),
    (25, Event::Mood(Mood::Good)),
    (30, Event::Mood(Mood::Garbage)),
    (35, Event::Mood(Mood::Huge)),
    (40, Event::Mood(Mood::Elsewhere)),
    (45, Event::Mood(Mood::Good)),
    (50, Event::PublishNewKey),
    (60, Event::WithdrawOldKey),
    (75, Event::Mood(Mood::Slow)),
    (85, Event::Mood(Mood::Good)),
];

#[derive(Debug, Clone, Copy)]
enum Event {
    Mood(Mood),
    PublishNewKey,
    WithdrawOldKey,
}

/// Lets everything happen until all requests are sent, and looks at memory every five percent.
pub(crate) async fn run(
    load: &Load,
    keys: &KeyServer,
    watch: &mut Watch<'_>,
) -> Result<(), HarnessError> {
    let percent = |share: u64| load.total() * share / 100;
    let mut events = EVENTS.iter().peekable();
    let mut next_sample = STEP;
    let mut withdrawn: Option<Instant> = None;
    while load.sent() < load.total() && !load.is_given_up() {
        if let Some((_, event)) = events.next_if(|(share, _)| load.sent() >= percent(*share)) {
            match event {
                Event::Mood(mood) => keys.set_mood(*mood),
                Event::PublishNewKey => {
                    keys.publish(load.material().keys_meanwhile());
                    // Providers publish a key some time before they sign with it.
                    load.is_believed(&load.material().new[0]).await?;
                    load.begin(Era::Both);
                }
                Event::WithdrawOldKey => {
                    keys.publish(load.material().keys_after());
                    load.begin(Era::Withdrawn);
                    withdrawn = Some(Instant::now());
                }
            }
        }
        if withdrawn.is_some_and(|since| since.elapsed() > FORGOTTEN_AFTER) {
            load.begin(Era::New);
            withdrawn = None;
        }
        if load.sent() >= percent(next_sample) {
            watch.sample(load.sent()).await?;
            // What happened meanwhile may have taken longer than a step.
            while load.sent() >= percent(next_sample) {
                next_sample += STEP;
            }
        }
        sleep(BETWEEN_LOOKS).await;
    }
    Ok(())
}

/// Percent between two looks at memory.
const STEP: u64 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// `refresh_max_seconds` of the run's configuration, a fetch that times out, and a busy machine.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15);
