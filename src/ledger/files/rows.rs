//! Reads the rows of `bets.csv`.

use std::io;

use memchr::memrchr;

use super::disk::{CHUNK, Medium};

/// Reads a part of `bets.csv` that holds whole rows, and passes it on in pieces that hold whole rows too.
pub fn for_each_chunk(
    bets: &dyn Medium,
    start: u64,
    end: u64,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let (mut offset, mut kept) = (start, 0);
    while offset < end {
        let room = (end - offset).min((buffer.len() - kept) as u64) as usize;
        bets.read_exact_at(&mut buffer[kept..kept + room], offset)?;
        offset += room as u64;
        let filled = kept + room;
        let whole = memrchr(b'\n', &buffer[..filled]).map_or(0, |line_feed| line_feed + 1);
        if whole == 0 && filled == buffer.len() {
            return Err(io::Error::other(format!("the row before byte {offset} has no end")));
        }
        take(&buffer[..whole])?;
        buffer.copy_within(whole..filled, 0);
        kept = filled - whole;
    }
    if kept > 0 { Err(io::Error::other(format!("the row before byte {end} has no end"))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn pieces_hold_whole_rows_and_make_up_the_part_that_was_asked_for() {
        let row = |number: usize| format!("3,{},{number}\r\n", "x".repeat(number % 199)).into_bytes();
        let bytes: Vec<u8> = (0..9000).flat_map(row).collect();
        assert!(bytes.len() > 3 * CHUNK);
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let pieces = |start: usize, end: usize| {
            let mut pieces: Vec<Vec<u8>> = Vec::new();
            for_each_chunk(&file, start as u64, end as u64, |rows| {
                pieces.push(rows.to_vec());
                Ok(())
            })
            .map(|()| pieces)
        };
        let (first, last) = (row(0).len(), row(8999).len());
        for (start, end) in [(0, bytes.len()), (first, bytes.len() - last), (0, first), (first, first)] {
            let pieces = pieces(start, end).unwrap();
            assert!(pieces.iter().all(|piece| piece.ends_with(b"\n")));
            assert!(pieces.concat() == bytes[start..end], "{start} to {end}");
        }
        assert!(pieces(0, bytes.len() - 1).is_err(), "its last row has no end");
    }

    #[test]
    fn a_row_without_an_end_is_no_reason_to_read_for_ever() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![b'x'; 2 * CHUNK], 0).unwrap();
        let error = for_each_chunk(&file, 0, 2 * CHUNK as u64, |_| panic!("there is no row")).unwrap_err();
        assert_eq!(error.to_string(), format!("the row before byte {CHUNK} has no end"));
    }
}
