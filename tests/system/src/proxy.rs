//! The links between the replicas of a cluster of processes, each through a proxy that can hold up, delay and cut it.
//!
//! A replica speaks to another on the connection that it dialed, so each direction between two replicas is one connection
//! and has one proxy here. A replica dials the addresses in its own copy of the cluster file; the cluster id, which both ends
//! compare, does not cover addresses, because they may differ. So every replica gets a copy in which the others' addresses
//! are those of the proxies on its own links. Replicas listen, and clients dial, where they always do.

use pbft_node::config::{CLUSTER_FILE, Cluster};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// The most bytes that are taken from a connection at once.
const PIECE: usize = 16 << 10;

/// Pieces under way on a link; more wait in the sender's socket.
const UNDER_WAY: usize = 4096;

/// What the operating system keeps for a link that is narrow, as a router would; more waits in the sender's socket.
const BUFFER: u32 = 64 << 10;

/// What a link does with what is sent on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It arrives, so much later.
    Open(Duration),
    /// It waits, and arrives when the link is open again: nothing tells the sender.
    Held,
    /// Connections end, and new ones end at once.
    Cut,
}

/// A link's mode, and how often its connections were broken off.
type State = (Mode, u64);

/// What all links to a replica share: so many bytes a second get through, or as many as come.
#[derive(Debug, Default)]
struct Inlet(Mutex<Option<Narrow>>);

#[derive(Debug)]
struct Narrow {
    bytes_per_second: u32,
    /// When what was let through so far is there.
    free_at: Instant,
}

impl Inlet {
    /// Waits until so many bytes have had their time.
    async fn pass(&self, bytes: usize) {
        let due = {
            let mut narrow = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(narrow) = narrow.as_mut() else { return };
            let took = Duration::from_secs_f64(bytes as f64 / f64::from(narrow.bytes_per_second));
            narrow.free_at = narrow.free_at.max(Instant::now()) + took;
            narrow.free_at
        };
        sleep_until(due).await;
    }
}

/// All links of a cluster. They are gone when it is dropped.
#[derive(Debug)]
pub struct Fabric {
    links: BTreeMap<(u32, u32), watch::Sender<State>>,
    inlets: BTreeMap<u32, Arc<Inlet>>,
    addresses: BTreeMap<(u32, u32), String>,
    tasks: JoinSet<()>,
}

impl Fabric {
    /// A proxy for each link of `cluster`, all of them open. Call it in a runtime.
    pub async fn start(cluster: &Cluster) -> Self {
        let n = cluster.replicas().len() as u32;
        let (mut links, mut addresses) = (BTreeMap::new(), BTreeMap::new());
        let inlets: BTreeMap<u32, Arc<Inlet>> = (0..n).map(|to| (to, Arc::default())).collect();
        let mut tasks = JoinSet::new();
        for (to, info) in (0..n).zip(cluster.replicas()) {
            for from in (0..n).filter(|from| *from != to) {
                let listener = listen().expect("a free port");
                let address = listener.local_addr().expect("it is bound");
                let (sender, receiver) = watch::channel((Mode::Open(Duration::ZERO), 0));
                let inlet = Arc::clone(&inlets[&to]);
                tasks.spawn(serve(listener, info.address.clone(), receiver, inlet));
                links.insert((from, to), sender);
                addresses.insert((from, to), address.to_string());
            }
        }
        Self { links, inlets, addresses, tasks }
    }

    /// Has every replica below `directory` dial the proxies: changes the copies of the cluster file in `replica-N/`.
    pub fn rewire(&self, cluster: &Cluster, directory: &Path) {
        for id in 0..cluster.replicas().len() as u32 {
            let file = directory.join(format!("replica-{id}")).join(CLUSTER_FILE);
            readdress(cluster, &file, |to| self.addresses.get(&(id, to)).cloned());
        }
    }

    /// Sets the mode of those links, from one replica to another, that `which` names.
    pub fn set(&self, mode: Mode, which: impl Fn(u32, u32) -> bool) {
        for ((from, to), link) in &self.links {
            if which(*from, *to) {
                link.send_modify(|state| state.0 = mode);
            }
        }
    }

    /// Lets so many bytes a second through to a replica, over all its links together. What has no room waits at its sender.
    pub fn narrow(&self, to: u32, bytes_per_second: u32) {
        let narrow = Narrow { bytes_per_second, free_at: Instant::now() };
        *self.inlets[&to].0.lock().unwrap_or_else(PoisonError::into_inner) = Some(narrow);
    }

    /// All links are open, without delay.
    pub fn heal(&self) {
        self.set(Mode::Open(Duration::ZERO), |_, _| true);
    }

    /// Breaks all connections off, with whatever is under way on them; they may be made again at once.
    pub fn sever(&self) {
        self.links.values().for_each(|link| link.send_modify(|state| state.1 += 1));
    }

    /// Whether all proxies still run.
    pub fn is_well(&mut self) -> bool {
        self.tasks.try_join_next().is_none()
    }
}

/// Gives replicas other addresses in a copy of the cluster file: those that `address` has one for. Returns what the file
/// says now.
pub fn readdress(
    cluster: &Cluster,
    file: &Path,
    address: impl Fn(u32) -> Option<String>,
) -> Cluster {
    let mut text = std::fs::read_to_string(file).expect("a cluster file");
    for (to, info) in (0u32..).zip(cluster.replicas()) {
        if let Some(other) = address(to) {
            text = text.replace(&format!("\"{}\"", info.address), &format!("\"{other}\""));
        }
    }
    std::fs::write(file, text).expect("written");
    let changed = Cluster::load(file).expect("only addresses are others");
    assert_eq!(changed.id(), cluster.id(), "it is the same cluster");
    changed
}

