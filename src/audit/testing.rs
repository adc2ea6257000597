//! Closed lotteries made by naive code, and those who sign them, for tests alone.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SigningKey as _,
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use time::OffsetDateTime;

use super::AuditArgs;
use crate::config::DatabaseArgs;
use crate::domain::acta::{self, Acta, ActaDraw, ActaLine, FORMAT, Receipt, Signed, StoreSecrets};
use crate::domain::{Hash, LotteryId, Secret, Status};
use crate::error::{Error, Kind};

/// When the lotteries of tests are sealed, in seconds since 1970.
pub const SEALED_AT: u64 = 1_700_000_000;
pub const DRAWN_AT: u64 = SEALED_AT + 1000;
pub const NUMBER: u32 = 7;

/// A closed lottery.
#[derive(Clone)]
pub struct Lottery {
    /// All rows as the store has them, with their line ends.
    pub rows: Vec<String>,
    pub acta: Acta,
    pub secrets: StoreSecrets,
}

/// An authority, whose certificates are valid for ten years around the seal.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A party with a certificate.
pub struct Party {
    key: KeyPair,
    certificate: String,
}

impl AuditArgs {
    pub fn of(path: &Path) -> AuditArgs {
        let path = path.to_owned();
        AuditArgs {
            path,
            database: DatabaseArgs::default(),
            agency: None,
            data: None,
            receipt: None,
            ca: None,
            allow_unsigned: false,
            json: false,
        }
    }
}

impl Lottery {
    /// Of so many agencies. The bets of each are of several kinds, and the last agency has none.
    pub fn new(agencies: u32, bets: usize) -> Lottery {
        let row = |bet: usize| {
            let agency = if agencies == 1 { 1 } else { 1 + (bet * bet + bet / 3) as u32 % (agencies - 1) };
            let name = ["A", "A", "É", "A", "\"A, B\"", "A", "\"A\"\"\""][bet % 7];
            format!("{agency},{name},P,{bet},2000-01-01,{}\r\n", bet % 10)
        };
        let rows = (0..bets).map(row).collect();
        let (format, lottery) = (FORMAT, LotteryId(0x1234 << 100 | 0x5678));
        let secrets = StoreSecrets { format, lottery, secret: Secret([0xa5; 32]) };
        let line = |agency| ActaLine {
            agency,
            bets: 0,
            root: Hash([0; 32]),
            status: if agency % 2 == 0 { Status::Declared } else { Status::Undeclared },
            signed: None,
            winners: None,
        };
        let agencies = (1..=agencies).map(line).collect();
        let acta = Acta {
            format,
            lottery,
            agencies,
            total: 0,
            seal: Hash([0; 32]),
            sealed_at: SEALED_AT,
            signed: None,
            draw: Some(ActaDraw { number: NUMBER, later: false, drawn_at: DRAWN_AT, signed: None }),
        };
        Lottery { rows, acta, secrets }.sealed()
    }

    /// With the counts, roots, winners and seal that belong to its rows.
    pub fn sealed(mut self) -> Lottery {
        let number = self.acta.draw.as_ref().map(|draw| draw.number);
        for line in &mut self.acta.agencies {
            let of_agency = |row: &&String| row.split(',').next() == Some(&line.agency.to_string());
            let rows: Vec<&String> = self.rows.iter().filter(of_agency).collect();
            let won = |number: u32| rows.iter().filter(|row| row.ends_with(&format!(",{number}\r\n"))).count() as u64;
            line.bets = rows.len() as u64;
            line.winners = number.map(won);
            line.root = naive_root(&leaves(self.secrets.secret, line.agency, &rows));
        }
        self.acta.total = self.rows.len() as u64;
        self.acta.seal = naive_root(&line_leaves(&self.acta));
        self
    }

    pub fn not_drawn(mut self) -> Lottery {
        self.acta.draw = None;
        self.sealed()
    }

    /// Signed by everybody, with a number that came later.
    pub fn signed(mut self, authority: &Authority) -> Lottery {
        self.acta.agencies.iter_mut().for_each(|line| line.status = Status::Signed);
        if let Some(draw) = &mut self.acta.draw {
            draw.later = true;
        }
        let mut lottery = self.sealed();
        let acta = &mut lottery.acta;
        let id = acta.lottery;
        for line in &mut acta.agencies {
            let party = authority.party(&format!("urn:quiniela:agency:{}", line.agency));
            let (agency, bets, root) = (line.agency, line.bets, line.root);
            line.signed = Some(party.sign(&format!("quiniela acta v1 {id} {agency},{bets},{root}\n")));
        }
        acta.signed = Some(authority.party("urn:quiniela:central").sign(&seal_statement(acta)));
        let (seal, number) = (acta.seal, acta.draw.as_ref().map_or(0, |draw| draw.number));
        if let Some(draw) = &mut acta.draw {
            let statement = format!("quiniela sorteo v1 {id} {seal} {number}\n");
            draw.signed = Some(authority.party("urn:quiniela:operator").sign(&statement));
        }
        lottery
    }

    pub fn bets(&self) -> Vec<u8> {
        self.rows.concat().into_bytes()
    }

