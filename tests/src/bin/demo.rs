//! Shows Sallyport: brings the whole way of a request up on this machine, says how to talk to it,
//! and stays until it is asked to go. With `--check` it has the conversation itself and says what
//! it saw.
#![expect(clippy::print_stdout, reason = "printing is what the demo is for")]

use std::{net::SocketAddr, process::ExitCode};

use clap::Parser;
use e2e::{
    conversation::CHAPTERS,
    error::HarnessError,
    issuer::{ALICE, BOB, CAROL},
    mesh::{IssuerAtStart, Mesh, Setup},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

/// Sallyport on this machine: l4-front before two Envoy gateways with the identity filter, two
/// workloads and an OpenID provider. Everything listens on loopback and ends with this program.
#[derive(Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Have the conversation, print what was seen of each step, and exit: 0 if every step held, 1
    /// if not.
    #[arg(long)]
    check: bool,
    /// The front's port [default: 8443; with --check any free one].
    #[arg(long)]
    port: Option<u16>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let shown = async {
        if arguments.check {
            check(arguments.port).await
        } else {
            stay(arguments.port).await
        }
    };
    tokio::select! {
        outcome = shown => outcome.unwrap_or_else(|error| {
            eprintln!("demo: {}", error.chain());
            ExitCode::FAILURE
        }),
        () = asked_to_go() => ExitCode::SUCCESS,
    }
}

async fn check(port: Option<u16>) -> Result<ExitCode, HarnessError> {
    let start = Instant::now();
    let setup = Setup {
        port,
        issuer: IssuerAtStart::Down,
        progress: say_starting,
        ..Setup::default()
    };
    let mut mesh = Mesh::start(setup).await?;
    let (mut held, mut broken) = (0, 0);
    for chapter in CHAPTERS {
        println!("\n{}", chapter.name);
        for step in chapter.steps {
            let (mark, seen) = match step.run(&mut mesh).await {
                Ok(seen) => ('✓', seen),
                Err(mismatch) => ('✗', mismatch.to_string()),
            };
            *if mark == '✓' {
                &mut held
            } else {
                &mut broken
            } += 1;
            println!("  {mark} {}\n      {seen}", step.name);
        }
    }
    if broken > 0 {
        mesh.folder.keep();
    }
    let seconds = start.elapsed().as_secs();
    println!("\n{held} of {} steps held, in {seconds} s", held + broken);
    Ok(if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn stay(port: Option<u16>) -> Result<ExitCode, HarnessError> {
    let start = Instant::now();
    let setup = Setup {
        port: Some(port.unwrap_or(DEFAULT_PORT)),
        issuer: IssuerAtStart::Up,
        progress: say_starting,
        ..Setup::default()
    };
    let mesh = Mesh::start(setup).await?;
    println!(
        "\nEverything is up after {:.1} s.\n",
        start.elapsed().as_secs_f32()
    );
    print_map(&mesh);
    print_requests(&mesh).await?;
    println!("\nCtrl-C ends all of it.");
    std::future::pending().await
}

fn say_starting(what: &str) {
    println!("starting {what}");
}

fn print_map(mesh: &Mesh) {
    let gateway = |number: usize| mesh.gateways[number].address();
    println!("  you ──TLS──▶ l4-front ──PROXY v2 + mTLS──▶ Envoy + identity filter ──▶ workload\n");
    let rows: [(&str, SocketAddr); 7] = [
        ("front", mesh.front.address()),
        ("front, admin", mesh.front.admin()),
        ("gateway 1", gateway(0)),
        ("gateway 2", gateway(1)),
        ("OpenID provider", mesh.issuer.address()),
        ("workload payments", mesh.payments.address()),
        ("workload orders", mesh.orders.address()),
    ];
    for (name, address) in rows {
        println!("  {name:<18} {address}");
    }
    println!(
        "  {:<18} {}",
        "files and logs",
        mesh.folder.path().display()
    );
}

/// Ready to be pasted into another shell.
async fn print_requests(mesh: &Mesh) -> Result<(), HarnessError> {
    for person in [ALICE, BOB, CAROL] {
        let token = mesh.issuer.token(person).await?;
        mesh.folder
            .write_secret(&format!("{}.token", person.name), &token)?;
    }
    println!(
        r#"
In another shell of this machine, first these lines; 127.0.0.42 is who you are:

RUN='{folder}'
nobody() {{
  curl -sSi -w '\n' --cacert "$RUN/edge-ca.crt" --connect-to ::127.0.0.1:{port} --interface 127.0.0.42 "$@"
}}
as() {{ nobody -H "Authorization: Bearer $(cat "$RUN/$1.token")" "${{@:2}}"; }}

then any of these:
"#,
        folder = mesh.folder.path().display(),
        port = mesh.front.address().port(),
    );
    for (request, outcome) in REQUESTS {
        println!("{request}\n    # {outcome}");
    }
    Ok(())
}

async fn asked_to_go() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
}

/// Each request with what comes of it.
const REQUESTS: &[(&str, &str)] = &[
    (
        "as alice https://api.example.com/payments/list",
        "200: she is an administrator of payments; the workload shows the headers that it saw",
    ),
    (
        "as alice https://api.example.com/payments/list -H 'x-identity-workload: root'",
        "200: what she says of herself does not arrive",
    ),
    (
        "nobody https://api.example.com/payments/list",
        "401: a token is needed",
    ),
    (
        "as bob https://api.example.com/payments/list",
        "403: he is known, and has no role",
    ),
    (
        "as carol https://api.example.com/payments/list",
        "403: an administrator, but of orders",
    ),
    (
        "as carol https://shop.orders.example.com/basket",
        "200: here she may",
    ),
    (
        "nobody https://shop.orders.example.com/healthz",
        "200: this path is public",
    ),
    (
        "grep -ho '{\"type\":\"audit\".*' \"$RUN\"/gateway-*.log",
        "who was let in or turned away, and why",
    ),
    (
        "cat \"$RUN\"/front-access.jsonl",
        "what the front saw of each connection that has ended",
    ),
    (
        "cat \"$RUN\"/front.yaml",
        "how the front is configured; the gateways in gateway-1.json",
    ),
];

const DEFAULT_PORT: u16 = 8443;
