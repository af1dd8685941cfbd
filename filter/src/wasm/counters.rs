//! The counters and gauges of this worker, which the host keeps for all of them.

use core::cell::{Cell, RefCell};

use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

use crate::stats::{Metric, Numbers, Series};

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counters(RefCell<Numbers>);

impl Counters {
    /// What has no labels is there from the start, so that what has not happened yet shows as zero.
    pub(super) fn define(&self) {
        for metric in [
            Metric::PrivateKeysRefused,
            Metric::TokenCacheEvictions,
            Metric::WouldHaveAllowed,
            Metric::WouldHaveDenied,
        ] {
            let _number = self.number(&Series::new(metric, []), MetricType::Counter);
        }
    }

    /// Lets a counter grow. The SDK panics where the host refuses the call, as it does for 0.
    pub(super) fn add(&self, series: &Series<'_>, by: u64) {
        if let (Some(number), Ok(by @ 1..)) =
            (self.number(series, MetricType::Counter), i64::try_from(by))
        {
            let _status = hostcalls::increment_metric(number, by);
        }
    }

    /// Sets a gauge, for all workers.
    pub(super) fn set(&self, series: &Series<'_>, value: u64) {
        if let Some(number) = self.number(series, MetricType::Gauge) {
            let _status = hostcalls::record_metric(number, value);
        }
    }

    fn number(&self, series: &Series<'_>, kind: MetricType) -> Option<u32> {
        let define = |name: &str| hostcalls::define_metric(kind, name).ok();
        self.0.borrow_mut().number(series, define)
    }
}

/// The linear memory of the VM, which only ever grows: a gauge tells of it when it has.
#[derive(Debug, Default)]
pub(super) struct Memory(Cell<usize>);

impl Memory {
    pub(super) fn record(&self) {
        let pages = memory_pages();
        if self.0.replace(pages) != pages {
            record_gauge("identity_filter.memory_bytes", pages as u64 * 65_536);
        }
    }
}

/// WebAssembly has no other measure of it than pages of 64 KiB.
fn memory_pages() -> usize {
    #[cfg(target_arch = "wasm32")]
    return core::arch::wasm32::memory_size(0);
    #[cfg(not(target_arch = "wasm32"))]
    return 0;
}

pub(super) fn record_gauge(name: &str, value: u64) {
    if let Ok(id) = hostcalls::define_metric(MetricType::Gauge, name) {
        let _status = hostcalls::record_metric(id, value);
    }
}
