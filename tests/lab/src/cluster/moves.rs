//! What can be done to a cluster: ask, say, deliver, drop, crash, let time pass.

use super::{Act, Asked, Cluster, DELIVERIES_MAX, LANES, Problem};
use crate::letter::{Fate, Letter, about};
use crate::speech::{Said, Speech};
use crate::words::{Ask, Kind};
use core::time::Duration;
use pbft_core::Timer;
use pbft_core::crypto::{sign, verify_reply};
use pbft_core::message::{Message, Request};
use pbft_core::types::{ClientId, Lane, Principal, ReplicaId, Session, Timestamp};
use pbft_host::{Alarm, Unread};
use pbft_node::codec;
use pbft_node::frame::{ClientFrame, ReplicaFrame};
use pbft_sim::disk::Tail;
use pbft_sim::event::{Event, Node, RequestId, TimerName};
use pbft_sim::history::Moment;
use pbft_sim::output::Output;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The timer that a person may let run out.
const VIEW_CHANGE: Alarm = Alarm::Replica(Timer::ViewChange);

impl Cluster {
    /// The client asks for something. Returns the request's number.
    pub fn ask(&mut self, ask: Ask) -> Result<usize, Problem> {
        let lane = match &ask {
            Ask::Operation(_) => {
                (0..LANES).find(|lane| !self.world.is_busy(0, *lane)).ok_or(Problem::Busy)?
            }
            Ask::Nonsense(_) => LANES,
        };
        let before = self.asked.iter().filter(|asked| asked.id.lane.0 == lane).count();
        let timestamp = 1 + before as u64;
        let body = Request {
            client: ClientId(0),
            lane: Lane(lane),
            timestamp: Timestamp(timestamp),
            session: Session::default(),
            operation: ask.encode(),
        };
        let id = RequestId::of(&body);
        let signer = self.keys.signer(Principal::Client(ClientId(0)));
        let signed = sign(&*signer, self.world.hosts[0].params().cluster, body);
        let (replies, answer) = (BTreeMap::new(), None);
        self.asked.push(Asked { ask: ask.clone(), id, signed: signed.clone(), replies, answer });
        match ask {
            Ask::Operation(operation) => {
                self.apply(&Event::Submit { client: 0, lane, timestamp, operation });
            }
            Ask::Nonsense(_) => {
                self.world.oracle.on_request(&signed.body);
                let frame =
                    codec::encode(&ClientFrame::Request(Arc::new(signed))).unwrap_or_default();
                let frame: Arc<[u8]> = frame.into();
                for host in self.replicas() {
                    self.send(Node::Client(0), Node::Host(host), Arc::clone(&frame), true);
                }
            }
        }
        Ok(self.asked.len())
    }

    /// A Byzantine replica says something.
    pub fn say(&mut self, by: usize, speech: &Speech, to: &[Node]) -> Result<(), Problem> {
        self.check(&[by])?;
        let hand = self.hands.get(&by).ok_or(Problem::Correct(by))?;
        let asked = match speech.request {
            None => None,
            Some(number) => {
                let known = number.checked_sub(1).and_then(|at| self.asked.get(at));
                Some(known.ok_or(Problem::NoRequest(number, self.asked.len()))?)
            }
        };
        let request = asked.map(|asked| (&asked.ask, &asked.signed));
        let said = speech.say(hand, request).map_err(|error| Problem::Speechless(by, error))?;
        let (frame, to) = match said {
            Said::Message(message) => {
                let everybody = self.replicas().filter(|other| *other != by).map(Node::Host);
                let to = if to.is_empty() { everybody.collect() } else { to.to_vec() };
                (codec::encode(&message), to)
            }
            Said::Reply(reply) => (codec::encode(&reply), vec![Node::Client(0)]),
        };
        let frame: Arc<[u8]> = frame.unwrap_or_default().into();
        for to in to {
            self.send(Node::Host(by), to, Arc::clone(&frame), true);
        }
        Ok(())
    }

    /// Takes a letter that is under way from the network.
    fn take(&mut self, number: usize) -> Result<(), Problem> {
        let at = self.under_way.iter().position(|one| *one == number);
        self.under_way.remove(at.ok_or(Problem::NoLetter(number))?);
        Ok(())
    }

