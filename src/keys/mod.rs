//! `quiniela keys`: the authority of a lottery in which every party proves who it is, and a folder for each party.

mod authority;
mod certificate;
mod folder;
mod issued;
mod parties;
mod show;

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Subcommand, ValueHint};
use rustls_pki_types::ServerName;

use crate::config::whole_number;
use crate::domain::{AgencyId, MAX_AGENCIES, Role};
use crate::error::{Error, Result};
use crate::output::{object, print};
use certificate::Certificate;
use issued::Serial;
use parties::{Terms, Which};
pub use parties::{flag_of, folder_of};

/// No certificate may last longer than the authority.
const MAX_DAYS: u32 = 3650;
/// Unless it is said otherwise.
const DAYS: u32 = 397;

/// Makes, renews and revokes the certificates of a lottery in which every party proves who it is.
///
/// DIR holds the authority in ca/, and a folder for each party: central/, agency-1/, …, operator/. A party needs its own
/// folder alone. See docs/SECURITY.md.
///
/// Example: quiniela keys init --agencies 5 DIR
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,

    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Makes an authority, and a folder with a key and a certificate for each party.
    ///
    /// Example: quiniela keys init --agencies 5 --server-name central.example.org DIR
    Init {
        /// Folder of the keys; created if it is missing
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        /// Agencies, 1 to N
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = whole_number(1..=MAX_AGENCIES))]
        agencies: u32,
        #[command(flatten)]
        hosts: Hosts,
        #[command(flatten)]
        lifetime: Lifetime,
        /// Replace all keys and certificates that are there, and remove those of agencies behind the last
        #[arg(long)]
        force: bool,
    },
    /// Makes a key that stays here, and a request to have it certified.
    ///
    /// Example: quiniela keys request --agency 7 DIR
    #[command(group = ArgGroup::new("which").required(true))]
    Request {
        /// Folder of key.pem and request.pem; created if it is missing
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        #[command(flatten)]
        party: Party,
        /// Replace a key and a request that are there
        #[arg(long)]
        force: bool,
    },
    /// Answers a request with a certificate. The flag says for whom, and nothing in the request does.
    ///
    /// Example: quiniela keys sign DIR request.pem --agency 7
    #[command(group = ArgGroup::new("which").required(true))]
    Sign {
        #[command(flatten)]
        issue: Issue,
        /// File that quiniela keys request has made, or openssl req
        #[arg(value_hint = ValueHint::FilePath)]
        request: PathBuf,
    },
    /// Gives a party a new key and a new certificate. The old one stays valid until it is revoked.
    ///
    /// A party that has none yet gets its first. Without --server-name, the central's certificate names the hosts that it
    /// named before.
    ///
    /// Example: quiniela keys renew DIR --agency 7
    #[command(group = ArgGroup::new("which").required(true))]
    Renew {
        #[command(flatten)]
        issue: Issue,
    },
    /// Revokes all certificates that a party has so far, or one of them.
    ///
    /// Example: quiniela keys revoke DIR --agency 7
    #[command(group = ArgGroup::new("which").required(true))]
    Revoke {
        /// Folder of the keys
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        #[command(flatten)]
        party: Party,
        /// The certificate with this serial number
        #[arg(long, value_name = "SERIAL", group = "which", value_parser = |text: &str| text.parse::<Serial>())]
        serial: Option<Serial>,
    },
    /// Tells every certificate that was made: whose it is, from when and until when, and whether it is revoked.
    ///
    /// Example: quiniela keys show DIR
    Show {
        /// Folder of the keys, or of one party
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
}

/// A certificate that is to be made.
#[derive(clap::Args, Clone, Debug)]
struct Issue {
    /// Folder of the keys
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    #[command(flatten)]
    party: Party,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    lifetime: Lifetime,
}

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
struct Party {
    /// Agency ID
    #[arg(long, value_name = "ID", group = "which", value_parser = whole_number(1..=MAX_AGENCIES))]
    agency: Option<u32>,
    /// The central
    #[arg(long, group = "which")]
    central: bool,
    /// The operator, who may ask for the status and hold a draw
    #[arg(long, group = "which")]
    operator: bool,
}

#[derive(clap::Args, Clone, Debug)]
struct Hosts {
    /// Host name or IP address of the central, as agencies reach it; localhost, 127.0.0.1, ::1 and server need no saying.
    /// Can be given several times
    #[arg(long = "server-name", value_name = "NAME", value_parser = server_name)]
    server_names: Vec<String>,
}

#[derive(clap::Args, Clone, Debug)]
struct Lifetime {
    /// Days that certificates are valid, but no longer than the authority
    #[arg(long, value_name = "N", default_value_t = DAYS, value_parser = whole_number(1..=MAX_DAYS))]
    days: u32,
}

pub fn run(args: &Args) -> Result<()> {
    let done = match &args.command {
        Command::Init { dir, agencies, hosts, lifetime, force } => {
            parties::init(dir, *agencies, &terms(hosts, lifetime, Role::Central)?, *force)
        }
        Command::Request { dir, party, force } => parties::request(dir, party.role(), *force),
        Command::Sign { issue, request } => parties::sign(&issue.dir, request, issue.party.role(), &issue.terms()?),
        Command::Renew { issue } => parties::renew(&issue.dir, issue.party.role(), &issue.terms()?),
        Command::Revoke { dir, party, serial } => {
            let which = serial.clone().map_or_else(|| Which::Party(party.role()), Which::Serial);
            parties::revoke(dir, &which)
        }
        Command::Show { dir } => return print(show::show(dir, args.json)?),
    }?;
    print(if args.json { object(&done.json)? } else { done.text })
}

/// Makes the keys of a lottery with so many agencies in a folder that has none, for a central on this machine or in Docker
/// Compose, and at these hosts. Returns what a person should know of them.
pub fn init(dir: &Path, agencies: u32, hosts: &[String]) -> Result<String> {
    parties::init(dir, agencies, &Terms { hosts, days: DAYS }, false).map(|done| done.text)
}

/// The hosts that the central's certificate names, of the keys in this folder.
pub fn hosts_of_central(dir: &Path) -> Result<Vec<String>> {
    let path = dir.join(folder_of(Role::Central)).join("cert.pem");
    let certificate = Certificate::read(&folder::read(&path)?).map_err(|why| Error::bad_path(&path, why))?;
    Ok(certificate.hosts)
}

fn terms<'a>(hosts: &'a Hosts, lifetime: &Lifetime, role: Role) -> Result<Terms<'a>> {
    if role != Role::Central && !hosts.server_names.is_empty() {
        return Err(Error::bad_input(
            "--server-name: only the central's certificate names hosts: give it with --central",
        ));
    }
    Ok(Terms { hosts: &hosts.server_names, days: lifetime.days })
}

impl Issue {
    fn terms(&self) -> Result<Terms<'_>> {
        terms(&self.hosts, &self.lifetime, self.party.role())
    }
}

impl Party {
    /// The command line has exactly one of them, or none beside `--serial`.
    fn role(&self) -> Role {
        match self.agency {
            Some(id) => Role::Agency(AgencyId(id)),
            None if self.operator => Role::Operator,
            None => Role::Central,
        }
    }
}

fn server_name(text: &str) -> Result<String, String> {
    let name = ServerName::try_from(text).map_err(|_| "allowed is a host name or an IP address".to_owned())?;
    Ok(name.to_str().into_owned())
}
