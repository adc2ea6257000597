//! The log of journals of formats 1 to 3, which is read and never written: records one behind the other, several commits in a
//! sector, and no rows. A record with a zero byte was never written whole. One without, whose checksum is wrong, was
//! written whole and then damaged.

use super::record::{Damage, RECORD, Record, is_unused, parse};

/// The records of a log, and how many there are behind them of one last write that was torn.
pub fn read(records: &[&[u8]], start: usize) -> Result<(Vec<Record>, usize), Damage> {
    let (mut log, mut group, mut place) = (Vec::new(), 0, start);
    while let Some((next_group, entry)) = records.get(place).and_then(|record| parse(place as u64, record)) {
        if next_group != group && next_group != group + 1 {
            return Err(Damage::at(place * RECORD, "a commit is missing before this record"));
        }
        group = next_group;
        log.push(entry);
        place += 1;
    }
    let torn_records = check_tail(records, place, group)?;
    Ok((log, torn_records))
}

/// Behind the last whole record there may be the remains of one write, and nothing else but unused space. Returns how many
/// records the remains take.
fn check_tail(records: &[&[u8]], end: usize, last_group: u64) -> Result<usize, Damage> {
    let mut torn = 0;
    for (place, record) in records.iter().enumerate().skip(end) {
        if is_unused(record) {
            continue;
        }
        torn = place + 1 - end;
        let written_whole = record.len() == RECORD && !record.contains(&0);
        let from_torn_write =
            parse(place as u64, record).is_some_and(|(group, _)| group == last_group || group == last_group + 1);
        if written_whole && !from_torn_write {
            let what = "a record is damaged (its checksum is wrong, or records before it are lost)";
            return Err(Damage::at(place * RECORD, what));
        }
    }
    Ok(torn)
}
