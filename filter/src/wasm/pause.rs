//! Requests that wait for keys: how they are woken, and how often it is looked after them.

use core::time::Duration;

use proxy_wasm::hostcalls;

use super::{Root, Shared, now, request};
use crate::keyring::Moment;
use crate::time::UnixTime;
use crate::waiting::Wait;

impl Shared {
    /// The clock that never goes back.
    pub(super) fn elapsed(&self) -> Duration {
        now().duration_since(self.started)
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            elapsed: self.elapsed(),
            wall: request::wall_clock().unwrap_or(UnixTime::from_millis(0)),
        }
    }

    pub(super) fn is_over(&self, wait: &Wait) -> bool {
        self.keyring.borrow().is_over(wait, self.elapsed())
    }

    /// Ticks come faster while somebody waits, and while keys are missing; the gauges follow. Only a pace that changes is
    /// told to the host: it begins to count anew each time.
    pub(super) fn set_pace(&self) {
        let keyring = self.keyring.borrow();
        // Also where there is nothing to fetch any more: what was told of an earlier configuration goes.
        self.gauges.tell_keys(keyring.states(self.elapsed()));
        if !keyring.has_remote() {
            return;
        }
        self.gauges.waiting.tell(self.waiting.borrow().len());
        let pace = if !self.waiting.borrow().is_empty() {
            PACE_WAITING
        } else if keyring.is_waiting() {
            PACE_WITHOUT_KEYS
        } else {
            PACE
        };
        if self.pace.replace(Some(pace)) != Some(pace) {
            let _status = hostcalls::set_tick_period(pace);
        }
    }
}

impl Root {
    pub(super) fn set_pace(&self) {
        if let Some(shared) = &self.shared {
            shared.set_pace();
        }
    }

    /// Decides anew about the requests that need not wait any longer. The list is left before anything
    /// is done with them, so none is woken twice.
    pub(super) fn resume(&self, is_over: impl Fn(&Shared, &Wait) -> bool) {
        let Some(shared) = &self.shared else {
            return;
        };
        let ready = shared
            .waiting
            .borrow_mut()
            .take_ready(|wait| is_over(shared, wait));
        if ready.is_empty() {
            return;
        }
        for (stream, wait) in ready {
            // A stream that is gone is refused here; it has no one left to answer.
            if hostcalls::set_effective_context(stream).is_ok() {
                request::resume(shared, &wait);
            }
        }
        let _status = hostcalls::set_effective_context(self.id);
    }
}

/// While requests wait.
const PACE_WAITING: Duration = Duration::from_millis(20);
/// While a provider has no keys.
const PACE_WITHOUT_KEYS: Duration = Duration::from_millis(200);
/// At all other times.
const PACE: Duration = Duration::from_secs(1);
