//! Tests of an agency's file: its rows, its header, its end, and what stops it.

use super::*;
use proptest::prelude::*;

fn shown(dataset: &Dataset) -> String {
    let mut line = Vec::new();
    dataset.push_line(&mut line);
    String::from_utf8(line).unwrap()
}

/// The rows of a file of these bytes, up to the first that stops.
fn rows(bytes: &[u8]) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agency-3.csv");
    std::fs::write(&path, bytes).unwrap();
    let read = || -> Result<Vec<String>> {
        let mut dataset = Dataset::open(&path)?;
        let mut rows = Vec::new();
        while dataset.advance()? {
            rows.push(shown(&dataset));
        }
        Ok(rows)
    };
    read().map_err(|error| {
        assert_eq!(error.kind, Kind::BadInput);
        error.to_string()
    })
}

#[test]
fn rows_come_as_they_are() {
    let text = "Ana,Paz,1,2000-01-01,7\r\n\"O\"\"Hara, José\",Ñandú,2,x,\n\nonly\n";
    assert_eq!(rows(text.as_bytes()).unwrap(), ["Ana|Paz|1|2000-01-01|7", "O\"Hara, José|Ñandú|2|x|", "only"]);
    assert_eq!(rows(b"").unwrap(), [""; 0]);
}

#[test]
fn a_header_is_skipped_and_nothing_that_could_be_a_bet() {
    for header in ["Nombre,APELLIDO, documento ,nacimiento,Número", "first_name,last_name,dni,birthdate,number"] {
        assert_eq!(rows(format!("\u{feff}{header}\na,b,c,d,e\n").as_bytes()).unwrap(), ["a|b|c|d|e"]);
    }
    assert_eq!(rows(b"nombre,apellido,1,nacimiento,numero\n").unwrap().len(), 1);
    assert_eq!(rows(b"a,b,c,d,e\nnombre,apellido,dni,nacimiento,numero\n").unwrap().len(), 2, "the first row only");
}

#[test]
fn what_the_wire_cannot_carry_stops_at_its_line() {
    assert_eq!(
        rows(b"a,b,c,d,e\r\n\r\n\r\na,x|y,c,d,e\r\n").unwrap_err(),
        "agency-3.csv:4: \"x\\u{7c}y\" holds a \"|\", which separates the fields of a message"
    );
    assert_eq!(rows(b"a,b\n\xc3,\xb1\n").unwrap_err(), "agency-3.csv:2: field 1 is not UTF-8");
    assert!(rows(b"\n\na,\"b\nc\",d\n").unwrap_err().starts_with("agency-3.csv:3: \"b\\nc\" holds a line feed"));
    assert!(rows("a\nb\nñ\u{85}\n".as_bytes()).unwrap_err().starts_with("agency-3.csv:3:"));
    assert!(rows(b"a\tb,c").unwrap_err().contains("control character"));
    for (name, reason) in [
        (&b"\xff"[..], "field 2 is not UTF-8"),
        (b"|", "\"Paz\\u{7c}\" holds a \"|\", which separates the fields of a message"),
        (b"\x7f", "\"Paz\\u{7f}\" holds a control character"),
        (b"\xc2\x80", "\"Paz\\u{80}\" holds a control character"),
    ] {
        let bytes = [b"Ana,Paz,1,2000-01-01,7\r\n\nAna,Paz", name, b",1,2000-01-01,7\n"].concat();
        assert_eq!(rows(&bytes).unwrap_err(), format!("agency-3.csv:3: {reason}"));
    }
}

#[test]
fn a_quote_left_open_stops_before_the_rest_of_the_file_is_in_memory() {
    let mut bytes = b"a,b,c,d,e\n\"a,b,c,d,e\n".to_vec();
    bytes.extend("f,g,h,i,j\n".repeat(100_000).as_bytes());
    let shown = rows(&bytes).unwrap_err();
    assert!(shown.starts_with("agency-3.csv:2: the row does not end within"), "{shown}");
}

#[test]
fn what_is_no_file_says_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.csv");
    for path in [missing.as_path(), folder.path()] {
        let error = Dataset::open(path).err().unwrap();
        assert_eq!(error.kind, Kind::BadInput);
        assert!(error.to_string().starts_with(&path.display().to_string()));
    }
}

