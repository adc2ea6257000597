//! The winners, found by one pass over `bets.csv` and kept in a nameless file: they follow from the bets and the drawn
//! number, so nothing of them has to survive a restart, and however many they are they take no memory.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use memchr::memrchr;
use parking_lot::Mutex;
use tempfile::SpooledTempFile;

use super::disk::{Folder, Medium};
use super::rows::WinnerFinder;
use crate::domain::AgencyId;

/// A document's place in the file: documents have at most 32 bytes, and shorter ones are padded with zeros.
const SLOT: usize = 32;
/// A winner before it is put in its place: the agency, then the document.
const FOUND: usize = 4 + SLOT;
const CHUNK: usize = 256 * 1024;
/// Winners are few, as a rule: up to so many bytes of them never reach the disk.
const IN_MEMORY: usize = 256 * 1024;
/// Documents gathered in memory before they are written to their agencies' places.
const GATHERED: usize = 1024 * 1024;

/// Each agency's winners, in the order in which their bets were stored.
pub struct Winners {
    spans: BTreeMap<AgencyId, Span>,
    documents: Mutex<SpooledTempFile>,
}

/// A page of a winners list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Winners in all.
    pub total: u64,
    /// The documents of this page, joined by commas.
    pub documents: String,
    /// Whether the page reaches the end of the list.
    pub is_last: bool,
}

#[derive(Clone, Copy, Default)]
struct Span {
    first: u64,
    count: u64,
}

impl Winners {
    /// Reads the committed part of `bets.csv` once.
    pub fn find(folder: &dyn Folder, bets: &dyn Medium, length: u64, winning_number: u32) -> io::Result<Winners> {
        let mut spans: BTreeMap<AgencyId, Span> = BTreeMap::new();
        let finder = WinnerFinder::new(winning_number);
        let mut found = BufWriter::new(folder.scratch(IN_MEMORY));
        for_each_chunk(bets, 0, length, |rows| {
            finder.winners(rows).try_for_each(|(agency, document)| {
                spans.entry(agency).or_default().count += 1;
                let mut record = [0; FOUND];
                record[..4].copy_from_slice(&agency.0.to_be_bytes());
                let place = record[4..].get_mut(..document.len());
                place.ok_or_else(|| io::Error::other("a document has more than 32 bytes"))?.copy_from_slice(document);
                found.write_all(&record)
            })
        })?;
        let mut first = 0;
        for span in spans.values_mut() {
            span.first = first;
            first += span.count;
        }
        let found = found.into_inner().map_err(io::IntoInnerError::into_error)?;
        let documents = group(found, &spans, folder.scratch(IN_MEMORY))?;
        Ok(Winners { spans, documents: Mutex::new(documents) })
    }

    pub fn total(&self) -> u64 {
        self.spans.values().map(|span| span.count).sum()
    }

    /// The documents from place `from` on, as many as fit into so many bytes.
    pub fn page(&self, agency: AgencyId, from: u64, max_bytes: usize) -> io::Result<Page> {
        let span = self.spans.get(&agency).copied().unwrap_or_default();
        let from = from.min(span.count);
        // No document is shorter than a byte and a comma, so more than this cannot fit.
        let wanted = (span.count - from).min(max_bytes as u64 / 2 + 1);
        let mut slots = vec![0; wanted as usize * SLOT];
        {
            let mut documents = self.documents.lock();
            documents.seek(SeekFrom::Start((span.first + from) * SLOT as u64))?;
            documents.read_exact(&mut slots)?;
        }
        let mut page = Page { total: span.count, documents: String::new(), is_last: true };
        for slot in slots.chunks(SLOT) {
            let text = slot.split(|byte| *byte == 0).next().unwrap_or_default();
            let document = str::from_utf8(text).map_err(io::Error::other)?;
            let comma = if page.documents.is_empty() { "" } else { "," };
            if page.documents.len() + comma.len() + document.len() > max_bytes {
                page.is_last = false;
                return Ok(page);
            }
            page.documents.push_str(comma);
            page.documents.push_str(document);
        }
        page.is_last = from + wanted == span.count;
        Ok(page)
    }
}

