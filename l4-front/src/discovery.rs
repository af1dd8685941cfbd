//! Endpoints from DNS: asked for again when the answer's time to live is over. The last good answer
//! stays in force while there is none: a name server that is gone takes no gateway with it.

mod answer;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tokio::time::{error::Elapsed, sleep, timeout};

use self::answer::{Service, targets};
use crate::cluster::roster::Roster;
use crate::jitter::jittered;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question {
    /// The addresses of a name, of these types; all endpoints listen on this port.
    Addresses {
        types: &'static [RecordType],
        port: u16,
    },
    /// SRV records (RFC 2782) and the addresses of their targets.
    Services,
}

/// Where the endpoints of a cluster are found.
#[derive(Debug)]
pub(crate) struct Discovery {
    pub(crate) name: String,
    pub(crate) question: Question,
    pub(crate) servers: ResolverConfig,
    pub(crate) options: ResolverOpts,
    /// Never asked again sooner, and so long after the first failure.
    pub(crate) least: Duration,
    /// Never asked again later.
    pub(crate) most: Duration,
    /// For one resolution with all its queries.
    pub(crate) timeout: Duration,
    pub(crate) counts: Counts,
}

/// How resolutions went.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) resolved: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// Why there is no answer to go by.
#[derive(Debug, thiserror::Error)]
enum ResolveError {
    #[error("the answer holds no address")]
    Empty,
    #[error("no answer in time")]
    Late(#[from] Elapsed),
    #[error(transparent)]
    Net(#[from] NetError),
}

impl Discovery {
    /// Keeps the roster's endpoints those of the name; never returns.
    pub(crate) async fn run(&self, cluster: &str, roster: &Roster) {
        let Ok(resolver) = self.resolver() else {
            // Its parts were checked with the configuration.
            tracing::error!(cluster, "no resolver can be made");
            return;
        };
        let mut failures = 0;
        loop {
            let name = &self.name;
            let wait = match self.resolve(&resolver).await {
                Ok((services, ttl)) => {
                    if failures > 0 {
                        tracing::info!(cluster, name, "the name can be resolved again");
                    }
                    failures = 0;
                    self.counts.resolved.fetch_add(1, Ordering::Relaxed);
                    let (targets, too_many) = targets(services);
                    if too_many > 0 {
                        tracing::warn!(cluster, name, too_many, "endpoints are left out");
                    }
                    roster.update(targets);
                    ttl.clamp(self.least, self.most)
                }
                Err(error) => {
                    self.counts.failed.fetch_add(1, Ordering::Relaxed);
                    if failures == 0 {
                        tracing::warn!(
                            cluster,
                            name,
                            %error,
                            "the name cannot be resolved, the last endpoints stay"
                        );
                    }
                    let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
                    failures = failures.saturating_add(1);
                    self.least.saturating_mul(factor).min(self.most)
                }
            };
            sleep(jittered(wait)).await;
        }
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(self.servers.clone(), provider);
        *builder.options_mut() = self.options.clone();
        let options = builder.options_mut();
        options.use_hosts_file = ResolveHosts::Never;
        // Two tries within the whole.
        options.timeout = self.timeout / 2;
        options.attempts = 1;
        builder.build()
    }

    async fn resolve(
        &self,
        resolver: &TokioResolver,
    ) -> Result<(Vec<Service>, Duration), ResolveError> {
        // When to ask again is decided here, by the full time to live.
        resolver.clear_cache();
        let mut ttl = Ttl::default();
        let services = async {
            match self.question {
                Question::Addresses { types, port } => {
                    let addresses = addresses(resolver, &self.name, types, &mut ttl).await?;
                    Ok(addresses.map(|ip| Service::plain(ip, port)).collect())
                }
                Question::Services => services(resolver, &self.name, &mut ttl).await,
            }
        };
        let services: Result<Vec<Service>, NetError> = timeout(self.timeout, services).await?;
        let services = services?;
        if services.is_empty() {
            return Err(ResolveError::Empty);
        }
        Ok((services, ttl.duration()))
    }
}

async fn services(
    resolver: &TokioResolver,
    name: &str,
    ttl: &mut Ttl,
) -> Result<Vec<Service>, NetError> {
    let mut services = Vec::new();
    for record in records(resolver, name, RecordType::SRV, ttl).await? {
        let RData::SRV(srv) = record.data else {
            continue;
        };
        // RFC 2782: the target "." says that the service is not available.
        if srv.target.is_root() {
            continue;
        }
        let types = &[RecordType::A, RecordType::AAAA];
        for ip in addresses(resolver, &srv.target.to_ascii(), types, ttl).await? {
            services.push(Service {
                address: SocketAddr::new(ip, srv.port),
                weight: srv.weight,
                priority: srv.priority,
            });
        }
    }
    Ok(services)
}

async fn addresses(
    resolver: &TokioResolver,
    name: &str,
    types: &[RecordType],
    ttl: &mut Ttl,
) -> Result<impl Iterator<Item = IpAddr> + use<>, NetError> {
    let mut all = Vec::new();
    for kind in types {
        all.extend(records(resolver, name, *kind, ttl).await?);
    }
    Ok(all.into_iter().filter_map(|record| match record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }))
}

/// The records of one type. That there are none is an answer, and no failure.
async fn records(
    resolver: &TokioResolver,
    name: &str,
    kind: RecordType,
    ttl: &mut Ttl,
) -> Result<Vec<Record>, NetError> {
    match resolver.lookup(name, kind).await {
        Ok(lookup) => {
            ttl.learn(lookup.answers());
            Ok(lookup.answers().to_vec())
        }
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The shortest time to live of all records that an answer is made of.
#[derive(Debug, Default)]
struct Ttl(Option<u32>);

impl Ttl {
    fn learn(&mut self, records: &[Record]) {
        let shortest = records.iter().map(|record| record.ttl).min();
        self.0 = [self.0, shortest].into_iter().flatten().min();
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(u64::from(self.0.unwrap_or_default()))
    }
}
