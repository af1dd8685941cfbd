//! The end of service, in steps: accept no more, let connections end, then end them.

use tokio::sync::watch;

/// How far the shutdown is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Serving.
    Running,
    /// Another process accepts from the same sockets; connections that are open here go on.
    HandedOver,
    /// No new connections; those that are open go on.
    Draining,
    /// Time is up: open connections end now.
    Forced,
}

/// Tells the phase to all who watch. Phases only go forward.
#[derive(Debug)]
pub(crate) struct DrainTrigger(watch::Sender<Phase>);

impl DrainTrigger {
    pub(crate) fn new() -> (Self, Drain) {
        let (sender, receiver) = watch::channel(Phase::Running);
        (Self(sender), Drain(receiver))
    }

    pub(crate) fn set(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let later = phase > *current;
            if later {
                *current = phase;
            }
            later
        });
    }
}

/// The watching side.
#[derive(Debug, Clone)]
pub(crate) struct Drain(watch::Receiver<Phase>);

impl Drain {
    /// Ends when no more connections are to be accepted.
    pub(crate) async fn begun(&mut self) {
        self.reached(Phase::HandedOver).await;
    }

    /// Ends when connections must end.
    pub(crate) async fn forced(&mut self) {
        self.reached(Phase::Forced).await;
    }

    /// True while connections are accepted.
    pub(crate) fn is_running(&self) -> bool {
        *self.0.borrow() == Phase::Running
    }

    /// True where what waits in the sockets is left to another process.
    pub(crate) fn is_handed_over(&self) -> bool {
        *self.0.borrow() == Phase::HandedOver
    }

    async fn reached(&mut self, phase: Phase) {
        // The trigger is dropped only when the process ends; then everything has been reached.
        let _ = self.0.wait_for(|current| *current >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_go_forward() {
        let (trigger, mut drain) = DrainTrigger::new();
        assert!(drain.is_running());
        trigger.set(Phase::HandedOver);
        drain.begun().await;
        assert!(drain.is_handed_over() && !drain.is_running());
        trigger.set(Phase::Forced);
        assert!(!drain.is_handed_over());
        drain.begun().await;
        drain.forced().await;
        trigger.set(Phase::Running);
        assert!(!drain.is_running());
    }
}
