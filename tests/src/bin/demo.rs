//! x
#[tokio::main(flavor="current_thread")]
async fn main() { match e2e::mesh::Mesh::start(e2e::mesh::Setup{ progress: |l| eprintln!("starting {l}"), ..Default::default()}).await { Ok(m)=>{ eprintln!("{:?}", m.issuer.token(e2e::issuer::ALICE).await);}, Err(e)=>eprintln!("{}", e.chain()) } }
