//! The command line of `explain`.

use std::path::PathBuf;

/// Say why a request is let in or kept out: every step of the decision, the rule that decided, and what each rule
/// that nearly did would have needed.
///
/// The decision is the filter's own. What a gateway remembers of other requests (tokens, sources of bad ones) is left out.
///
/// Exit codes: 0 it is let in, 1 it is kept out, 2 the question could not be answered.
#[derive(clap::Args)]
pub(crate) struct Explain {
    /// The file with the configuration; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The caller's token: `@FILE`, or `-` for standard input, so that it need not stand in the shell's history.
    #[arg(long, value_name = "TOKEN", conflicts_with = "claims")]
    pub(crate) token: Option<String>,
    /// A file with the claims of the caller, as YAML or JSON, in the place of a token; `-` is standard input. `iss`, the
    /// audience and the times are filled in where they are not there.
    #[arg(long, value_name = "FILE")]
    pub(crate) claims: Option<PathBuf>,
    /// The provider whose token has the claims, where neither `iss` nor the configuration tells.
    #[arg(long, value_name = "NAME", requires = "claims")]
    pub(crate) provider: Option<String>,
    /// A file with the key set (JWKS) of the token's provider, whose keys a gateway would fetch. Without it the
    /// signature is not checked, and the answer says so.
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,

    /// The method; by default GET.
    #[arg(long)]
    pub(crate) method: Option<String>,
    /// The host, with or without a port.
    #[arg(long, required_unless_present = "record")]
    pub(crate) host: Option<String>,
    /// The path, as the client sends it.
    #[arg(long, required_unless_present = "record")]
    pub(crate) path: Option<String>,
    /// Another header of the request; may be given several times.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// The client's address.
    #[arg(long, value_name = "IP")]
    pub(crate) source: Option<String>,
    /// The SPIFFE id of the client certificate that the front verified.
    #[arg(long, value_name = "SPIFFE-ID")]
    pub(crate) certificate: Option<String>,
    /// Its SHA-256 digest in base64url, as in `cnf` of a token that is bound to it.
    #[arg(long, value_name = "DIGEST")]
    pub(crate) certificate_sha256: Option<String>,
    /// The time of the request, such as 2026-11-30T12:00:00Z, or seconds since 1970; by default now.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,

    /// A file with an audit record, or with a gateway's log that holds it; `-` is standard input. Explains what the
    /// configuration decides for the caller of the record, and where that is not what was decided. A record holds neither
    /// the token nor its claims: with --token or --claims nothing is missing.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Which of several records: its decision id.
    #[arg(long, value_name = "ID", requires = "record")]
    pub(crate) decision: Option<String>,

    /// One JSON object in the place of text.
    #[arg(long)]
    pub(crate) json: bool,
}
