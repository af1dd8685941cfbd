//! Log lines at a bounded rate: what strangers can cause must not fill the disk.

use std::time::Duration;

use tokio::time::Instant;

/// One line in this time, for each cause and worker.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets one line through in each interval and counts those that it holds back.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    next: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// For a line that is due: `None` if it is held back, else how many were held back before it.
    pub(crate) fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.next.is_some_and(|next| now < next) {
            self.held_back += 1;
            return None;
        }
        self.next = Some(now + INTERVAL);
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_in_an_interval_says_how_many_it_stands_for() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(throttle.pass(start), Some(0));
        for after in 1..10 {
            assert_eq!(throttle.pass(start + after * second), None);
        }
        assert_eq!(throttle.pass(start + 10 * second), Some(9));
        assert_eq!(throttle.pass(start + 20 * second), Some(0));
    }
}