    /// What an agency got at the close.
    pub fn receipt(&self, agency: u32) -> Receipt {
        let line = &self.acta.agencies[agency as usize - 1];
        Receipt {
            format: FORMAT,
            lottery: self.acta.lottery,
            agency,
            secret: naive_secret(self.secrets.secret, agency),
            bets: line.bets,
            root: line.root,
            status: line.status,
            agencies: self.acta.agencies.len() as u32,
            total: self.acta.total,
            seal: self.acta.seal,
            sealed_at: self.acta.sealed_at,
            path: naive_path(&line_leaves(&self.acta), agency as usize - 1),
            signed: self.acta.signed.clone(),
        }
    }

    /// The agency's own file, as people write it.
    pub fn agency_file(&self, agency: u32) -> String {
        let own = self.rows.iter().filter_map(|row| row.strip_prefix(&format!("{agency},")));
        let own = own.map(|row| row.replace("\r\n", "\n").replace("2000-01-01,", "2000-01-01,00"));
        ["nombre,apellido,documento,nacimiento,numero\n".to_owned()].into_iter().chain(own).collect()
    }

    pub fn write(&self) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.put("bets.csv", &self.bets());
        folder.put("acta.json", acta::write(&self.acta).unwrap().as_bytes());
        folder.put("secrets.json", acta::write(&self.secrets).unwrap().as_bytes());
        folder
    }
}

pub struct Folder(TempDir);

impl Folder {
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }
}

pub fn seal_statement(acta: &Acta) -> String {
    let (id, agencies, total) = (acta.lottery, acta.agencies.len(), acta.total);
    format!("quiniela sello v1 {id} {agencies} {total} {} {}\n", acta.seal, acta.sealed_at)
}

fn hmac(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().into()
}

pub fn naive_secret(store: Secret, agency: u32) -> Secret {
    Secret(hmac(&store.0, format!("agency {agency}").as_bytes()))
}

fn leaves(store: Secret, agency: u32, rows: &[&String]) -> Vec<Vec<u8>> {
    let secret = naive_secret(store, agency);
    let salt = |place: u64| hmac(&secret.0, &place.to_be_bytes())[..16].to_vec();
    (0..).zip(rows).map(|(place, row)| [salt(place), row.as_bytes().to_vec()].concat()).collect()
}

fn line_leaves(acta: &Acta) -> Vec<Vec<u8>> {
    let line = |line: &ActaLine| format!("{},{},{},{}\n", line.agency, line.bets, line.root, line.status).into_bytes();
    acta.agencies.iter().map(line).collect()
}

/// As RFC 9162 defines it.
fn naive_root(leaves: &[Vec<u8>]) -> Hash {
    let hash = |pieces: &[&[u8]]| Hash(Sha256::digest(pieces.concat()).into());
    match leaves {
        [] => hash(&[]),
        [leaf] => hash(&[&[0], leaf]),
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            hash(&[&[1], &naive_root(left).0, &naive_root(right).0])
        }
    }
}

fn naive_path(leaves: &[Vec<u8>], place: usize) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, beside) = match place.checked_sub(left.len()) {
        None => (naive_path(left, place), naive_root(right)),
        Some(place) => (naive_path(right, place), naive_root(left)),
    };
    path.push(beside);
    path
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a lottery");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        (params.not_before, params.not_after) = (moment(-315_000_000), moment(315_000_000));
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn party(&self, uri: &str) -> Party {
        self.party_from_to(&[uri], -1000, 2000)
    }

    /// Valid in these seconds around the seal.
    pub fn party_from_to(&self, uris: &[&str], from: i64, to: i64) -> Party {
        let mut params = CertificateParams::default();
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        (params.not_before, params.not_after) = (moment(from), moment(to));
        params.extended_key_usages = vec![if uris.contains(&"urn:quiniela:central") {
            ExtendedKeyUsagePurpose::ServerAuth
        } else {
            ExtendedKeyUsagePurpose::ClientAuth
        }];
        let key = KeyPair::generate().unwrap();
        let certificate = STANDARD.encode(params.signed_by(&key, &self.0).unwrap().der());
        Party { key, certificate }
    }
}

impl Party {
    pub fn sign(&self, statement: &str) -> Signed {
        let signature = STANDARD.encode(self.key.sign(statement.as_bytes()).unwrap());
        Signed { signature: format!("ECDSA_NISTP256_SHA256:{signature}"), certificates: vec![self.certificate.clone()] }
    }
}

fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(SEALED_AT as i64 + seconds).unwrap()
}

/// A folder with the store, the agencies' files and receipts, and the authority's certificate.
pub fn folder(lottery: &Lottery, authority: &Authority) -> Folder {
    let folder = lottery.write();
    for line in &lottery.acta.agencies {
        let agency = line.agency;
        folder.put(&format!("agency-{agency}.csv"), lottery.agency_file(agency).as_bytes());
        folder.put(&format!("receipt-{agency}.json"), acta::write(&lottery.receipt(agency)).unwrap().as_bytes());
    }
    folder.put("ca.pem", authority.pem().as_bytes());
    folder
}

#[track_caller]
pub fn is_refused<T>(result: Result<T, Error>, what: &str) -> String {
    let error = result.err().unwrap_or_else(|| panic!("{what}: it was not found"));
    assert_eq!(error.kind, Kind::Storage, "{what}: {error}");
    error.to_string()
}
