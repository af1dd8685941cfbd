//! A gauge that the gateway's workers share: each adds what has changed in itself, so it shows their sum.

use core::cell::Cell;

use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

/// One worker's part of a gauge.
#[derive(Debug, Default)]
pub(super) struct SharedGauge {
    id: Cell<Option<u32>>,
    told: Cell<i64>,
}

impl SharedGauge {
    /// Once: each definition takes a number of its own in the gateway.
    pub(super) fn define(&self, name: &str) {
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
