//! The dialect of keys and values from a plain socket, beside our own requests, on one port.

use std::fs;

use crate::common::{Central, Client, Folder, tells, value};

const ANA: &str = "AGENCY_ID=1,NOMBRE=Ana,APELLIDO=Paz,DOCUMENTO=1,NACIMIENTO=2000-01-01,NUMERO=7574";
const EVA: &str = "AGENCY_ID=1,NOMBRE=Eva,APELLIDO=Ñandú,DOCUMENTO=2,NACIMIENTO=2000-02-29,NUMERO=0012";

/// These bets as Python's csv.writer writes them.
const ANA_ROW: &str = "1,Ana,Paz,1,2000-01-01,7574\r\n";
const EVA_ROW: &str = "1,Eva,Ñandú,2,2000-02-29,12\r\n";

/// A frame around any bytes.
fn framed(content: &[u8]) -> Vec<u8> {
    [&u32::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
}

/// The content of a batch's frame.
fn batch(texts: &[&[u8]]) -> Vec<u8> {
    let entry = |(place, text): (usize, &&[u8])| {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&length[..], &[u8::from(place + 1 == texts.len())], *text].concat()
    };
    texts.iter().enumerate().flat_map(entry).collect()
}

/// A reply is the bare word in a frame, without a line feed.
#[track_caller]
fn tell(client: &mut Client, content: &[u8], answer: &str) {
    client.send_bytes(&framed(content)).expect_bytes(&framed(answer.as_bytes()));
}

fn bets(folder: &Folder) -> String {
    fs::read_to_string(folder.bets()).unwrap()
}

#[test]
fn a_bet_of_keys_and_values_is_on_disk_when_it_is_answered() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    tell(&mut client, ANA.as_bytes(), "success");
    assert_eq!(bets(&folder), ANA_ROW, "before anything else is asked");
    let spelled = [
        "numero=7574,nacimiento=2000-01-01,documento=1,apellido=Paz,nombre=Ana,agency_id=1",
        " Nombre = Ana , APELLIDO= Paz,DOCUMENTO =1,NACIMIENTO=2000-01-01,NUMERO=7574,AGENCY_ID=1 , \n",
        "NOMBRE=Ana,SEGURO=no,AGENCY_ID=1,APELLIDO=Paz,DOCUMENTO=1,NACIMIENTO=2000-01-01,NUMERO=7574,",
    ];
    for text in spelled {
        tell(&mut client, text.as_bytes(), "success");
    }
    let equation = "AGENCY_ID=5,NOMBRE=a=b,APELLIDO=O'Hara \"El\",DOCUMENTO=30.904-B,NACIMIENTO=1999-12-31,NUMERO=0";
    tell(&mut client, equation.as_bytes(), "success");
    let last = "5,a=b,\"O'Hara \"\"El\"\"\",30.904-B,1999-12-31,0\r\n";
    assert_eq!(bets(&folder), format!("{}{last}", ANA_ROW.repeat(4)));
    let exit = central.stop();
    let told: Vec<_> = exit.lines.iter().filter(|line| tells(line, "apuesta_almacenada", "success")).collect();
    assert_eq!((value(told[0], "dni"), value(told[0], "numero")), (Some("1"), Some("7574")));
    assert_eq!(told.len(), 5, "{exit}");
}

#[test]
fn a_batch_in_one_frame_is_stored_in_its_order() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    tell(&mut client, &batch(&[ANA.as_bytes(), EVA.as_bytes(), ANA.as_bytes()]), "success");
    let rows = format!("{ANA_ROW}{EVA_ROW}{ANA_ROW}");
    assert_eq!(bets(&folder), rows);
    for byte in framed(&batch(&[EVA.as_bytes()])) {
        client.send_bytes(&[byte]);
    }
    client.expect_bytes(&framed(b"success"));
    // As many bets as fit a frame.
    let most = 8192 / (ANA.len() + 5);
    tell(&mut client, &batch(&vec![ANA.as_bytes(); most]), "success");
    assert_eq!(bets(&folder), format!("{rows}{EVA_ROW}{}", ANA_ROW.repeat(most)));
    let exit = central.stop();
    let told = exit.lines.iter().filter(|line| tells(line, "apuesta_recibida", "success"));
    let counts: Vec<_> = told.map(|line| value(line, "cantidad").unwrap()).collect();
    assert_eq!(counts, ["3", "1", &most.to_string()]);
}

#[test]
fn a_wrong_bet_is_an_error_and_the_connection_goes_on() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    let wrong: Vec<Vec<u8>> = [
        ANA.replace(",NUMERO=7574", ""),
        ANA.replace("AGENCY_ID=1,", ""),
        format!("{ANA},numero=7574"),
        format!("{ANA},,"),
        ANA.replace("Ana", "Ana, Eva"),
        ANA.replace("Ana", ""),
        ANA.replace("Ana", " "),
        ANA.replace("Ana", "A|na"),
        ANA.replace("Ana", "A\u{1}na"),
        ANA.replace("7574", "7574.0"),
        ANA.replace("2000-01-01", "2000-02-30"),
        ANA.replace("ID=1", "ID="),
        ANA.replace("ID=1", "ID=+1"),
        ANA.replace("ID=1", "ID=one"),
        ANA.replace("ID=1", "ID=6"),
        ANA.replace("ID=1", "ID=0"),
        "NOMBRE=".to_owned(),
    ]
    .map(String::into_bytes)
    .into_iter()
    .chain([[ANA.as_bytes(), b"\xff"].concat(), b"NOMBRE=Nu\xf1ez".to_vec()])
    .collect();
    for text in &wrong {
        tell(&mut client, text, "error");
    }
    assert_eq!(bets(&folder), "");
    client.ask("HELLO|1", "HELLO|OK|0|open");
    let exit = central.stop();
    assert_eq!(exit.count(|line| tells(line, "apuesta_almacenada", "fail")), wrong.len(), "{exit}");
}

