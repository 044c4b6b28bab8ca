//! What runs at a node: honest code, or honest code with attacks around it.

use std::ops::{Deref, DerefMut};

use byzantine::Byzantine;
use consensus::pbft::Pbft;
use consensus::{Event, Instant, Outbox, Protocol};
use crypto::Verified;

/// A replica's protocol. It is looked at as the honest code that is in it.
pub(crate) enum Member {
    Honest(Box<Pbft>),
    Byzantine(Box<Byzantine>),
}

impl Member {
    /// Advances by one event.
    pub(crate) fn step(
        &mut self,
        now: Instant,
        event: Event<Verified<<Pbft as Protocol>::Message>>,
        out: &mut Outbox<Pbft>,
    ) {
        match self {
            Member::Honest(honest) => honest.step(now, event, out),
            Member::Byzantine(member) => {
                let mut bent = Outbox::new();
                member.step(now, event, &mut bent);
                for action in bent.drain() {
                    out.push(action);
                }
            }
        }
    }
}

impl Deref for Member {
    type Target = Pbft;

    fn deref(&self) -> &Pbft {
        match self {
            Member::Honest(honest) => honest,
            Member::Byzantine(member) => member.honest(),
        }
    }
}

impl DerefMut for Member {
    fn deref_mut(&mut self) -> &mut Pbft {
        match self {
            Member::Honest(honest) => honest,
            Member::Byzantine(member) => member.honest_mut(),
        }
    }
}
