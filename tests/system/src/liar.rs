//! A Byzantine replica as a process: everything that `pbft start` is, but for what it says. It has the key of the replica
//! whose directory it is given, its store, its connections and the production driver; between driver and network sit the
//! strategies of the simulator's liars ([`pbft_sim::behaviour`]), which hear every message that it hears.

use bytes::Bytes;
use clap::Parser;
use pbft_core::message::Message;
use pbft_core::types::{ClientId, Principal, ReplicaId};
use pbft_core::{Effect, Input, Rejection, Replica, Timer};
use pbft_host::Said;
use pbft_ledger::Ledger;
use pbft_node::codec;
use pbft_node::driver::{Driver, Observer, Parts};
use pbft_node::frame::ReplicaFrame;
use pbft_node::inbox::Inbox;
use pbft_node::keyring::VerifiedCache;
use pbft_node::metrics::Metrics;
use pbft_node::network::Network;
use pbft_node::node::Setup;
use pbft_node::queries::Queries;
use pbft_node::service::Service;
use pbft_node::transport::{self, TcpNetwork};
use pbft_output::errln;
use pbft_sim::behaviour::{Addressee, Behaviour, Liar, Utterance};
use pbft_sim::rng::Rng;
use std::error::Error;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

/// Runs a replica that lies, until it is told to stop.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  pbft-liar --dir cluster/replica-3 --seed 1 equivocate double-vote\n\nIt has a real key, and \
    what it signs is kept as evidence by those who see it. Never point it at a cluster that anybody needs."
)]
struct Arguments {
    /// The replica's directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where its chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Its strategies
    #[arg(required = true, value_parser = behaviour)]
    behaviours: Vec<Behaviour>,
}

fn behaviour(name: &str) -> Result<Behaviour, String> {
    let known = Behaviour::named(name).filter(|one| Behaviour::ALL.contains(one));
    known.ok_or_else(|| {
        let names: Vec<&str> = Behaviour::ALL.iter().map(|one| one.name()).collect();
        format!("there is no such strategy; there are {}", names.join(", "))
    })
}

/// The command `pbft-liar`: parses the arguments and lies. It ends with 0 when it is told to stop, with 1 when something
/// fails, and with 2 on wrong arguments.
#[must_use]
pub fn main() -> ExitCode {
    match pbft_output::arguments() {
        Ok(arguments) => pbft_output::finish(lie(&arguments)),
        Err(code) => code,
    }
}

fn lie(arguments: &Arguments) -> u8 {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.map_err(Box::from).and_then(|runtime| runtime.block_on(run(arguments)));
    match result {
        Ok(()) => 0,
        Err(error) => {
            errln!("error: {error}");
            1
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Setup { cluster, key, replica, store, .. } = Setup::load(&arguments.dir)?;
    let listener = TcpListener::bind(&cluster.replicas()[replica.0 as usize].address).await?;
    let params = Arc::new(cluster.params(replica));
    let metrics = Arc::new(Metrics::default());
    let network = TcpNetwork::new(&params, Arc::clone(&metrics));
    let (signer, ring) = cluster.hand_and_ring(Principal::Replica(replica), key.clone());
    let signer = Arc::new(signer);
    let rng = Rng::new(arguments.seed);
    let liar = Liar::new(
        arguments.behaviours.clone(),
        Arc::clone(&params),
        Arc::clone(&signer) as Arc<_>,
        rng,
    );
    let mouth = Mouth {
        liar: Arc::new(Mutex::new(liar)),
        network: network.clone(),
        tasks: Handle::current(),
    };
    let service: Arc<dyn Service> = Arc::new(Ledger);
    let queries = Queries::new(Arc::clone(&service), store.reader(), params.result_bytes_max);
    let verifier = VerifiedCache::new(ring).counted_in(Arc::clone(&metrics));
    let (driver, inbox) = Driver::new(Parts {
        params,
        signer,
        verifier: Arc::new(verifier),
        store,
        service: Box::new(service),
        network: Box::new(mouth.clone()),
        observer: Some(Box::new(Ear(mouth))),
        metrics,
    })?;
    let _connections =
        transport::serve(&cluster, &key, listener, inbox.clone(), queries, &network)?;
    stop_when_told(inbox)?;
    errln!("{replica} lies: {:?}", arguments.behaviours);
    // Writing to the disk blocks; a thread of its own, as in the node.
    let own = |driver: Driver| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        runtime.block_on(driver.run()).map_err(Box::from)
    };
    tokio::task::spawn_blocking(move || own(driver)).await?
}

fn stop_when_told(inbox: Inbox) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let told = inbox.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        told.stop();
    });
    // Whoever started it is gone when standard input ends.
    std::thread::spawn(move || {
        while matches!(std::io::stdin().read(&mut [0; 64]), Ok(1..)) {}
        inbox.stop();
    });
    Ok(())
}

/// What it says goes through here.
#[derive(Clone)]
struct Mouth {
    liar: Arc<Mutex<Liar>>,
    network: TcpNetwork,
    tasks: Handle,
}

impl Mouth {
    fn liar(&self) -> MutexGuard<'_, Liar> {
        self.liar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn utter(&self, utterances: Vec<Utterance>) {
        for Utterance { to, after, frame } in utterances {
            let mut network = self.network.clone();
            let frame = Bytes::copy_from_slice(&frame);
            let send = move || {
                match to {
                    Addressee::Replica(to) => network.send(to, frame),
                    Addressee::Client(client) => network.reply(client, frame),
                }
                network.flush();
            };
            if after.is_zero() {
                send();
            } else {
                self.tasks.spawn(async move {
                    tokio::time::sleep(after).await;
                    send();
                });
            }
        }
    }

    fn say(&self, said: Said) {
        let utterances = self.liar().say(said);
        self.utter(utterances);
    }
}

/// Its own machine's frames are always readable; what is not is passed on.
impl Network for Mouth {
    fn send(&mut self, to: ReplicaId, frame: Bytes) {
        match codec::decode::<Message>(&frame) {
            Ok(message) => self.say(Said::To(to, message)),
            Err(_) => self.network.send(to, frame),
        }
    }

    fn broadcast(&mut self, frame: Bytes) {
        match codec::decode::<Message>(&frame) {
            Ok(message) => self.say(Said::All(message)),
            Err(_) => self.network.broadcast(frame),
        }
    }

    fn reply(&mut self, client: ClientId, frame: Bytes) {
        match codec::decode::<ReplicaFrame>(&frame) {
            Ok(ReplicaFrame::Reply(reply)) => {
                self.say(Said::Client(client, ReplicaFrame::Reply(reply)))
            }
            Ok(_) | Err(_) => self.network.reply(client, frame),
        }
    }

    fn flush(&mut self) {
        self.network.flush();
    }
}

/// Hears what the machine hears. What the strategies pretend not to hear, the machine has heard all the same.
struct Ear(Mouth);

impl Observer for Ear {
    fn on_step(&mut self, input: &Input, _: &Result<Vec<Effect>, Rejection>, _: &Replica) {
        let heard = match input {
            Input::Message { message, .. } | Input::Request(message) => Some(message.get()),
            Input::Timer(Timer::Status) => None,
            Input::Timer(Timer::ViewChange | Timer::Batch)
            | Input::Suspect
            | Input::Executed { .. }
            | Input::Installed { .. } => return,
        };
        let utterances = {
            let mut liar = self.0.liar();
            if let Some(message) = heard {
                liar.hear(message);
            }
            liar.speak_up(heard)
        };
        self.0.utter(utterances);
    }
}
