use super::*;
use crate::agency::testing::reactor;
use crate::wire::frame;
use crate::wire::{BetLine, Message};
use proptest::prelude::*;

fn batches(text: &str, most: u32) -> (Batches, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agency-3.csv");
    std::fs::write(&path, text).unwrap();
    (Batches::new(Dataset::open(&path).unwrap(), AgencyId(3), most), folder)
}

fn text(batch: &BatchMessage<'_>) -> String {
    let mut bytes = Vec::new();
    batch.write_to(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

fn standing(stored: u64, checksum: Option<Checksum>) -> Standing {
    Standing { stored, phase: crate::domain::Phase::Open, checksum, identity: None }
}

fn next(batches: &mut Batches) -> Option<String> {
    batches.next().unwrap().map(|batch| text(&batch))
}

#[test]
fn batches_are_full_but_for_the_last() {
    let (mut batches, _folder) = batches("a,b,1,d,5\n\"c, d\",e,2,f,6\ng,h,3,i,7\n", 2);
    assert_eq!(next(&mut batches).unwrap(), "BATCH|3|2|0\nBET|3|a|b|1|d|5\nBET|3|c, d|e|2|f|6");
    assert_eq!(next(&mut batches).unwrap(), "BATCH|3|1|2\nBET|3|g|h|3|i|7");
    assert_eq!(next(&mut batches), None);
    assert_eq!(batches.unacknowledged(), 2);
    assert_eq!(batches.pop_oldest().unwrap().count, 2);
}

#[test]
fn rows_with_other_numbers_of_fields_go_to_the_central_and_never_look_like_a_bet() {
    let rows = ["x", "x,y", "Ana,2000-01-01,7", "a,b,c,d", "a,b,c,d,e,f", "a,b,c,d,e,f,g", ",,", "BET,3,x"];
    let (mut batches, _folder) = batches(&rows.join("\n"), 1);
    for row in rows {
        let batch = next(&mut batches).unwrap();
        let line = batch.split_once('\n').unwrap().1;
        assert!(line.ends_with(&row.replace(',', "|")), "{line}");
        assert!(BetLine::parse(line).is_err(), "{line}");
    }
    assert_eq!(next(&mut batches), None);
}

#[test]
fn a_refusal_names_the_line_of_the_file() {
    let (mut batches, _folder) = batches("nombre,apellido,dni,nacimiento,numero\n\na,b,1,c,5\n\nd,e,2,f,abc\n", 9);
    next(&mut batches).unwrap();
    let sent = batches.pop_oldest().unwrap();
    let mut shown = |reason: &str| {
        let Ok(refusal) = str::parse(reason);
        let error = batches.refusal(&sent, &refusal);
        assert_eq!(error.kind, Kind::Refused);
        error.to_string()
    };
    assert_eq!(shown("bet 2: number \"abc\" is odd: very"), "agency-3.csv:5: number \"abc\" is odd: very");
    assert_eq!(shown("bet 1: x"), "agency-3.csv:3: x");
    for reason in ["no place", "bet 3: x", "bet 0: x", "bet x: y"] {
        let expected = format!("agency-3.csv:3: the batch of 2 bets from here on was refused: {reason}");
        assert_eq!(shown(reason), expected);
    }
}

#[test]
fn a_row_that_fits_no_frame_stops_at_its_line() {
    let overhead = "BATCH|3|1|1\nBET|3|\n".len();
    let row = |length: usize| format!("a,b,1,c,5\n{}\n", "x".repeat(length));
    let (mut fitting, _folder) = batches(&row(MAX_FRAME - overhead), 9);
    assert_eq!(next(&mut fitting).unwrap().lines().count(), 2, "the second row has a frame for itself");
    assert_eq!(next(&mut fitting).unwrap().len(), MAX_FRAME - 1);
    let (mut too_long, _folder) = batches(&row(MAX_FRAME - overhead + 1), 9);
    next(&mut too_long).unwrap();
    let error = too_long.next().err().unwrap();
    assert_eq!(error.kind, Kind::BadInput);
    assert!(error.to_string().starts_with("agency-3.csv:2: the row is too long"));
}

#[test]
fn a_file_with_fewer_rows_than_are_stored_is_another_file() {
    let (mut batches, _folder) = batches("a,b,1,c,5\n", 9);
    assert!(!batches.resume(&standing(2, None), &mut reactor()).unwrap());
    assert_eq!(batches.count_rows(&mut reactor()).unwrap(), 1);
}

#[test]
fn nothing_follows_a_batch_that_the_central_will_refuse() {
    let (mut batches, _folder) = batches("A,B,1,2000-01-01,5\nA,B,1,2000-02-30,5\nA,B,1,2000-01-01,5\n", 1);
    batches.resume(&standing(0, Some(Checksum::default())), &mut reactor()).unwrap();
    assert_eq!(next(&mut batches).unwrap(), "BATCH|3|1|0|00000000\nBET|3|A|B|1|2000-01-01|5");
    assert!(next(&mut batches).unwrap().starts_with("BATCH|3|1|1|"));
    assert_eq!(next(&mut batches), None);
    assert!(!batches.pop_oldest().unwrap().is_hopeless && batches.pop_oldest().unwrap().is_hopeless);
    // A central without checksums gets every batch.
    batches.resume(&standing(1, None), &mut reactor()).unwrap();
    assert_eq!(next(&mut batches).unwrap(), "BATCH|3|1|1\nBET|3|A|B|1|2000-02-30|5");
    assert!(next(&mut batches).is_some());
}

proptest! {
    #[test]
    fn every_row_is_sent_once_in_frames_as_full_as_they_can_be(
        lengths in prop::collection::vec(1..3000_usize, 1..60), most in 1..20_u32,
    ) {
        let rows: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
        let (mut batches, _folder) = batches(&rows.join("\n"), most);
        let (mut sent, mut previous): (Vec<String>, Option<usize>) = (Vec::new(), None);
        while let Some(batch) = batches.next().unwrap() {
            let mut frame = Vec::new();
            frame::push_with(&mut frame, |out| batch.write_to(out));
            let text = text(&batch);
            let Ok(Message::Agency(Request { ask: Ask::Batch { header, lines }, .. })) = Message::parse(&text) else { panic!("{text}") };
            prop_assert_eq!(header.place.map(|place| place.first), Some(sent.len() as u64));
            prop_assert_eq!(header.count as usize, lines.lines().count());
            prop_assert!(header.count <= most);
            if let Some(room) = previous {
                prop_assert!(lines.lines().next().unwrap().len() + 1 > room, "it had fitted the batch before");
            }
            let growth = (header.count + 1).to_string().len() - header.count.to_string().len();
            prop_assert!(text.len() <= MAX_FRAME);
            // A full frame has no room, not even for the line feed before another row.
            previous = (header.count < most).then(|| (MAX_FRAME - text.len()).saturating_sub(1 + growth));
            sent.extend(lines.lines().map(|line| line.strip_prefix("BET|3|").unwrap().to_owned()));
        }
        prop_assert_eq!(sent, rows);
    }

    #[test]
    fn sending_goes_on_wherever_the_central_says(
        rows in 1..60_u64, most in 1..7_u32,
        steps in prop::collection::vec((0..5_usize, 0..5_usize, 0..60_u64), 1..12),
    ) {
        // Every third row has leading zeros, so that both paths of the reader are used.
        let value = |row: u64| if row.is_multiple_of(3) { format!("0{row}") } else { row.to_string() };
        let text: String = (0..rows).map(|row| format!("A,B,{row},2000-01-01,{}\n\n", value(row))).collect();
        let mut checksums = vec![Checksum::default()];
        for row in 0..rows {
            let stored = format!("3,A,B,{row},2000-01-01,{row}\r\n");
            checksums.push(checksums[checksums.len() - 1].extended(stored.as_bytes()));
        }
        let (mut batches, _folder) = batches(&text, most);
        for (sent, settled, stored) in steps {
            (0..sent).for_each(|_| { next(&mut batches); });
            (0..settled).for_each(|_| { batches.pop_oldest(); });
            let stored = stored.min(rows);
            let other = Checksum(checksums[stored as usize].0 ^ 1);
            prop_assert!(!batches.resume(&standing(stored, Some(other)), &mut reactor()).unwrap());
            let checksum = checksums[stored as usize];
            prop_assert!(batches.resume(&standing(stored, Some(checksum)), &mut reactor()).unwrap());
            prop_assert_eq!((batches.dataset.rows(), batches.unacknowledged()), (stored, 0));
            match next(&mut batches) {
                Some(batch) => {
                    let first = format!("|{stored}|{checksum}\nBET|3|A|B|{stored}|");
                    prop_assert!(batch.contains(&first), "{} in {}", first, batch);
                }
                None => prop_assert_eq!(stored, rows),
            }
        }
    }
}