#[test]
fn a_batch_is_stored_whole_or_not_at_all() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(2).start();
    let mut client = central.client();
    let ana = ANA.as_bytes();
    let whole = batch(&[ana, ana]);
    let with = |place: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[place] = byte;
        bytes
    };
    let second = 5 + ana.len();
    let wrong = [
        // Wrong texts, and how many bets were found.
        (batch(&[ana, ANA.replace("ID=1", "ID=2").as_bytes()]), "2"),
        (batch(&[ana, ana, ANA.replace("7574", "-1").as_bytes()]), "3"),
        (batch(&[ana, b"", ana]), "3"),
        (batch(&[ANA.replace("ID=1", "ID=3").as_bytes(), ana]), "2"),
        (batch(&[ana, b"NOMBRE=\xff"]), "2"),
        (batch(&[ana, ANA.replace("Ana", "Ana|Paz|1|2000-01-01|1\nEva").as_bytes()]), "2"),
        // Wrong lengths, flags and ends.
        (with(3, 0), "1"),
        (with(3, 0xff), "0"),
        (with(1, 0xff), "0"),
        (with(4, 1), "1"),
        (with(4, 2), "0"),
        (with(second + 4, 0), "2"),
        (with(second + 4, 0xff), "1"),
        (whole[..second].to_vec(), "1"),
        (whole[..second + 4].to_vec(), "1"),
        (whole[..whole.len() - 1].to_vec(), "1"),
        ([&whole[..], b"\n"].concat(), "2"),
        ([&whole[..], &whole].concat(), "2"),
        (vec![0], "0"),
        (vec![0; 4], "0"),
    ];
    for (content, _) in &wrong {
        tell(&mut client, content, "error");
    }
    assert_eq!(bets(&folder), "");
    tell(&mut client, &whole, "success");
    assert_eq!(bets(&folder), ANA_ROW.repeat(2));
    let exit = central.stop();
    let told = exit.lines.iter().filter(|line| tells(line, "apuesta_recibida", "fail"));
    let counts: Vec<_> = told.map(|line| value(line, "cantidad").unwrap()).collect();
    assert_eq!(counts, wrong.each_ref().map(|(_, count)| *count), "{exit}");
}

#[test]
fn both_languages_may_share_a_connection_and_an_agency() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    let mut client = central.client();
    // All are sent at once, and the replies come in the order of the requests.
    let ours = "BATCH|1|1\nLeo|Paz|3|2000-01-01|7574\n";
    let sent = [ANA.as_bytes(), ours.as_bytes(), &batch(&[EVA.as_bytes()]), b"NOMBRE=", b"HELLO|1\n"];
    let came = ["success", "ACK_BATCH|OK|1\n", "success", "error", "HELLO|OK|3|open\n"];
    client.send_bytes(&sent.map(framed).concat()).expect_bytes(&came.map(|text| framed(text.as_bytes())).concat());
    // The dialect has no DONE, so it is sent in our own frames.
    central.client().ask("DONE|1", "ACK_DONE|OK").ask("WAIT_DRAW|1", "DRAW|OK").ask("GET_WINNERS|1", "WINNERS|OK|1,3");
    tell(&mut client, ANA.as_bytes(), "error");
    tell(&mut client, &batch(&[EVA.as_bytes()]), "error");
    client.ask("HELLO|1", "HELLO|OK|3|drawn");
    let exit = central.stop();
    let closed = |line: &str| value(line, "error") == Some("closed");
    assert_eq!(exit.count(|line| tells(line, "apuesta_almacenada", "fail") && closed(line)), 1, "{exit}");
    assert_eq!(exit.count(|line| tells(line, "apuesta_recibida", "fail") && closed(line)), 1, "{exit}");
}

#[test]
fn where_a_batch_of_ours_expects_bets_nothing_is_of_the_dialect() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    client.send("BATCH|1|1").ask("NOMBRE=Ana|Paz|1|2000-01-01|7574", "ACK_BATCH|OK|1");
    client.send("BATCH|1|1").ask(ANA, "ACK_BATCH|ERR|1|bet 1: 1 values, where a bet has 5");
    assert_eq!(bets(&folder), "1,NOMBRE=Ana,Paz,1,2000-01-01,7574\r\n");
    tell(&mut client, ANA.as_bytes(), "success");
    central.stop();
}

#[test]
fn an_unknown_key_at_the_front_is_no_sign_of_the_dialect() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    client.ask("SEGURO=no,NOMBRE=Ana", "ACK|ERR|unknown request \"SEGURO=no,NOMBRE=Ana\"");
    // Inside a batch the first zero gave it away.
    tell(&mut client, &batch(&[format!("SEGURO=no,{ANA}").as_bytes()]), "success");
    central.stop();
}