    /// Delivers a message by its number.
    pub fn deliver(&mut self, number: usize) -> Result<(), Problem> {
        self.take(number)?;
        let Letter { from, to, frame, about, .. } = self.letters[number - 1].clone();
        if matches!(to, Node::Host(host) if !self.is_up(host)) {
            self.letters[number - 1].fate = Fate::Lost;
            self.acts.push(Act::Arrived(number));
            return Ok(());
        }
        self.letters[number - 1].fate = Fate::Delivered;
        self.acts.push(Act::Arrived(number));
        match (from, to) {
            (Node::Host(_), Node::Client(_)) => self.hear_reply(from, &frame),
            (_, Node::Host(host)) => {
                if let Some(reason) = self.unread(from, host, &frame) {
                    self.acts.push(Act::Unread(host, about.kind, reason));
                }
                if let (Some(hand), Ok(message)) =
                    (self.hands.get_mut(&host), codec::decode(&frame))
                {
                    hand.hear(&message);
                }
            }
            (Node::Client(_), Node::Client(_)) => {}
        }
        self.apply(&Event::Deliver { from, to, frame });
        Ok(())
    }

    /// Why a correct replica does not even read a frame, if so.
    fn unread(&self, from: Node, host: usize, frame: &[u8]) -> Option<String> {
        let reader = &self.world.hosts[host];
        let read = match from {
            Node::Host(sender) => reader.read(ReplicaId(sender as u32), frame),
            Node::Client(client) => reader.read_client(ClientId(client), frame),
        };
        match read {
            Err(Unread::Rejected(rejection) | Unread::NotVerified(rejection))
                if !self.is_byzantine(host) =>
            {
                Some(rejection.kind().to_string())
            }
            Ok(_) | Err(_) => None,
        }
    }

    /// Delivers what is under way and not held, and what follows from it, until nothing is left.
    pub fn deliver_all(&mut self) -> Result<(), Problem> {
        for _ in 0..DELIVERIES_MAX {
            let next =
                self.under_way().find(|letter| !self.is_held(letter)).map(|letter| letter.number);
            let Some(number) = next else { return Ok(()) };
            self.deliver(number)?;
        }
        Err(Problem::NoEnd)
    }

    /// Drops a message.
    pub fn drop_letter(&mut self, number: usize) -> Result<(), Problem> {
        self.take(number)?;
        self.letters[number - 1].fate = Fate::Dropped;
        self.acts.push(Act::Dropped(number));
        Ok(())
    }

    /// Ends a process, which had the few milliseconds before to write what it executed.
    pub fn crash(&mut self, host: usize) -> Result<(), Problem> {
        self.apply(&Event::Timer { host, timer: TimerName::PutOff });
        match self.apply(&Event::Crash { host, tail: Tail::Lost }) {
            true => Ok(()),
            false => Err(Problem::State(host, "is down already; `recover` starts it again")),
        }
    }

    /// Starts a process.
    pub fn recover(&mut self, host: usize) -> Result<(), Problem> {
        match self.apply(&Event::Start { host }) {
            true => Ok(()),
            false => {
                Err(Problem::State(host, "cannot be started: it runs, or it has stopped for good"))
            }
        }
    }

    /// The view-change timers that run, at these replicas or at all, run out. Returns where.
    pub fn timeout(&mut self, hosts: &[usize]) -> Vec<usize> {
        let running = self.timers.keys().filter(|(_, timer)| *timer == VIEW_CHANGE);
        let running: Vec<usize> = running.map(|(host, _)| *host).collect();
        let due: Vec<usize> =
            running.into_iter().filter(|host| hosts.is_empty() || hosts.contains(host)).collect();
        for host in &due {
            let at = self.timers.remove(&(*host, VIEW_CHANGE));
            self.now = self.now.max(at.unwrap_or_default());
        }
        for host in &due {
            self.apply(&Event::Timer { host: *host, timer: TimerName::ViewChange });
        }
        due
    }

    /// Time passes. With `deliver` everything that is not held arrives at once, otherwise nothing does.
    pub fn pass(&mut self, time: Duration, deliver: bool) -> Result<(), Problem> {
        let end = self.now + time;
        loop {
            if deliver {
                self.deliver_all()?;
            }
            let timers = self.timers.iter().map(|((host, timer), at)| (*at, Ok((*host, *timer))));
            let clients = self.client_timers.iter().map(|(lane, at)| (*at, Err(*lane)));
            let next = timers.chain(clients).min_by_key(|(at, _)| *at).filter(|(at, _)| *at <= end);
            let Some((at, whose)) = next else { break };
            self.now = self.now.max(at);
            match whose {
                Ok((host, timer)) => {
                    self.timers.remove(&(host, timer));
                    self.apply(&Event::Timer { host, timer: timer.into() });
                }
                Err(lane) => {
                    self.client_timers.remove(&lane);
                    self.apply(&Event::ClientTimer { client: 0, lane });
                }
            }
        }
        self.now = end;
        Ok(())
    }