fn listen() -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(BUFFER)?;
    socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(1024)
}

async fn serve(
    listener: TcpListener,
    target: String,
    state: watch::Receiver<State>,
    inlet: Arc<Inlet>,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((dialer, _)) = listener.accept().await else { continue };
        connections.spawn(connect(dialer, target.clone(), state.clone(), Arc::clone(&inlet)));
    }
}

async fn connect(
    dialer: TcpStream,
    target: String,
    mut state: watch::Receiver<State>,
    inlet: Arc<Inlet>,
) {
    let Ok(acceptor) = TcpStream::connect(target).await else { return };
    if dialer.set_nodelay(true).is_err() || acceptor.set_nodelay(true).is_err() {
        return;
    }
    let (born, wide) = (state.borrow_and_update().1, Inlet::default());
    let (from_dialer, to_dialer) = dialer.into_split();
    let (from_acceptor, to_acceptor) = acceptor.into_split();
    let mode = state.clone();
    let broken = state.wait_for(|(mode, breaks)| *mode == Mode::Cut || *breaks != born);
    tokio::select! {
        _ = broken => {}
        () = copy(from_dialer, to_acceptor, mode, &inlet) => {}
        // What the accepting end says is its half of the handshake; it is never held up.
        () = copy(from_acceptor, to_dialer, watch::channel((Mode::Open(Duration::ZERO), 0)).1, &wide) => {}
    }
}

/// Takes pieces from one end as they come and gives them to the other when they are due.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    inlet: &Inlet,
) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let read = async {
        let mut buffer = vec![0; PIECE];
        while let Ok(len @ 1..) = from.read(&mut buffer).await {
            inlet.pass(len).await;
            if sender.send((Instant::now(), buffer[..len].to_vec())).await.is_err() {
                break;
            }
        }
        drop(sender);
    };
    let write = async {
        while let Some((arrived, piece)) = receiver.recv().await {
            let delay = loop {
                let mode = state.borrow_and_update().0;
                match mode {
                    Mode::Open(delay) => break delay,
                    Mode::Held | Mode::Cut => {
                        if state.changed().await.is_err() {
                            return;
                        }
                    }
                }
            };
            sleep_until(arrived + delay).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    // Both: what was read before the end is still delivered.
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listener that sends back what it hears, a link to it, and the address of the link.
    async fn echo() -> (watch::Sender<State>, String, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let target = listener.local_addr().expect("it is bound").to_string();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await.ok();
                });
            }
        });
        let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = proxy.local_addr().expect("it is bound").to_string();
        let (sender, receiver) = watch::channel((Mode::Open(Duration::ZERO), 0));
        tasks.spawn(serve(proxy, target, receiver, Arc::default()));
        (sender, address, tasks)
    }

    async fn hears(stream: &mut TcpStream, word: &[u8; 4]) {
        let mut heard = [0; 4];
        stream.read_exact(&mut heard).await.expect("an echo");
        assert_eq!(&heard, word);
    }

    async fn ends(stream: &mut TcpStream, what: &str) {
        let mut byte = [0; 1];
        let end = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut byte)).await;
        assert!(matches!(end, Ok(Ok(0) | Err(_))), "{what}: {end:?}");
    }

    #[tokio::test]
    async fn a_link_holds_what_is_sent_and_gives_it_back_in_order() {
        let (link, address, _tasks) = echo().await;
        let mut stream = TcpStream::connect(&address).await.expect("connected");
        stream.write_all(b"one ").await.expect("sent");
        hears(&mut stream, b"one ").await;
        link.send_modify(|state| state.0 = Mode::Held);
        stream.write_all(b"two ").await.expect("sent");
        let nothing = tokio::time::timeout(Duration::from_millis(50), stream.read_u8()).await;
        assert!(nothing.is_err(), "it waits");
        let delay = Duration::from_millis(80);
        link.send_modify(|state| state.0 = Mode::Open(delay));
        hears(&mut stream, b"two ").await;
        let sent = Instant::now();
        stream.write_all(b"slow").await.expect("sent");
        hears(&mut stream, b"slow").await;
        assert!(sent.elapsed() >= delay, "{:?}", sent.elapsed());
    }

    #[tokio::test]
    async fn a_cut_link_ends_its_connections_and_takes_no_others() {
        let (link, address, _tasks) = echo().await;
        let mut stream = TcpStream::connect(&address).await.expect("connected");
        stream.write_all(b"one ").await.expect("sent");
        hears(&mut stream, b"one ").await;
        link.send_modify(|state| state.1 += 1);
        ends(&mut stream, "it is broken off").await;
        let mut stream = TcpStream::connect(&address).await.expect("connected");
        stream.write_all(b"two ").await.expect("sent");
        hears(&mut stream, b"two ").await;
        link.send_modify(|state| state.0 = Mode::Cut);
        ends(&mut stream, "it is cut").await;
        let mut refused = TcpStream::connect(&address).await.expect("the proxy listens");
        ends(&mut refused, "nobody is behind it").await;
        link.send_modify(|state| state.0 = Mode::Open(Duration::ZERO));
        let mut stream = TcpStream::connect(&address).await.expect("connected");
        stream.write_all(b"four").await.expect("sent");
        hears(&mut stream, b"four").await;
    }
}
