//! `l4-front`: a thin TCP front before an Istio ingress gateway.
//!
//! The life of one connection: a worker accepts it (`listener`, `admission`) and serves it, or hands
//! it to one that has less to do (`spread`); a trusted proxy says who its client is
//! (`proxy_protocol`); the downstream's TLS handshake runs (`tls`, `leg`); its server name picks a
//! cluster (`route`), the cluster an endpoint (`cluster`, `balancer`), which is dialled with a PROXY
//! header before the ClientHello (`upstream`, `proxy_protocol`); bytes are relayed (`relay`), and one
//! line is logged (`access_log`). `connection` is that story in order.
//!
//! Where a route passes TLS through, the ClientHello is only read (`client_hello`) and everything
//! goes on as it came (`relay::pass_through`, `pipe`).
//!
//! Beside the connections each cluster finds its endpoints (`discovery`), checks them (`health`) and
//! leaves out those that fail (`cluster`).
//!
//! Around it: `server` is the process, `worker` a thread of it, `front` what serves and how it takes
//! on a new configuration, `reload` when. Sockets may be `inherited`: of the process whose place this
//! one takes (`upgrade`), or of the `service_manager`, which is told how the process is (`watchdog`
//! as long as the workers answer). `sandbox` is what of the file system it may reach.
//!
//! Pure, without sockets and clocks: `balancer`, `buffer`, `client_hello`, `proxy_protocol`,
//! `route`, `tls`.

mod access_log;
mod address;
mod admin;
mod admission;
mod balancer;
mod buffer;
mod client_hello;
mod clock;
mod cluster;
mod config;
mod connection;
mod count;
mod discovery;
mod drain;
mod error_chain;
mod exhaustion;
mod front;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health;
mod inherited;
mod jitter;
mod leg;
mod listener;
mod metrics;
mod pipe;
mod process_log;
mod proxy_protocol;
mod relay;
mod reload;
mod route;
mod sandbox;
mod server;
mod service_manager;
mod shared;
mod source;
mod spread;
mod sys;
mod tcp;
mod throttle;
mod tls;
mod upgrade;
mod upstream;
mod watchdog;
mod worker;

// For `count`, to which tests give others.
use std::sync::atomic;

pub use config::{Config, ConfigError};
pub use error_chain::chain;
pub use front::RunError;
pub use process_log::log_to_stderr;
pub use sandbox::SandboxError;
pub use server::{Start, run};
pub use service_manager::SocketError;
pub use upgrade::UpgradeError;
