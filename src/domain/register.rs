//! Which agencies take part, what each has stored, and when the draw is due.

use std::collections::BTreeMap;
use std::fmt;

/// The largest agency id, and so the most agencies a lottery can have: an account of each lives in memory.
pub const MAX_AGENCIES: u32 = 65_535;

/// An agency's number. Only a [`Register`] tells whether such an agency takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgencyId(pub u32);

/// The agencies that take part: 1 to N, with N said beforehand or found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roster {
    /// Agencies 1 to N. With none there is no lottery.
    Fixed(u32),
    /// N is the highest id seen so far.
    Auto,
}

/// Where an agency stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its bets are taken.
    Open,
    /// It has said that it has no more; the draw is still to come.
    Done,
    /// The draw was held.
    Drawn,
}

/// What the central keeps about one agency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Bets stored, which is also the place of the next one in the agency's sequence.
    pub stored: u64,
    pub done: bool,
}

/// The agencies' accounts and the draw. Equal histories make equal registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    roster: Roster,
    accounts: BTreeMap<AgencyId, Account>,
    done: u32,
    drawn: Option<u32>,
}

impl Roster {
    pub fn admits(self, agency: AgencyId) -> bool {
        let last = match self {
            Roster::Fixed(last) => last,
            Roster::Auto => MAX_AGENCIES,
        };
        (1..=last).contains(&agency.0)
    }
}

impl Register {
    pub fn new(roster: Roster) -> Register {
        Register { roster, accounts: BTreeMap::new(), done: 0, drawn: None }
    }

    pub fn roster(&self) -> Roster {
        self.roster
    }

    pub fn account(&self, agency: AgencyId) -> Account {
        self.accounts.get(&agency).copied().unwrap_or_default()
    }

    /// Every agency that was ever seen, in order of its id.
    pub fn accounts(&self) -> impl Iterator<Item = (AgencyId, Account)> + '_ {
        self.accounts.iter().map(|(agency, account)| (*agency, *account))
    }

    pub fn phase(&self, agency: AgencyId) -> Phase {
        match (self.drawn, self.account(agency).done) {
            (Some(_), _) => Phase::Drawn,
            (None, true) => Phase::Done,
            (None, false) => Phase::Open,
        }
    }

    /// The number that was drawn, once it was.
    pub fn drawn(&self) -> Option<u32> {
        self.drawn
    }

    /// Whether bets are refused: the agency is done, or the draw was held without it.
    pub fn is_closed(&self, agency: AgencyId) -> bool {
        self.phase(agency) != Phase::Open
    }

    /// Notes that an agency was heard of; true when it is new.
    pub fn see(&mut self, agency: AgencyId) -> bool {
        let known = self.accounts.len();
        self.accounts.entry(agency).or_default();
        self.accounts.len() > known
    }

    pub fn add_bets(&mut self, agency: AgencyId, bets: u64) {
        self.accounts.entry(agency).or_default().stored += bets;
    }

    /// Marks an agency as done. Saying so again changes nothing.
    pub fn mark_done(&mut self, agency: AgencyId) {
        let account = self.accounts.entry(agency).or_default();
        self.done += u32::from(!account.done);
        account.done = true;
    }

    pub fn hold_draw(&mut self, winning_number: u32) {
        self.drawn.get_or_insert(winning_number);
    }

    /// Whether the draw is still to be held and every agency of the roster is done. With [`Roster::Auto`] the
    /// caller also waits for the quiet time: only it knows the clock.
    pub fn draw_is_due(&self) -> bool {
        let agencies = match self.roster {
            Roster::Fixed(last) => last,
            Roster::Auto => self.accounts.keys().next_back().map_or(0, |highest| highest.0),
        };
        self.drawn.is_none() && agencies > 0 && self.done == agencies
    }

    /// The first agency with an account that the roster does not admit: a sign of the wrong roster or folder.
    pub fn stranger(&self) -> Option<AgencyId> {
        self.accounts.keys().copied().find(|agency| !self.roster.admits(*agency))
    }
}

impl fmt::Display for AgencyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for Roster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Roster::Fixed(last) => last.fmt(formatter),
            Roster::Auto => formatter.write_str("auto"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_draw_is_due_once_all_of_the_roster_are_done() {
        let mut register = Register::new(Roster::Fixed(3));
        for agency in [3, 1, 3, 3, 1] {
            register.mark_done(AgencyId(agency));
            assert!(!register.draw_is_due(), "two agencies saying so often are still two");
        }
        register.mark_done(AgencyId(2));
        assert!(register.draw_is_due());
        register.hold_draw(7574);
        assert!(!register.draw_is_due());
        register.hold_draw(1);
        assert_eq!(register.drawn(), Some(7574), "a draw is held once");
    }

    #[test]
    fn nobody_is_no_lottery() {
        assert!(!Register::new(Roster::Fixed(0)).draw_is_due());
        assert!(!Register::new(Roster::Auto).draw_is_due());
        assert!(!Roster::Fixed(0).admits(AgencyId(1)));
    }

    #[test]
    fn an_inferred_roster_reaches_to_the_highest_id_seen() {
        let mut register = Register::new(Roster::Auto);
        register.mark_done(AgencyId(2));
        assert!(!register.draw_is_due(), "agency 1 must exist");
        register.mark_done(AgencyId(1));
        assert!(register.draw_is_due());
        assert!(register.see(AgencyId(4)));
        assert!(!register.see(AgencyId(4)));
        assert!(!register.draw_is_due());
    }

    #[test]
    fn ids_outside_the_roster_are_strangers() {
        let mut register = Register::new(Roster::Fixed(2));
        assert!(Roster::Fixed(2).admits(AgencyId(2)));
        assert!(!Roster::Fixed(2).admits(AgencyId(0)));
        assert!(!Roster::Auto.admits(AgencyId(MAX_AGENCIES + 1)));
        register.add_bets(AgencyId(2), 5);
        assert_eq!(register.stranger(), None);
        register.add_bets(AgencyId(3), 5);
        assert_eq!(register.stranger(), Some(AgencyId(3)));
    }

    #[test]
    fn phases_follow_each_other() {
        let mut register = Register::new(Roster::Fixed(2));
        let agency = AgencyId(1);
        assert_eq!((register.phase(agency), register.is_closed(agency)), (Phase::Open, false));
        register.mark_done(agency);
        assert_eq!((register.phase(agency), register.is_closed(agency)), (Phase::Done, true));
        register.hold_draw(7);
        assert_eq!((register.phase(AgencyId(2)), register.is_closed(AgencyId(2))), (Phase::Drawn, true));
    }
}
