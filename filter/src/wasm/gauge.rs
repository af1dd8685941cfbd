//! Gauges that the gateway's workers share: each adds what has changed in itself, so they show the sum.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

use crate::keyring::state::KeyState;
use crate::stats::{Metric, Series};

/// What is to be seen of the keys, summed over the gateway's workers.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) waiting: SharedGauge,
    stale: SharedGauge,
    /// Of each provider that was ever there: one for each state.
    sets: RefCell<Vec<(String, [SharedGauge; STATES.len()])>>,
}

impl Gauges {
    /// Once: each definition takes a number of its own in the gateway.
    pub(super) fn define(&self) {
        self.waiting.define("identity_filter.waiting_requests");
        self.stale.define("identity_filter.stale_providers");
    }

    /// The keys of these providers, and of no others, are in these states.
    pub(super) fn tell_keys<'a>(&self, states: impl Iterator<Item = (&'a str, KeyState)>) {
        let states: Vec<_> = states.collect();
        let mut sets = self.sets.borrow_mut();
        for (provider, _state) in &states {
            if !sets.iter().any(|(known, _gauges)| known == provider) {
                let gauges = STATES.map(|(_state, name)| {
                    let gauge = SharedGauge::default();
                    gauge.define(&Series::new(Metric::KeySets, [provider, name]).name());
                    gauge
                });
                sets.push(((*provider).into(), gauges));
            }
        }
        for (provider, gauges) in &*sets {
            for (gauge, (state, _name)) in gauges.iter().zip(STATES) {
                gauge.tell(states.contains(&(provider, state)).into());
            }
        }
        let stale = states
            .iter()
            .filter(|(_provider, state)| *state == KeyState::Stale);
        self.stale.tell(stale.count());
    }
}

const STATES: [(KeyState, &str); 3] = [
    (KeyState::Fresh, "fresh"),
    (KeyState::Missing, "missing"),
    (KeyState::Stale, "stale"),
];

/// One worker's part of a gauge.
#[derive(Debug, Default)]
pub(super) struct SharedGauge {
    id: Cell<Option<u32>>,
    told: Cell<i64>,
}

impl SharedGauge {
    /// Once, as above.
    fn define(&self, name: &str) {
        self.id
            .set(hostcalls::define_metric(MetricType::Gauge, name).ok());
    }

    /// This worker's part is `value` from now on.
    pub(super) fn tell(&self, value: usize) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        let change = value.saturating_sub(self.told.get());
        if let (Some(id), true) = (self.id.get(), change != 0)
            && hostcalls::increment_metric(id, change).is_ok()
        {
            self.told.set(value);
        }
    }
}
