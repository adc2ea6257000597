//! The kinds of bad peers. Each attack is short, and may fail at any step: the central may have closed the connection.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use rustls::ClientConfig;
use socket2::{Domain, SockRef, Socket, Type};

use crate::common::client::{Client, frame};
use crate::common::keys::Place;
use crate::common::tls::{self, Spec};

/// What an attacker knows of a central, and its random choices.
pub struct Attacker {
    pub rng: Rng,
    pub port: u16,
    pub arms: Arc<Arms>,
}

/// What attackers show over TLS.
pub struct Arms {
    /// A certificate of this lottery, for an agency that does not take part.
    stranger: Arc<ClientConfig>,
    nobody: Arc<ClientConfig>,
    /// By another authority of the same name, for agency 1.
    forged: Arc<ClientConfig>,
}

pub type Attack = fn(&mut Attacker) -> io::Result<()>;

/// Every kind, and whether it speaks TLS.
pub const KINDS: [(&str, bool, Attack); 28] = [
    ("a huge length", false, |peer| peer.say(&[&[0xff; 4][..], &[b'x'; 2000]].concat())),
    ("a length of zero", false, |peer| peer.say(&[0; 64])),
    ("a frame that dribbles", false, Attacker::dribble),
    ("a batch that nobody ends", false, Attacker::endless_batch),
    ("a line that nobody ends", false, Attacker::endless_line),
    ("replies that nobody reads", false, |peer| peer.never_read(None)),
    ("a reset in a frame", false, |peer| peer.reset()),
    ("a flood of connections", false, Attacker::flood),
    ("HELLO for foreign agencies", false, |peer| peer.ask(&["HELLO|0", "HELLO|9", "HELLO|65535|+", "HELLO|99999"])),
    ("DONE for foreign agencies", false, |peer| peer.ask(&["DONE|9", "DONE|0", "DONE|4|0|00", "DONE|-1"])),
    ("text that is not UTF-8", false, |peer| peer.say(&[&[0, 0, 0, 17][..], b"BET|1|\xff\xfe|\xc3|1|x\n"].concat())),
    ("garbage in the other dialect", false, |peer| {
        peer.ask(&["AGENCY_ID=1,NOMBRE=,,=,DOCUMENTO=", "AGENCY_ID=x,NOMBRE=A"])
    }),
    ("half of a frame, and no more", false, Attacker::half_closed),
    ("waiting, and much behind it", false, Attacker::wait_and_pipeline),
    ("bets that are none", false, |peer| {
        peer.ask(&["BET|1|Ana|Paz|1|2001-02-30|7", "BATCH|1|2\nx|y\n", "BATCH|2|431"])
    }),
    ("batches of a far place", false, |peer| peer.ask(&["BATCH|1|1|99999999\nAna|Paz|1|2000-01-01|7"])),
    ("orders of an operator", false, Attacker::orders),
    ("frames of random text", false, Attacker::random_text),
    ("lines to the echo", false, |peer| peer.say(b"hola\n")),
    ("half a hello", true, Attacker::half_hello),
    ("garbage behind a hello", true, Attacker::garbage_behind_hello),
    ("plain, then TLS", true, |peer| peer.say(&[frame("HELLO|1\n"), tls::hello(&peer.arms.stranger)].concat())),
    ("TLS, then plain", true, Attacker::tls_then_plain),
    ("no certificate", true, |peer| peer.over(|arms| &arms.nobody, &["HELLO|1"])),
    ("another authority", true, |peer| peer.over(|arms| &arms.forged, &["HELLO|1", "DONE|1"])),
    ("replies over TLS that nobody reads", true, |peer| peer.never_read(Some(Arc::clone(&peer.arms.stranger)))),
    ("another's name", true, |peer| {
        peer.over(|arms| &arms.stranger, &["DONE|1", "BATCH|2|1\nAna|Paz|1|2000-01-01|7", "GET_WINNERS|1", "STATUS"])
    }),
    ("a record of a huge length", true, |peer| peer.say(&[&[0x16, 3, 3, 0xff, 0xff][..], &[0; 500]].concat())),
];

impl Arms {
    pub fn new(place: &Place, stranger: &str) -> Arc<Arms> {
        let signer = place.signer();
        let forged = signer.namesake().issue(&Spec { uris: vec!["urn:quiniela:agency:1"], ..Spec::default() });
        let nobody = tls::client(&signer.cert, None);
        Arc::new(Arms { stranger: place.party(stranger), nobody, forged: tls::client(&signer.cert, Some(&forged)) })
    }
}

