//! A name server of a run. It answers over UDP with the records that it is given, or as a name
//! server in trouble does, and it counts the queries.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::Record,
};
use tokio::{net::UdpSocket, task::JoinHandle};

use crate::error::HarnessError;

/// A name server that serves until it is dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    queries: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

/// How a name server answers.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// With those of these records that have the asked name and type; with an empty answer where
    /// none has.
    Records(Vec<Record>),
    /// With this code and nothing else.
    Code(ResponseCode),
    /// Not at all.
    Silence,
}

impl NameServer {
    /// On a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`HarnessError::NoPort`].
    pub async fn start(behaviour: Behaviour) -> Result<Self, HarnessError> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), behaviour).await
    }

    /// On this address.
    ///
    /// # Errors
    /// [`HarnessError::NoPort`].
    pub async fn start_at(address: SocketAddr, behaviour: Behaviour) -> Result<Self, HarnessError> {
        let failed = |source| HarnessError::NoPort { source };
        let socket = UdpSocket::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let behaviour = Arc::new(Mutex::new(behaviour));
        let queries = Arc::new(AtomicUsize::new(0));
        let serving = tokio::spawn(serve(socket, Arc::clone(&behaviour), Arc::clone(&queries)));
        Ok(Self {
            address,
            behaviour,
            queries,
            serving,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers so from now on.
    pub fn answer(&self, behaviour: Behaviour) {
        *self
            .behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// How often it was asked.
    #[must_use]
    pub fn queries(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(socket: UdpSocket, behaviour: Arc<Mutex<Behaviour>>, queries: Arc<AtomicUsize>) {
    let mut datagram = [0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut datagram).await {
        queries.fetch_add(1, Ordering::SeqCst);
        let behaviour = behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(answer) = respond(&datagram[..length], behaviour) {
            let _peer_gone = socket.send_to(&answer, peer).await;
        }
    }
}

fn respond(datagram: &[u8], behaviour: Behaviour) -> Option<Vec<u8>> {
    let query = Message::from_vec(datagram).ok()?;
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata.recursion_desired = true;
    response.metadata.recursion_available = true;
    response.add_queries(query.queries.clone());
    match behaviour {
        Behaviour::Silence => return None,
        Behaviour::Code(code) => response.metadata.response_code = code,
        Behaviour::Records(records) => {
            for question in &query.queries {
                let wanted = records.iter().filter(|record| {
                    record.name == *question.name() && record.record_type() == question.query_type()
                });
                response.add_answers(wanted.cloned());
            }
        }
    }
    response.to_vec().ok()
}
