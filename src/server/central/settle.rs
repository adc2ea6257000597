//! What the ledger's verdicts mean for the lottery, the log, and the connections that wait for them.

use std::sync::Arc;

use super::super::lottery::Step;
use super::{Central, Client, Order};
use crate::ledger::{Audience, Verdict};
use crate::logging;

impl Audience<Order, Arc<dyn Client>> for Central {
    fn settle(&self, verdicts: Vec<(Order, Verdict)>) {
        let gathered = logging::gather();
        let is_drawn = self.lottery.is_drawn();
        let mut tally = self.tally();
        let mut settled = Vec::new();
        let (mut has_changed, mut is_done) = (false, false);
        for (order, verdict) in verdicts {
            has_changed |= matches!(verdict, Verdict::Marked | Verdict::Failed(_));
            match order {
                Order::Request { asked, from, since } => {
                    is_done |= verdict == Verdict::Marked;
                    let is_known = self.disk.note(&verdict);
                    let Some((asked, from)) = self.note_declaration(asked, from, &verdict) else { continue };
                    let outcome = asked.settle(verdict, is_drawn, self.secrets());
                    if let Some(tally) = &mut tally {
                        tally.note(&outcome, since);
                    }
                    if !is_known {
                        outcome.log();
                    }
                    settled.push((from, outcome));
                }
                Order::SealAnnouncement => {
                    if verdict == Verdict::Marked {
                        self.lottery.wait_for_number();
                    } else {
                        self.lottery.step_back(Step::Due);
                    }
                }
                Order::Announcement => {
                    if verdict == Verdict::Marked {
                        self.lottery.advance(Step::Drawing, Step::Drawn);
                    } else {
                        self.lottery.step_back(Step::Due);
                    }
                }
            }
        }
        if is_done {
            self.log_missing();
        }
        // These lines must precede those that the outcomes lead to.
        drop(gathered);
        if has_changed {
            self.look_at_store();
        }
        let mut waiting: Vec<Arc<dyn Client>> = Vec::new();
        for (client, outcome) in settled {
            client.settle(outcome);
            if waiting.last().is_none_or(|last| !Arc::ptr_eq(last, &client)) {
                waiting.push(client);
            }
        }
        self.admit_to_line(waiting);
    }

    fn admit_to_line(&self, waiting: Vec<Arc<dyn Client>>) {
        waiting.into_iter().for_each(Client::wake);
    }

    fn lose_store(&self) {
        self.look_at_store();
    }
}
