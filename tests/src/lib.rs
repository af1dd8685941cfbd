//! The end-to-end harness: it starts the real peers of Sallyport on loopback, talks to them, and
//! looks into what each of them wrote down.
//!
//! [`mesh::Mesh`] brings everything up: an OpenID provider, two workloads, two Envoy gateways with
//! the identity filter, and the front. [`conversation`] is what is said to it, step by step; the
//! demo and the end-to-end tests speak the same conversation. The harness knows the product only
//! from outside: by its configuration files, its ports and its logs.

pub mod client_hello;
pub mod clock;
pub mod conversation;
pub mod deadline;
pub mod dialer;
pub mod echo;
pub mod envoy;
pub mod error;
pub mod front;
pub mod haproxy;
pub mod http;
pub mod issuer;
pub mod istio;
pub mod key_server;
pub mod load;
pub mod log;
pub mod mesh;
pub mod name_server;
pub mod network;
pub mod nginx;
pub mod page;
pub mod pattern;
pub mod pki;
pub mod plain_gateway;
pub mod plugin;
pub mod pod;
pub mod ports;
pub mod process;
pub mod proxy_protocol;
pub mod random;
pub mod raw_http;
pub mod raw_http2;
pub mod receiver;
pub mod registry;
pub mod run_folder;
pub mod service_manager;
pub mod stand;
pub mod token;
pub mod tools;
pub mod trap;
pub mod websocket;
pub mod workload;