impl Attacker {
    /// From one of four addresses, none of which an honest agency has. No wait of it is long.
    fn connect(&mut self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, self.rng.u8(2..6)], 0)).into())?;
        socket.connect_timeout(&SocketAddr::from(([127, 0, 0, 1], self.port)).into(), Duration::from_secs(1))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        socket.set_write_timeout(Some(Duration::from_millis(200)))?;
        Ok(socket.into())
    }

    fn pause(&mut self) {
        thread::sleep(Duration::from_millis(self.rng.u64(1..20)));
    }

    /// Says it, and reads until the central closes the connection or says no more.
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.connect()?;
        stream.write_all(bytes)?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }

    fn ask(&mut self, requests: &[&str]) -> io::Result<()> {
        let requests: Vec<Vec<u8>> = requests.iter().map(|request| frame(&format!("{request}\n"))).collect();
        self.say(&requests.concat())
    }

    fn dribble(&mut self) -> io::Result<()> {
        let mut stream = self.connect()?;
        for byte in &frame("BET|1|Ana|Paz|1|2000-01-01|7\n")[..20] {
            stream.write_all(&[*byte])?;
            self.pause();
        }
        Ok(())
    }

    fn endless_batch(&mut self) -> io::Result<()> {
        let row = frame(&"Ana|Paz|1|2000-01-01|7574\n".repeat(200));
        let mut begin = || {
            let mut stream = self.connect()?;
            stream.write_all(&[frame("BATCH|1|430\n"), row.clone()].concat()).map(|()| stream)
        };
        let open: Vec<_> = (0..20).map(|_| begin()).collect();
        self.pause();
        drop(open);
        Ok(())
    }

    fn endless_line(&mut self) -> io::Result<()> {
        let mut stream = self.connect()?;
        (0..64).try_for_each(|_| stream.write_all(&[b'x'; 1000]))
    }

    fn never_read(&mut self, config: Option<Arc<ClientConfig>>) -> io::Result<()> {
        let mut stream = self.connect()?;
        SockRef::from(&stream).set_recv_buffer_size(4096)?;
        let requests = frame("HELLO|1\n").repeat(2000);
        let Some(config) = config else { return (0..20).try_for_each(|_| stream.write_all(&requests)) };
        let mut connection = tls::connection(&config);
        tls::shake(&mut connection, &mut stream)?;
        let mut client = Client::over(connection, stream);
        (0..20).try_for_each(|_| client.try_send(&requests))
    }

    fn reset(&mut self) -> io::Result<()> {
        let mut stream = self.connect()?;
        let request = frame("BATCH|1|100\nAna|Paz|1|2000-01-01|7574\n");
        stream.write_all(&request[..self.rng.usize(1..request.len())])?;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))
    }

    fn flood(&mut self) -> io::Result<()> {
        let open: Vec<_> = (0..100).map(|_| self.connect()).collect();
        self.pause();
        drop(open);
        Ok(())
    }

    fn half_closed(&mut self) -> io::Result<()> {
        let mut stream = self.connect()?;
        stream.write_all(&frame("HELLO|1\n")[..9])?;
        stream.shutdown(std::net::Shutdown::Write)?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }

    fn wait_and_pipeline(&mut self) -> io::Result<()> {
        let mut stream = self.connect()?;
        stream.write_all(&[frame("WAIT_DRAW|1\n"), frame("GET_WINNERS|1\n").repeat(400)].concat())?;
        self.pause();
        stream.write_all(&frame("WAIT_SEAL|2\n").repeat(400))
    }

    fn orders(&mut self) -> io::Result<()> {
        let guess: String = (0..64).map(|_| self.rng.digit(16)).collect();
        self.ask(&["STATUS", &format!("HOLD_DRAW|1|{guess}|{guess}"), &format!("HOLD_DRAW|7574|{guess}|-")])
    }

    fn random_text(&mut self) -> io::Result<()> {
        let letters = b"BATCH|DONE|HELLO|WAIT_SEAL|1|2|0|,=\n\r;x\xc3\xb1\0";
        let length = self.rng.usize(1..4000);
        let text: Vec<u8> = (0..length).map(|_| letters[self.rng.usize(..letters.len())]).collect();
        // Nothing of it can be a bet: there is no date in it.
        self.say(&[&u32::to_be_bytes(length as u32)[..], &text].concat())
    }

    fn half_hello(&mut self) -> io::Result<()> {
        let hello = tls::hello(&self.arms.stranger);
        let mut stream = self.connect()?;
        stream.write_all(&hello[..self.rng.usize(1..hello.len())])?;
        self.pause();
        Ok(())
    }

    fn garbage_behind_hello(&mut self) -> io::Result<()> {
        let garbage: Vec<u8> = (0..3000).map(|_| self.rng.u8(..)).collect();
        self.say(&[tls::hello(&self.arms.stranger), garbage].concat())
    }

    fn tls_then_plain(&mut self) -> io::Result<()> {
        let mut stream = self.connect()?;
        let mut connection = tls::connection(&self.arms.stranger);
        tls::shake(&mut connection, &mut stream)?;
        stream.write_all(&frame("DONE|1\n"))?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }

    fn over(&mut self, who: fn(&Arms) -> &Arc<ClientConfig>, requests: &[&str]) -> io::Result<()> {
        let mut stream = self.connect()?;
        let mut connection = tls::connection(who(&self.arms));
        tls::shake(&mut connection, &mut stream)?;
        let mut client = Client::over(connection, stream);
        for request in requests {
            client.try_send(&frame(&format!("{request}\n")))?;
            let reply = String::from_utf8(client.try_content()?).unwrap();
            assert!(reply.contains("|ERR|"), "{request} in another's name: {reply}");
        }
        Ok(())
    }
}
