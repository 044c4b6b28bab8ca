//! The wrapper, stepped by hand: what leaves a member whose honest code proposes.

use std::sync::Arc;
use std::time::Duration;

use byzantine::primary::{Equivocate, Silent, SlowPrimary};
use byzantine::{Behaviour, Bend, Byzantine, Cabal, Forge, Plan, Pulse, Span, Trigger};
use consensus::pbft::Pbft;
use consensus::pbft::message::{Header, Wire};
use consensus::{
    Action, ByteList, ClientId, Cluster, Destination, Event, FastQuorum, Instant, Keyring, Limits,
    Outbox, Policy, Protocol, ReplicaId, Request, RequestId, Timer,
};
use crypto::{SecretKey, Signer, Verified};

fn keys(role: &str, count: u64) -> Vec<SecretKey> {
    let key = |index| SecretKey::derive(&[7; 32], role, index);
    (0..count).map(key).collect()
}

/// Replica 0 of five, the primary of view 0, with its plan.
struct Stage {
    member: Byzantine,
    cluster: Arc<Cluster>,
    keyring: Keyring,
    client: SecretKey,
    now: Instant,
}

/// What left: to whom, and what.
type Left = Vec<(Destination, Wire)>;

impl Stage {
    fn new(plan: &Plan) -> Stage {
        let (replicas, clients) = (keys("replica", 5), keys("client", 1));
        let public = |keys: &[SecretKey]| keys.iter().map(SecretKey::public).collect();
        let limits = Limits::default();
        let fast = FastQuorum::Strong;
        let cluster = Cluster::genesis(1, fast, limits, public(&replicas), public(&clients));
        let cluster = Arc::new(cluster.expect("a possible configuration"));
        let keyring = Keyring::new(Arc::clone(&cluster));
        let key: Arc<dyn Signer> = Arc::new(replicas[0].clone());
        let policy = Policy::default();
        let honest = Pbft::new(ReplicaId(0), Arc::clone(&cluster), policy, Arc::clone(&key));
        let forge = Forge {
            me: ReplicaId(0),
            keyring: keyring.clone(),
            cabal: Arc::new(Cabal::new([(ReplicaId(0), key)], plan.seed)),
        };
        Stage {
            member: Byzantine::new(honest, forge, plan, Pulse::default()),
            cluster,
            keyring,
            client: clients[0].clone(),
            now: Instant(1),
        }
    }

    fn step(
        &mut self,
        event: Event<Verified<<Pbft as Protocol>::Message>>,
    ) -> (Left, Option<Duration>) {
        let mut out = Outbox::new();
        self.member.step(self.now, event, &mut out);
        let (mut left, mut alarm) = (Vec::new(), None);
        for action in out.drain() {
            match action {
                Action::Send { to, wire, .. } => left.push((to, wire)),
                Action::SetTimer {
                    timer: Timer::Wrapper,
                    after,
                } => alarm = Some(after),
                _ => {}
            }
        }
        (left, alarm)
    }

    /// A client's request comes, and what leaves because of it.
    fn request(&mut self, number: u64) -> (Left, Option<Duration>) {
        let id = RequestId {
            client: ClientId(0),
            session: 1,
            number,
        };
        let ops = ByteList::from_iter([b"op"]);
        let request = Request::sign(&self.client, self.cluster.id(), id, 0, false, &ops);
        let requests = vec![Verified::own(request)];
        self.step(Event::Requested {
            from: None,
            requests,
        })
    }
}

fn proposals(left: &Left) -> Vec<(Destination, Header)> {
    let header = |(to, wire): &(Destination, Wire)| match wire {
        Wire::PrePrepare(header, _) => Some((*to, *header)),
        _ => None,
    };
    left.iter().filter_map(header).collect()
}

fn one(id: u16) -> Destination {
    Destination::One(ReplicaId(id))
}

#[test]
fn an_equivocator_sends_two_signed_proposals_for_one_slot() {
    let mut stage = Stage::new(&Plan::of(Behaviour::Equivocate(Equivocate::default())));
    // Nothing else is known yet that a second batch could be made of.
    assert_eq!(proposals(&stage.request(1).0).len(), 1);
    let (left, _) = stage.request(2);
    let mut told = proposals(&left);
    if told.is_empty() {
        // The second batch waits for company.
        stage.now = stage.now + Duration::from_millis(2);
        told = proposals(&stage.step(Event::TimerFired(Timer::Batch)).0);
    }
    assert_eq!(told.len(), 4, "each is told alone");
    let statements: Vec<_> = told.iter().map(|(_, header)| header.statement).collect();
    assert_eq!(statements[0], statements[1]);
    assert_eq!(statements[2], statements[3]);
    assert_ne!(statements[0].digest, statements[2].digest);
    assert_eq!(
        (statements[0].view, statements[0].seq),
        (statements[2].view, statements[2].seq)
    );
    for (_, header) in &told {
        let check = header.check(&stage.keyring).expect("a member");
        assert!(
            stage.keyring.scheme().verify(&check),
            "that is what makes it proof"
        );
    }
}

#[test]
fn what_is_kept_back_leaves_when_the_wrappers_timer_runs_out() {
    let plan = SlowPrimary {
        delay: Span::millis(400),
        ..SlowPrimary::default()
    };
    let mut stage = Stage::new(&Plan::of(Behaviour::SlowPrimary(plan)));
    let (left, alarm) = stage.request(1);
    assert_eq!(proposals(&left), []);
    assert_eq!(alarm, Some(Duration::from_millis(400)));
    stage.now = stage.now + Duration::from_millis(400);
    let (left, _) = stage.step(Event::TimerFired(Timer::Wrapper));
    assert_eq!(proposals(&left).len(), 1);
}

#[test]
fn behaviours_compose_in_the_order_of_the_plan() {
    let silent = Behaviour::Silent(Silent {
        to: vec![1, 4],
        ..Silent::default()
    });
    let equivocate = Behaviour::Equivocate(Equivocate::default());
    let plan = Plan::of(equivocate).and(silent, Trigger::default());
    let mut stage = Stage::new(&plan);
    stage.request(1);
    stage.request(2);
    stage.now = stage.now + Duration::from_millis(2);
    let (left, _) = stage.step(Event::TimerFired(Timer::Batch));
    let told: Vec<Destination> = proposals(&left).iter().map(|(to, _)| *to).collect();
    assert_eq!(told, [one(2), one(3)], "one of each half is left");
}

#[test]
fn a_member_may_run_on_any_thread() {
    fn is_send<T: Send>() {}
    is_send::<Byzantine>();
    is_send::<Bend>();
}