    /// Makes an event happen, and takes in what it led to. False if it cannot happen here.
    pub(super) fn apply(&mut self, event: &Event) -> bool {
        let happened = self.world.apply(event);
        if happened {
            self.acts.extend(match event {
                Event::Timer { host, timer: TimerName::ViewChange } => {
                    Some(Act::TimedOut(Node::Host(*host), "view-change timer"))
                }
                Event::ClientTimer { client, .. } => {
                    Some(Act::TimedOut(Node::Client(*client), "patience"))
                }
                Event::Crash { host, .. } => Some(Act::Ended(*host)),
                Event::Start { host } => Some(Act::Started(*host)),
                _ => None,
            });
        }
        for (host, seen) in &mut self.seen {
            let deeds = seen.read(&self.world.recorded_since(*host, seen.read_so_far()));
            self.acts.extend(deeds.into_iter().map(|deed| Act::Did(*host, deed)));
        }
        for output in std::mem::take(&mut self.world.output) {
            match output {
                Output::Frame { from, to, frame, .. } => self.send(from, to, frame, false),
                Output::Timer { host, timer, after: Some(after) } => {
                    self.timers.insert((host, timer), self.now + after);
                }
                Output::Timer { host, timer, after: None } => {
                    self.timers.remove(&(host, timer));
                }
                Output::ClientTimer { lane, after: Some(after), .. } => {
                    self.client_timers.insert(lane, self.now + after);
                }
                Output::ClientTimer { lane, after: None, .. } => {
                    self.client_timers.remove(&lane);
                }
                Output::Answered { .. } => self.take_answer(),
                Output::Ended { host } => self.timers.retain(|(whose, _), _| *whose != host),
                Output::Writing { .. } | Output::Spent { .. } => {}
            }
        }
        happened
    }

    fn send(&mut self, from: Node, to: Node, frame: Arc<[u8]>, told: bool) {
        let about = about(from, to, &frame);
        if let (Node::Host(host), Node::Host(_)) = (from, to)
            && let (Some(hand), Ok(message)) =
                (self.hands.get_mut(&host), codec::decode::<Message>(&frame))
        {
            hand.hear(&message);
        }
        if about.kind == Kind::Status {
            let letters = &mut self.letters;
            self.under_way.retain(|number| {
                let older = &mut letters[number - 1];
                let is_older =
                    older.about.kind == Kind::Status && (older.from, older.to) == (from, to);
                if is_older {
                    older.fate = Fate::Superseded;
                }
                !is_older
            });
        }
        let number = self.letters.len() + 1;
        self.letters.push(Letter { number, from, to, frame, about, told, fate: Fate::UnderWay });
        self.under_way.push(number);
        self.acts.push(Act::Sent(number));
    }

    /// The client counts matching replies, also to what its own machine did not send.
    fn hear_reply(&mut self, from: Node, frame: &[u8]) {
        let (Node::Host(sender), Ok(ReplicaFrame::Reply(reply))) = (from, codec::decode(frame))
        else {
            return;
        };
        let host = &self.world.hosts[sender];
        let verifier = self.keys.verifier();
        let signer = reply.body.replica.0;
        if signer as usize != sender
            || verify_reply(host.params(), &*verifier, reply.clone()).is_err()
        {
            return self.acts.push(Act::Unread(
                usize::MAX,
                Kind::Reply,
                "bad-signature".to_owned(),
            ));
        }
        let weak = self.membership().weak();
        let (lane, timestamp) = (reply.body.lane, reply.body.timestamp);
        let same = |asked: &&mut Asked| (asked.id.lane, asked.id.timestamp) == (lane, timestamp);
        let Some(asked) = self.asked.iter_mut().find(same) else { return };
        asked.replies.insert(signer, Arc::clone(&reply.body.result));
        let matching =
            asked.replies.values().filter(|result| **result == reply.body.result).count();
        let is_new = asked.answer.is_none() && asked.id.lane.0 == LANES && matching >= weak;
        let id = asked.id;
        if is_new {
            asked.answer = Some(reply.body.result);
            self.acts.extend(self.request_number(id).map(Act::Answered));
        }
    }

    /// The client's machine accepted an answer.
    fn take_answer(&mut self) {
        let Some(Moment::Returned(id, result)) = self.world.history.last().cloned() else { return };
        let number = self.request_number(id);
        if let Some(number) = number
            && self.asked[number - 1].answer.is_none()
        {
            self.asked[number - 1].answer = Some(result);
            self.acts.push(Act::Answered(number));
        }
    }
}
