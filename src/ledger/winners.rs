//! The winners, found by one pass over the bets. They are kept in a nameless file, so that any number of them takes little
//! memory. They need not survive a restart, since they follow from the bets and the drawn number.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use parking_lot::Mutex;
use tempfile::SpooledTempFile;

use crate::domain::AgencyId;

/// Bytes of a document in the file: documents have at most 32 bytes, and shorter ones are padded with zeros.
const SLOT: usize = 32;
/// Bytes of a winner before winners are sorted by agency: the agency's number, then the document.
const FOUND: usize = 4 + SLOT;
/// Bytes of winners that are sorted in memory at once.
const GATHERED: usize = 1024 * 1024;

/// Each agency's winners, in the order in which their bets were stored.
pub struct Winners {
    spans: BTreeMap<AgencyId, Span>,
    documents: Mutex<SpooledTempFile>,
}

/// A page of a winners list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Winners of the agency in all.
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

/// Winners in the order in which they are found, not yet sorted by agency.
pub struct Found {
    spans: BTreeMap<AgencyId, Span>,
    records: BufWriter<SpooledTempFile>,
}

impl Found {
    pub fn add(&mut self, agency: AgencyId, document: &[u8]) -> io::Result<()> {
        self.spans.entry(agency).or_default().count += 1;
        let mut record = [0; FOUND];
        record[..4].copy_from_slice(&agency.0.to_be_bytes());
        let place = record[4..].get_mut(..document.len());
        place.ok_or_else(|| io::Error::other("a document has more than 32 bytes"))?.copy_from_slice(document);
        self.records.write_all(&record)
    }
}

impl Winners {
    /// Winners are usually few, so up to this many bytes of them stay in memory.
    pub const IN_MEMORY: usize = 256 * 1024;

    /// Collects the winners that `find` adds, in the order in which their bets were stored. `scratch` makes nameless files.
    pub fn collect(
        scratch: impl Fn() -> SpooledTempFile,
        find: impl FnOnce(&mut Found) -> io::Result<()>,
    ) -> io::Result<Winners> {
        let mut found = Found { spans: BTreeMap::new(), records: BufWriter::new(scratch()) };
        find(&mut found)?;
        let Found { mut spans, records } = found;
        let mut first = 0;
        for span in spans.values_mut() {
            span.first = first;
            first += span.count;
        }
        let records = records.into_inner().map_err(io::IntoInnerError::into_error)?;
        let documents = group(records, &spans, scratch())?;
        Ok(Winners { spans, documents: Mutex::new(documents) })
    }

    pub fn total(&self) -> u64 {
        self.spans.values().map(|span| span.count).sum()
    }

    /// How many of the agency's bets have won.
    pub fn count(&self, agency: AgencyId) -> u64 {
        self.spans.get(&agency).map_or(0, |span| span.count)
    }

    /// The agency's documents from place `from` on, as many as fit into `max_bytes`.
    pub fn page(&self, agency: AgencyId, from: u64, max_bytes: usize) -> io::Result<Page> {
        let span = self.spans.get(&agency).copied().unwrap_or_default();
        let from = from.min(span.count);
        // A document and its comma take two bytes at least, so more documents than this cannot fit.
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

/// Sorts the winners by agency, so that each agency's documents are contiguous.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `bets` are pairs of agency and whether it has won; documents count up from 0.
    fn winners_of(bets: impl Iterator<Item = (u32, bool)>) -> Winners {
        let find = |found: &mut Found| {
            let winners = bets.enumerate().filter(|(_, (_, has_won))| *has_won);
            winners
                .into_iter()
                .try_for_each(|(document, (agency, _))| found.add(AgencyId(agency), document.to_string().as_bytes()))
        };
        Winners::collect(|| tempfile::spooled_tempfile(Winners::IN_MEMORY), find).unwrap()
    }

    #[test]
    fn each_agency_gets_its_own_in_order() {
        let winners = winners_of([(2, true), (1, true), (2, false), (2, true), (1, false), (3, false)].into_iter());
        let documents = |agency| winners.page(AgencyId(agency), 0, 100).unwrap().documents;
        assert_eq!([documents(1), documents(2), documents(3)], ["1", "0,3", ""]);
        assert_eq!(winners.total(), 3);
    }

    #[test]
    fn pages_of_any_size_make_the_whole_list() {
        let winners = winners_of((0..70_000).map(|bet| (1 + bet % 3, true)));
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

    #[test]
    fn a_page_holds_as_many_as_fit() {
        let winners = winners_of((0..10).map(|_| (1, true)));
        for (max_bytes, documents) in [(0, ""), (1, "0"), (2, "0"), (3, "0,1"), (7, "0,1,2,3"), (8, "0,1,2,3")] {
            let page = winners.page(AgencyId(1), 0, max_bytes).unwrap();
            assert_eq!((page.documents.as_str(), page.is_last), (documents, false), "{max_bytes} bytes");
        }
        assert!(winners.page(AgencyId(1), 0, 19).unwrap().is_last);
    }

    #[test]
    fn the_longest_document_is_kept_whole_and_a_longer_one_is_refused() {
        let longest = "9".repeat(SLOT);
        let collect = |document: &str| {
            let find = |found: &mut Found| found.add(AgencyId(1), document.as_bytes());
            Winners::collect(|| tempfile::spooled_tempfile(Winners::IN_MEMORY), find)
        };
        assert_eq!(collect(&longest).unwrap().page(AgencyId(1), 0, 100).unwrap().documents, longest);
        assert!(collect(&"9".repeat(SLOT + 1)).is_err());
    }
}
