//! Which agencies take part, what each has stored, and the state of the draw.

use std::collections::BTreeMap;
use std::fmt;

use super::{Checksum, Hash, Rules, Status};

/// The largest agency id, and so the most agencies of a lottery. It is bounded because each account is kept in memory.
pub const MAX_AGENCIES: u32 = 65_535;

/// An agency's number. [`Roster::admits`] decides whether this agency takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgencyId(pub u32);

/// The agencies that take part: 1 to N, where N is configured or found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roster {
    /// Agencies 1 to N. If N is 0 there is no lottery.
    Fixed(u32),
    /// N is the highest id that was seen so far.
    Auto,
}

/// The phase of an agency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its bets are accepted.
    Open,
    /// It has said DONE, and the draw was not held yet.
    Done,
    Drawn,
}

/// What is stored of one agency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The number of its bets, which is also the place of the next one in its sequence.
    pub stored: u64,
    /// The checksum of their rows.
    pub checksum: Checksum,
    /// How the agency has said that it has no more bets, if it has.
    pub done: Option<Status>,
}

/// How far the close of betting has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SealStep {
    #[default]
    Open,
    /// What is stored is bound by the seal, and nothing can be stored any more.
    Sealed,
    /// The log has told of it.
    Announced,
}

/// The state of the draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Draw {
    /// It was not held yet.
    #[default]
    Open,
    /// It was held with this winning number. It is announced once its line is in the log.
    Held { number: u32, is_announced: bool },
}

/// The agencies' accounts, the draw and the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    accounts: BTreeMap<AgencyId, Account>,
    done: u32,
    bets: u64,
    seal: SealStep,
    draw: Draw,
    rules: Option<Rules>,
    /// Roots that were computed, each with the number of bets that it is over. They are not on disk.
    roots: BTreeMap<AgencyId, (u64, Hash)>,
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
    pub fn account(&self, agency: AgencyId) -> Account {
        self.accounts.get(&agency).copied().unwrap_or_default()
    }

    /// Every agency that has bets or is done, in order of its id.
    pub fn accounts(&self) -> impl DoubleEndedIterator<Item = (AgencyId, Account)> + '_ {
        self.accounts.iter().map(|(agency, account)| (*agency, *account))
    }

    pub fn set_account(&mut self, agency: AgencyId, account: Account) {
        self.update(agency, |old| *old = account);
    }

    pub fn update(&mut self, agency: AgencyId, change: impl FnOnce(&mut Account)) {
        let account = self.accounts.entry(agency).or_default();
        let (was_done, had) = (account.done.is_some(), account.stored);
        change(account);
        self.done = self.done - u32::from(was_done) + u32::from(account.done.is_some());
        self.bets = self.bets - had + account.stored;
    }

    /// The agencies of 1 to `agencies` that are not done, in order.
    pub fn missing(&self, agencies: u32) -> impl Iterator<Item = AgencyId> {
        let mut done = self.accounts().filter(|(_, account)| account.done.is_some()).map(|(id, _)| id).peekable();
        (1..=agencies).map(AgencyId).filter(move |id| done.next_if_eq(id).is_none())
    }

    /// Whether nothing of this agency can be stored any more.
    pub fn is_closed(&self, account: &Account) -> bool {
        account.done.is_some() || self.seal != SealStep::Open || self.draw != Draw::Open
    }

    pub fn seal(&self) -> SealStep {
        self.seal
    }

    /// Takes a step of the close. There is none back.
    pub fn advance_seal(&mut self, step: SealStep) {
        self.seal = self.seal.max(step);
    }

    /// The root of the agency's first bets, if it was computed over this number of them.
    pub fn root(&self, agency: AgencyId, bets: u64) -> Option<Hash> {
        self.roots.get(&agency).filter(|(over, _)| *over == bets).map(|(_, root)| *root)
    }

    pub fn set_root(&mut self, agency: AgencyId, bets: u64, root: Hash) {
        self.roots.insert(agency, (bets, root));
    }

    pub fn draw(&self) -> Draw {
        self.draw
    }

    /// Holds the draw, unless it was held before.
    pub fn hold_draw(&mut self, number: u32) {
        if self.draw == Draw::Open {
            self.draw = Draw::Held { number, is_announced: false };
        }
    }

    pub fn announce_draw(&mut self) {
        if let Draw::Held { is_announced, .. } = &mut self.draw {
            *is_announced = true;
        }
    }

    /// The rules, once they are recorded.
    pub fn rules(&self) -> Option<Rules> {
        self.rules
    }

    pub fn record_rules(&mut self, rules: Rules) {
        self.rules = Some(rules);
    }

    /// Bets in all.
    pub fn bets(&self) -> u64 {
        self.bets
    }

    /// How many agencies are done.
    pub fn done(&self) -> u32 {
        self.done
    }

    /// The highest id that has an account, 0 if there is none.
    pub fn highest(&self) -> u32 {
        self.accounts.keys().next_back().map_or(0, |agency| agency.0)
    }

    /// The first agency with an account that the roster does not admit. If there is one, roster or folder are wrong.
    pub fn stranger(&self, roster: Roster) -> Option<AgencyId> {
        self.accounts.keys().copied().find(|agency| !roster.admits(*agency))
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

    const DONE: Account = Account { stored: 0, checksum: Checksum(0), done: Some(Status::Undeclared) };

    #[test]
    fn agencies_that_are_done_count_once() {
        let mut register = Register::default();
        for agency in [3, 1, 3, 3, 1] {
            register.set_account(AgencyId(agency), DONE);
        }
        register.set_account(AgencyId(2), Account { stored: 5, ..Account::default() });
        assert_eq!((register.done(), register.highest()), (2, 3));
    }

    #[test]
    fn a_draw_is_held_once() {
        let mut register = Register::default();
        register.announce_draw();
        assert_eq!(register.draw(), Draw::Open);
        register.hold_draw(7574);
        register.hold_draw(1);
        assert_eq!(register.draw(), Draw::Held { number: 7574, is_announced: false });
        register.announce_draw();
        register.hold_draw(1);
        assert_eq!(register.draw(), Draw::Held { number: 7574, is_announced: true });
    }

    #[test]
    fn ids_outside_the_roster_are_strangers() {
        let mut register = Register::default();
        assert!(Roster::Fixed(2).admits(AgencyId(2)));
        assert!(!Roster::Fixed(2).admits(AgencyId(0)) && !Roster::Fixed(0).admits(AgencyId(1)));
        assert!(!Roster::Auto.admits(AgencyId(MAX_AGENCIES + 1)));
        register.set_account(AgencyId(2), DONE);
        assert_eq!(register.stranger(Roster::Fixed(2)), None);
        register.set_account(AgencyId(3), DONE);
        assert_eq!(register.stranger(Roster::Fixed(2)), Some(AgencyId(3)));
    }
}