/// Puts each agency's documents side by side.
fn group(
    mut found: SpooledTempFile,
    spans: &BTreeMap<AgencyId, Span>,
    mut documents: SpooledTempFile,
) -> io::Result<SpooledTempFile> {
    let mut next: BTreeMap<AgencyId, u64> = spans.iter().map(|(agency, span)| (*agency, span.first)).collect();
    found.rewind()?;
    let mut left = spans.values().map(|span| span.count).sum::<u64>();
    let mut buffer = vec![0; GATHERED / FOUND * FOUND];
    while left > 0 {
        let records = left.min((buffer.len() / FOUND) as u64);
        let bytes = &mut buffer[..records as usize * FOUND];
        found.read_exact(bytes)?;
        left -= records;
        let mut gathered: BTreeMap<AgencyId, Vec<u8>> = BTreeMap::new();
        for (agency, document) in bytes.chunks(FOUND).filter_map(|record| record.split_first_chunk::<4>()) {
            gathered.entry(AgencyId(u32::from_be_bytes(*agency))).or_default().extend_from_slice(document);
        }
        for (agency, slots) in gathered {
            let place = next.entry(agency).or_default();
            documents.seek(SeekFrom::Start(*place * SLOT as u64))?;
            documents.write_all(&slots)?;
            *place += (slots.len() / SLOT) as u64;
        }
    }
    Ok(documents)
}

/// Reads a part of `bets.csv` that starts and ends at rows' ends, and hands it on in pieces of whole rows.
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
    use crate::domain::{Bet, Rows};
    use crate::ledger::disk::RealFolder;

    /// `bets` are pairs of agency and number; documents count up from 0.
    fn winners_of(bets: impl Iterator<Item = (u32, u32)>) -> Winners {
        let mut text = Vec::new();
        for (document, (agency, number)) in bets.enumerate() {
            let (document, number) = (document.to_string(), number.to_string());
            let bet = Bet::new(["Ana", "Paz", &document, "2000-01-01", &number]).unwrap();
            let mut rows = Rows::new(AgencyId(agency));
            rows.push(&bet);
            text.extend_from_slice(rows.bytes());
        }
        let folder = tempfile::tempdir().unwrap();
        let folder = RealFolder::open(folder.path()).unwrap();
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &text, 0).unwrap();
        Winners::find(&folder, &file, text.len() as u64, 7).unwrap()
    }

    #[test]
    fn each_agency_gets_its_own_in_order() {
        let winners = winners_of([(2, 7), (1, 7), (2, 8), (2, 7), (1, 77), (3, 8)].into_iter());
        let documents = |agency| winners.page(AgencyId(agency), 0, 100).unwrap().documents;
        assert_eq!([documents(1), documents(2), documents(3)], ["1", "0,3", ""]);
        assert_eq!(winners.total(), 3);
    }

    #[test]
    fn pages_of_any_size_make_the_whole_list() {
        let winners = winners_of((0..70_000).map(|bet| (1 + bet % 3, 7)));
        for max_bytes in [7, 100, 8000] {
            let (mut documents, mut from) = (Vec::new(), 0);
            loop {
                let page = winners.page(AgencyId(2), from, max_bytes).unwrap();
                assert!(page.documents.len() <= max_bytes);
                assert_eq!(page.total, 23_333);
                documents.extend(page.documents.split(',').map(|document| document.parse::<u32>().unwrap()));
                from = documents.len() as u64;
                if page.is_last {
                    break;
                }
            }
            assert!(documents.into_iter().eq((1..70_000).step_by(3)));
        }
        let past_the_end = winners.page(AgencyId(2), 23_333, 100).unwrap();
        assert_eq!(past_the_end, Page { total: 23_333, documents: String::new(), is_last: true });
    }
}
