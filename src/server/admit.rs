//! Who may act for which agency: the one place that decides it.

use std::collections::BTreeSet;
use std::fmt;

use parking_lot::Mutex;

use crate::config::Plain;
use crate::domain::{AgencyId, MAX_AGENCIES, Role, Roster};
use crate::transport::{Peer, Who, party};
use crate::wire::Refusal;

/// An agency that its peer may act for. Whatever touches an agency's bets, mark or winners takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted(AgencyId);

/// See the module.
pub struct Gate {
    roster: Roster,
    plain: Plain,
    /// With [`Roster::Auto`]: the agencies that were heard of since the start.
    seen: Mutex<BTreeSet<AgencyId>>,
}

impl Admitted {
    pub fn id(self) -> AgencyId {
        self.0
    }
}

impl fmt::Display for Admitted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Gate {
    pub fn new(roster: Roster, plain: Plain) -> Gate {
        Gate { roster, plain, seen: Mutex::default() }
    }

    /// What this peer gets, if it speaks without TLS.
    pub fn plain(&self, peer: &Peer) -> Plain {
        if peer.who == Who::Plain { self.plain } else { Plain::All }
    }

    pub fn roster(&self) -> Roster {
        self.roster
    }

    /// Lets a peer act for an agency, if its certificate speaks for that agency and the agency takes part.
    pub fn admit(&self, peer: &Peer, agency: AgencyId) -> Result<Admitted, Refusal> {
        let not_for = |whom: &str| Err(Refusal::Identity(format!("this certificate speaks for {whom}")));
        match peer.who {
            Who::Plain if self.plain == Plain::All => {}
            Who::Plain => return Err(Refusal::NeedsTls),
            Who::Party(Role::Agency(own)) if own == agency => {}
            Who::Party(role) => return not_for(&party(role)),
            Who::Nobody => return not_for("no agency"),
        }
        if self.roster.admits(agency) {
            return Ok(Admitted(agency));
        }
        Err(Refusal::Other(match self.roster {
            Roster::Fixed(0) => format!("agency {agency} is unknown: this central holds no lottery"),
            Roster::Fixed(last) => format!("agency {agency} is unknown: the agencies are 1 to {last}"),
            Roster::Auto => format!("agency {agency} is unknown: agencies are 1 to {MAX_AGENCIES}"),
        }))
    }

    /// Lets a peer ask what the operator asks. Without keys anybody may, and holding the draw needs more.
    pub fn admit_operator(&self, peer: &Peer) -> Result<(), Refusal> {
        match peer.who {
            Who::Plain if self.plain == Plain::All => Ok(()),
            Who::Plain => Err(Refusal::NeedsTls),
            Who::Party(Role::Operator) => Ok(()),
            Who::Party(role) => Err(Refusal::Identity(format!("this certificate speaks for {}", party(role)))),
            Who::Nobody => Err(Refusal::Identity("this certificate speaks for no party".to_owned())),
        }
    }

    /// Notes that an agency was heard of. True if that makes an inferred roster another.
    pub fn note(&self, agency: Admitted) -> bool {
        self.roster == Roster::Auto && self.seen.lock().insert(agency.0)
    }

    /// How many agencies take part: 1 to this. `stored` is the highest that has bets or is done.
    pub fn agencies(&self, stored: u32) -> u32 {
        match self.roster {
            Roster::Fixed(last) => last,
            Roster::Auto => self.seen.lock().last().map_or(stored, |seen| seen.0.max(stored)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer { address: ([127, 0, 0, 1], 1).into(), who: Who::Plain }
    }

    #[test]
    fn only_agencies_of_the_roster_are_admitted() {
        let gate = Gate::new(Roster::Fixed(2), Plain::All);
        assert_eq!(gate.admit(&peer(), AgencyId(2)), Ok(Admitted(AgencyId(2))));
        for stranger in [0, 3, u32::MAX] {
            let refusal = gate.admit(&peer(), AgencyId(stranger)).unwrap_err().to_string();
            assert_eq!(refusal, format!("agency {stranger} is unknown: the agencies are 1 to 2"));
        }
        assert!(!gate.note(Admitted(AgencyId(2))), "a roster that was said does not grow");
        assert_eq!(gate.agencies(1), 2);
    }

    #[test]
    fn an_inferred_roster_reaches_to_the_highest_agency_that_was_heard_of() {
        let gate = Gate::new(Roster::Auto, Plain::All);
        assert_eq!(gate.agencies(0), 0);
        assert!(gate.note(Admitted(AgencyId(4))));
        assert!(!gate.note(Admitted(AgencyId(4))) && gate.note(Admitted(AgencyId(2))));
        assert_eq!((gate.agencies(3), gate.agencies(7)), (4, 7));
    }
}
