//! What has to hold of bets, rows and names, whatever text comes. See `src/fuzzing.rs`.
#![allow(clippy::unwrap_used)]

use super::{AgencyId, Bet, Role, Rows};

const AGENCY: AgencyId = AgencyId(3);

/// The values of a bet, with `|` between them: both paths make the same row of them, which any reader of CSV understands.
pub fn rows(bytes: &[u8]) {
    let Ok(values) = str::from_utf8(bytes) else { return };
    both_paths(values);
    let Ok(fields) = <[&str; 5]>::try_from(values.split('|').collect::<Vec<_>>()) else { return };
    match Bet::new(fields) {
        Ok(_) => read_by_others(fields),
        Err(error) => {
            let reason = error.to_string();
            assert!(reason.starts_with(&error.field.to_string()), "{reason}");
            assert!(!reason.contains(char::is_control), "{reason:?}");
        }
    }
}

/// What the fast path makes of these values, which is what the slow one makes of them, or nothing.
pub fn both_paths(values: &str) -> bool {
    let mut fast = rows_of(&[["A", "B", "1", "2000-01-01", "1"]]);
    let before = fast.bytes().to_vec();
    if !fast.push_plain(values) {
        assert_eq!((fast.bytes(), fast.count()), (&before[..], 1));
        return false;
    }
    let fields: Vec<&str> = values.split('|').collect();
    let slow = rows_of(&[fields.try_into().unwrap()]);
    assert_eq!((fast.split_at(1).1, fast.count()), (slow.bytes(), 2), "{values}");
    true
}

/// The csv crate reads the row of these values, and its own writer writes the same.
pub fn read_by_others(fields: [&str; 5]) {
    let rows = rows_of(&[fields]);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(rows.bytes());
    let record = reader.records().next().unwrap().unwrap();
    assert_eq!(&record[0], "3");
    assert!(record.iter().skip(1).take(4).eq(fields.iter().copied().take(4)));
    assert_eq!(record[5].parse(), fields[4].parse::<u32>());
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(&record).unwrap();
    assert_eq!(rows.bytes(), writer.into_inner().unwrap());
}

/// The rows of these bets, which have to be valid.
pub fn rows_of(bets: &[[&str; 5]]) -> Rows {
    let mut rows = Rows::new(AGENCY);
    bets.iter().for_each(|fields| rows.push(&Bet::new(*fields).unwrap()));
    rows
}

/// The names of a certificate, one a line: there is a role if exactly one is ours, whatever its case, and has the one form.
pub fn names(text: &str) {
    let is_ours = |name: &&str| name.to_ascii_lowercase().starts_with("urn:quiniela:");
    let ours: Vec<&str> = text.lines().filter(is_ours).collect();
    let role = Role::of_names(text.lines());
    match (role, &ours[..]) {
        (Some(role), [only]) => assert_eq!(role.to_string(), *only),
        (Some(role), _) => panic!("{role:?} of {ours:?}"),
        (None, [only]) => {
            let id = only.strip_prefix("urn:quiniela:agency:").and_then(|id| id.parse::<u16>().ok());
            let canonical = id.filter(|id| *id > 0).map(|id| format!("urn:quiniela:agency:{id}"));
            assert!(canonical.as_deref() != Some(*only), "{only} is nobody");
            assert!(!["urn:quiniela:central", "urn:quiniela:operator"].contains(only), "{only} is nobody");
        }
        (None, _) => {}
    }
}
