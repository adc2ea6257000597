//! Takes the winners, page by page.

use super::receipt::is_same_file;
use crate::config::LotteryTask;
use crate::domain::Hash;
use crate::domain::tree::Tree;
use crate::error::{Error, Result};
use crate::output::{WholeFile, check_replaceable};

/// Counts the winners and, with `--winners`, writes their documents to a file, one a line.
pub(super) struct WinnersOutput {
    /// A leaf for each document. It tells another list from this one, in memory that does not grow with the winners.
    received: Tree,
    file: Option<WholeFile>,
}

impl WinnersOutput {
    /// Fails now if the file cannot be written, and not after a long upload.
    pub(super) fn new(task: &LotteryTask) -> Result<WinnersOutput> {
        let Some(path) = &task.winners else { return Ok(WinnersOutput { received: Tree::default(), file: None }) };
        if is_same_file(path, &task.file) {
            let path = path.display();
            return Err(Error::bad_input(format!("--winners {path}: is the file of the agency's bets; give another")));
        }
        if !task.force {
            let is_document = |byte: &u8| byte.is_ascii_alphanumeric() || b".-\r\n".contains(byte);
            check_replaceable(path, "list of documents", |text| text.iter().all(is_document))?;
        }
        Ok(WinnersOutput { received: Tree::default(), file: Some(WholeFile::create(path)?) })
    }

    /// How many winners have come so far, which is also where the next page begins.
    pub(super) fn received(&self) -> u64 {
        self.received.leaves()
    }

    /// Whether these documents, a leaf each, are those that have come, and in this order.
    pub(super) fn are(&self, own: &Tree) -> bool {
        (own.leaves(), own.root()) == (self.received.leaves(), self.received.root())
    }

    /// Takes a page, documents joined by commas, and returns how many there were.
    pub(super) fn take(&mut self, page: &str) -> Result<u64> {
        let (mut count, mut lines) = (0, String::with_capacity(page.len() + 1));
        for document in page.split(',').filter(|document| !document.is_empty()) {
            count += 1;
            lines.extend([document, "\n"]);
            self.received.push(winner_leaf(document));
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write(lines.as_bytes()))?;
        Ok(count)
    }

    /// Makes the file appear under its name.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.file.take().map_or(Ok(()), WholeFile::finish)
    }
}

/// What stands for a winner in the list that is compared.
pub(super) fn winner_leaf(document: &str) -> Hash {
    Hash::of_leaf(&[document.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agency::testing::lottery;

    #[test]
    fn pages_become_lines_once_all_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("winners.txt");
        std::fs::write(&path, "30904465\n").unwrap();
        let task = LotteryTask { winners: Some(path.clone()), ..lottery(folder.path().join("agency-3.csv")) };
        let mut winners = WinnersOutput::new(&task).unwrap();
        assert_eq!(winners.take("1,2.a").unwrap(), 2);
        assert_eq!(winners.take("").unwrap(), 0);
        assert_eq!(winners.take("3").unwrap(), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "30904465\n");
        winners.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2.a\n3\n");
        assert_eq!(winners.received(), 3);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing is left beside it");
    }
}
