//! What an audit tells: a table for people, or one JSON object whose fields stay as they are.

use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::domain::acta::Acta;
use crate::domain::{Hash, LotteryId, Status};
use crate::error::Result;
use crate::output::{counted, object};

/// Digits of a root in the table.
const SHORT: usize = 16;

/// The object of `quiniela audit STORE --json`.
#[derive(Serialize)]
struct Report {
    lottery: LotteryId,
    agencies: Vec<Line>,
    total: u64,
    seal: Hash,
    sealed_at: u64,
    draw: Option<Draw>,
    /// Whether the signers' certificates were checked against an authority.
    authority_checked: bool,
    /// What has no signature: `agency <id>`, `the seal`, `the number`.
    unsigned: Vec<String>,
}

#[derive(Serialize)]
struct Line {
    agency: u32,
    bets: u64,
    root: Hash,
    status: Status,
    winners: Option<u64>,
}

#[derive(Serialize)]
struct Draw {
    number: u32,
    later: bool,
    drawn_at: u64,
}

/// The report as JSON, of an acta that has been checked.
pub fn json(acta: &Acta, unsigned: Vec<String>, authority_checked: bool) -> Result<String> {
    let line = |line: &crate::domain::acta::ActaLine| Line {
        agency: line.agency,
        bets: line.bets,
        root: line.root,
        status: line.status,
        winners: line.winners,
    };
    let draw = acta.draw.as_ref();
    object(&Report {
        lottery: acta.lottery,
        agencies: acta.agencies.iter().map(line).collect(),
        total: acta.total,
        seal: acta.seal,
        sealed_at: acta.sealed_at,
        draw: draw.map(|draw| Draw { number: draw.number, later: draw.later, drawn_at: draw.drawn_at }),
        authority_checked,
        unsigned,
    })
}

/// The report as a table.
pub fn table(acta: &Acta, unsigned: &[String], authority_checked: bool) -> String {
    let winners = |winners: Option<u64>| winners.map_or("-".to_owned(), |winners| winners.to_string());
    let mut rows = vec![["agency", "bets", "root", "status", "winners"].map(str::to_owned)];
    rows.extend(acta.agencies.iter().map(|line| {
        let root: String = line.root.to_string().chars().take(SHORT).chain(['…']).collect();
        [line.agency.to_string(), line.bets.to_string(), root, line.status.to_string(), winners(line.winners)]
    }));
    let won = acta.draw.as_ref().map(|_| acta.agencies.iter().filter_map(|line| line.winners).sum());
    rows.push(["all".to_owned(), acta.total.to_string(), String::new(), String::new(), winners(won)]);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = format!("lottery {}\n\n", acta.lottery);
    for [agency, bets, root, status, winners] in &rows {
        let [one, two, three, four, five] = widths;
        text += &format!("{agency:>one$}  {bets:>two$}  {root:three$}  {status:four$}  {winners:>five$}\n");
    }
    text += &format!("\nseal    {}\nclosed  {}\n{}\n", acta.seal, moment(acta.sealed_at), number(acta));
    text += &match (authority_checked, unsigned) {
        (true, []) => "signed  by every agency, the central, and the operator if the number came later\n".to_owned(),
        (true, unsigned) => format!("signed  all but {}\n", unsigned.join(", ")),
        (false, _) => "signed  not checked against an authority: give --ca FILE\n".to_owned(),
    };
    text + &format!("\nThe {} of this store are those that the seal binds.\n", counted(acta.total, "bet"))
}

/// What the acta says of the draw, as a line of the table.
fn number(acta: &Acta) -> String {
    match &acta.draw {
        None => "number  not drawn yet".to_owned(),
        Some(draw) => {
            let when = if draw.later { "came after the seal" } else { "known before the seal" };
            format!("number  {}, {when}, drawn {}", draw.number, moment(draw.drawn_at))
        }
    }
}

/// Seconds since 1970, as people read them.
pub fn moment(seconds: u64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let moment = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    moment.and_then(|moment| moment.format(format).ok()).unwrap_or_else(|| format!("{seconds} seconds after 1970"))
}
