//! Which lottery the central holds: the one that is wanted, if one is, and the same one as long as this process runs.

use crate::domain::{LotteryId, Secret};
use crate::error::{Error, Result};

#[derive(Default)]
pub(super) struct Pin {
    /// The only lottery that is taken.
    wanted: Option<LotteryId>,
    /// What the central has told of itself. None at first, and of a central without a seal.
    told: Option<(LotteryId, Secret)>,
}

impl Pin {
    pub(super) fn new(wanted: Option<LotteryId>) -> Pin {
        Pin { wanted, told: None }
    }

    /// An error if this is not the lottery that it has to be.
    pub(super) fn check(&mut self, found: Option<(LotteryId, Secret)>) -> Result<()> {
        let holds =
            || found.map_or("tells of no lottery".to_owned(), |(lottery, _)| format!("holds lottery {lottery}"));
        if let Some(wanted) = self.wanted.filter(|wanted| found.is_none_or(|(lottery, _)| lottery != *wanted)) {
            let holds = holds();
            return Err(Error::refused(format!(
                "the central {holds}, and --lottery wants {wanted}: check --server, or ask the central's operator"
            )));
        }
        match self.told {
            Some(told) if found != Some(told) => {
                let (holds, what) =
                    (holds(), if found.is_some_and(|(id, _)| id == told.0) { " and another secret" } else { "" });
                Err(Error::refused(format!(
                    "the central {holds}{what} now, and held lottery {} before: its store was replaced, or another central \
                     answers there",
                    told.0
                )))
            }
            _ => {
                self.told = found;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const ONE: (LotteryId, Secret) = (LotteryId(1), Secret([1; 32]));

    #[test]
    fn a_lottery_that_is_not_wanted_or_changes_is_refused() {
        let two = (LotteryId(2), Secret([1; 32]));
        for (wanted, told, is_good) in [
            (None, &[None, None, Some(ONE), Some(ONE)][..], true),
            (Some(LotteryId(1)), &[Some(ONE), Some(ONE)], true),
            (Some(LotteryId(1)), &[Some(two)], false),
            (Some(LotteryId(1)), &[None], false),
            (None, &[Some(ONE), Some(two)], false),
            (None, &[Some(ONE), Some((LotteryId(1), Secret([2; 32])))], false),
            (None, &[Some(ONE), None], false),
        ] {
            let mut pin = Pin::new(wanted);
            let (last, first) = told.split_last().unwrap();
            first.iter().for_each(|told| pin.check(*told).unwrap());
            let result = pin.check(*last).map_err(|error| error.kind);
            assert_eq!(result, if is_good { Ok(()) } else { Err(Kind::Refused) }, "{wanted:?} {told:?}");
        }
    }
}