proptest! {
    #[test]
    fn every_mark_leads_back_to_its_row_and_line(
        blanks in prop::collection::vec(0..3_usize, 1..40), crlf in any::<bool>(), end in any::<bool>(),
    ) {
        let line_end = if crlf { "\r\n" } else { "\n" };
        let (mut text, mut lines, mut line) = (String::new(), Vec::new(), 1);
        for (row, blank) in blanks.iter().enumerate() {
            text.push_str(&line_end.repeat(*blank));
            line += blank;
            lines.push(line);
            text.push_str(&format!("row {row},x{line_end}"));
            line += 1;
        }
        let text = if end { text.as_str() } else { text.trim_end() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agency-3.csv");
        std::fs::write(&path, text).unwrap();
        let mut dataset = Dataset::open(&path).unwrap();
        let mut marks = vec![dataset.start];
        while dataset.advance().unwrap() {
            marks.push(dataset.next_mark());
            let mark = dataset.mark();
            prop_assert_eq!(mark.row + 1, dataset.rows());
            marks.push(mark);
        }
        prop_assert_eq!(dataset.rows(), lines.len() as u64);
        for mark in marks.iter().rev() {
            dataset.return_to(mark).unwrap();
            if dataset.advance().unwrap() {
                let row = mark.row as usize;
                prop_assert_eq!(shown(&dataset), format!("row {row}|x"));
                let shown = dataset.error_at(Kind::Refused, &marks[0], mark.row, "bad").to_string();
                prop_assert_eq!(shown, format!("agency-3.csv:{}: bad", lines[row]));
            } else {
                prop_assert_eq!(mark.row, lines.len() as u64);
            }
        }
    }
}

#[test]
fn a_line_that_says_so_ends_the_file() {
    let row = "Ana,Paz,1,2000-01-01,7\n";
    for end in ["#cierre\n", "#cierre", " #cierre \r\n\r\n\n"] {
        assert_eq!(rows(format!("{row}{end}").as_bytes()).unwrap().len(), 1, "{end:?}");
        assert_eq!(rows(end.as_bytes()).unwrap().len(), 0, "{end:?}");
    }
    let more = rows(format!("{row}#cierre\n\n{row}").as_bytes()).unwrap_err();
    assert_eq!(more, "agency-3.csv:4: more follows the line #cierre, which ends the file");
    for other in ["#cierre,\n", "\"#cierre\",x\n", "#Cierre\n", "cierre\n"] {
        assert_eq!(rows(format!("{row}{other}").as_bytes()).unwrap().len(), 2, "{other:?}");
    }
}

#[test]
fn a_file_that_grows_gives_its_rows_as_they_are_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agency-3.csv");
    assert!(Dataset::follow(&path, false).unwrap().is_none());
    let append = |text: &str| {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        std::io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
    };
    append("\u{feff}nombre,apellido,dni,nacimiento,num");
    assert!(Dataset::follow(&path, false).unwrap().is_none(), "its first line has no end");
    append("ero\nAna,Paz,1,2000-01-01,7\nJos");
    let mut dataset = Dataset::follow(&path, false).unwrap().unwrap();
    assert!(dataset.advance().unwrap() && shown(&dataset) == "Ana|Paz|1|2000-01-01|7");
    let mark = dataset.mark();
    assert!(!dataset.advance().unwrap() && !dataset.is_over());
    append("é,Ñandú,2,2000-01-01,8\r");
    assert!(!dataset.advance().unwrap());
    append("\n\n\"O\"\"Hara\",Paz,3,2000-01-01,9\n");
    assert!(dataset.advance().unwrap() && shown(&dataset) == "José|Ñandú|2|2000-01-01|8");
    assert!(dataset.advance().unwrap() && shown(&dataset) == "O\"Hara|Paz|3|2000-01-01|9");
    assert_eq!((dataset.rows(), dataset.advance().unwrap()), (3, false));
    dataset.return_to(&mark).unwrap();
    assert!(dataset.advance().unwrap() && shown(&dataset) == "Ana|Paz|1|2000-01-01|7");
    append("#cierre\n");
    assert!(dataset.advance().unwrap() && dataset.advance().unwrap() && !dataset.advance().unwrap());
    assert!(dataset.is_over() && !dataset.advance().unwrap());
    assert_eq!((dataset.rows(), dataset.shown() == dataset.size()), (3, true));
    append("Eva,Sosa,4,2000-01-01,1\n");
    assert!(!dataset.advance().unwrap(), "it was over before");
}

#[test]
fn nothing_may_follow_the_end_of_a_file_that_grows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agency-3.csv");
    for rest in ["Eva,So", "Eva,Sosa,4,2000-01-01,1\n"] {
        std::fs::write(&path, format!("Ana,Paz,1,2000-01-01,7\n#cierre\n{rest}")).unwrap();
        let mut dataset = Dataset::follow(&path, false).unwrap().unwrap();
        assert!(dataset.advance().unwrap());
        let error = dataset.advance().unwrap_err().to_string();
        assert!(error.starts_with("agency-3.csv:3: more follows the line #cierre"), "{error}");
    }
}
