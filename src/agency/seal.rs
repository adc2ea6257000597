//! The seal, as the central shows it to the agency: checked against what the agency knows itself.

use crate::domain::acta::{FORMAT, Receipt, Signed};
use crate::domain::seal::Declared;
use crate::domain::tree::root_of_path;
use crate::domain::{AgencyId, LotteryId, Secret, Status};
use crate::transport;
use crate::wire::SealShown;

/// How far the central's clock may be ahead of ours, in seconds: as far as a wrong time zone can set it.
const MOST_AHEAD: u64 = 24 * 60 * 60;

/// What the agency knows of the lottery without the central's seal.
pub(super) struct Own {
    pub agency: AgencyId,
    pub lottery: LotteryId,
    pub secret: Secret,
    /// What it has sent.
    pub sent: Declared,
    /// How the central has taken its DONE, if this process has sent it.
    pub status: Option<Status>,
}

impl Own {
    /// Checks a seal at this time, in seconds since 1970. `central` are the certificates of the central, if it has proved who
    /// it is: it then has to have signed. The error says what does not fit.
    pub(super) fn check(&self, shown: &SealShown, central: Option<&[Vec<u8>]>, now: u64) -> Result<Receipt, String> {
        let Own { agency, lottery, secret, sent, status } = *self;
        let SealShown { bets, root, agencies, total, seal, time, .. } = *shown;
        if bets != sent.bets {
            let by = if shown.status == Status::Overridden { ", as the central's operator has decided" } else { "" };
            return Err(format!("it counts {bets} bets of agency {agency}, which has sent {}{by}", sent.bets));
        }
        if root != sent.root {
            return Err(format!(
                "the bets of agency {agency} in it are not those that were sent, although they are as many"
            ));
        }
        if let Some(status) = status.filter(|status| *status != shown.status) {
            return Err(format!("it calls the bets of agency {agency} {}, and they are {status}", shown.status));
        }
        let line = shown.line(agency);
        let place = u64::from(agency.0).checked_sub(1);
        let found = place.and_then(|place| root_of_path(line.leaf(), place, agencies.into(), &shown.path));
        if found != Some(seal) {
            return Err(format!("the line of agency {agency} does not lead to it"));
        }
        if total < bets || (agencies == 1 && total != bets) {
            return Err(format!("it counts {total} bets of {agencies} agencies, and {bets} of agency {agency} alone"));
        }
        if time == 0 || time > now.saturating_add(MOST_AHEAD) {
            return Err(format!("its time is {time} s since 1970, and it is {now} now"));
        }
        let signed = match (central, &shown.signature) {
            (None, _) => None,
            (Some(_), None) => return Err("the central has not signed it, although it has keys".to_owned()),
            (Some(chain), Some(signature)) => {
                let own = chain.first().ok_or("the central has shown no certificate")?;
                transport::verify_signature(&shown.sealed(lottery).statement(), signature, own)
                    .map_err(|reason| format!("the central's signature is not good: {reason}"))?;
                Some(Signed::new(signature, chain))
            }
        };
        Ok(Receipt {
            format: FORMAT,
            lottery,
            agency: agency.0,
            secret,
            bets,
            root,
            status: shown.status,
            agencies,
            total,
            seal,
            sealed_at: time,
            path: shown.path.clone(),
            signed,
        })
    }
}
