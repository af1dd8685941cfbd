//! The arguments of `import`.

use std::path::PathBuf;

use clap::Subcommand;

/// Write a first configuration from what another product was told.
#[derive(clap::Args)]
pub(crate) struct Import {
    #[command(subcommand)]
    pub(crate) origin: Origin,
}

#[derive(Subcommand)]
pub(crate) enum Origin {
    Istio(Istio),
}

/// Write a first configuration from Istio's RequestAuthentication and AuthorizationPolicy resources.
///
/// Gateway, VirtualService and Service resources say which hosts and paths lead where. The configuration goes to
/// standard output. What cannot be carried over goes to standard error, with its file and line and what became of
/// it: an allow rule is left out, a deny rule denies more. Nothing becomes weaker.
///
/// Exit codes: 0 all was carried over, 1 something was not, 2 a file cannot be read or holds no such resource.
#[derive(clap::Args)]
pub(crate) struct Istio {
    /// Files, or folders of which every `.yaml`, `.yml` and `.json` file is read; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The mesh's root namespace, whose resources without a selector are for every workload.
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    pub(crate) root_namespace: String,
    /// A namespace of ingress gateways, whose resources are for the gateway; may be there several times.
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-ingress")]
    pub(crate) gateway_namespace: Vec<String>,
    /// Write one JSON object instead, with the configuration and what cannot be carried over.
    #[arg(long)]
    pub(crate) json: bool,
}
