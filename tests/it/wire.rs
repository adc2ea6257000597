//! Every request of the protocol from a plain socket, each reply byte for byte.

use crate::common::{ANA, Agency, Central, Client, Folder, tells, value};

const EVA: &str = "Eva|Sosa|2|2000-02-29|0012";
const LEO: &str = "José Ñ.|O'Hara, \"El\"|30.904-B|1999-12-31|4294967295";

/// The bytes of the stored rows.
fn bets(folder: &Folder) -> String {
    std::fs::read_to_string(folder.bets()).unwrap()
}

#[test]
fn a_bet_is_acknowledged_and_on_disk() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    client.ask(&format!("BET|1|{ANA}"), "ACK|OK");
    assert_eq!(bets(&folder), "1,Ana,Paz,1,2000-01-01,7574\r\n", "before anything else is asked");
    client.ask(&format!("BET|5|{LEO}"), "ACK|OK").ask(&format!("BET|1|{EVA}"), "ACK|OK");
    // These rows as Python's csv.writer writes them.
    let rows = "1,Ana,Paz,1,2000-01-01,7574\r\n\
                5,José Ñ.,\"O'Hara, \"\"El\"\"\",30.904-B,1999-12-31,4294967295\r\n\
                1,Eva,Sosa,2,2000-02-29,12\r\n";
    assert_eq!(bets(&folder), rows);
    let exit = central.stop();
    let told: Vec<_> = exit.lines.iter().filter(|line| tells(line, "apuesta_almacenada", "success")).collect();
    assert_eq!((value(told[0], "dni"), value(told[0], "numero")), (Some("1"), Some("7574")));
    assert_eq!(told.len(), 3);
    assert_eq!(bets(&folder), rows);
}

#[test]
fn every_rule_has_its_refusal_and_the_connection_goes_on() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    let long = "ñ".repeat(101);
    let shown = format!("{}…", "ñ".repeat(40));
    let fields = "fields, where the form is: BET <agency> <first name> <last name> <document> <birthdate> <number>";
    let refusals = [
        ("BET|1||Paz|1|2000-01-01|1".to_owned(), "first name \"\" is empty".to_owned()),
        (format!("BET|1|Ana|{long}|1|2000-01-01|1"), format!("last name \"{shown}\" is longer than 100 characters")),
        ("BET|1|A\tna|Paz|1|2000-01-01|1".into(), "first name \"A\\tna\" holds a control character or a \"|\"".into()),
        (
            "BET|1|Ana|Paz|1 2|2000-01-01|1".into(),
            "document \"1 2\" is not 1 to 32 ASCII letters, digits, \".\" or \"-\"".into(),
        ),
        ("BET|1|Ana|Paz|1|1900-02-29|1".into(), "birthdate \"1900-02-29\" is not a calendar date, YYYY-MM-DD".into()),
        ("BET|1|Ana|Paz|1|2000-01-01|abc".into(), "number \"abc\" is not a whole number".into()),
        ("BET|1|Ana|Paz|1|2000-01-01|4294967296".into(), "number \"4294967296\" is larger than 4294967295".into()),
        ("BET|6|Ana|Paz|1|2000-01-01|1".into(), "agency 6 is unknown: the agencies are 1 to 5".into()),
        ("BET|0|Ana|Paz|1|2000-01-01|1".into(), "agency 0 is unknown: the agencies are 1 to 5".into()),
        ("BET|x|Ana|Paz|1|2000-01-01|1".into(), "agency \"x\" is not a whole number".into()),
        ("BET|4294967296|Ana|Paz|1|2000-01-01|1".into(), "agency 4294967296 is larger than 4294967295".into()),
        ("BET|1|Ana".into(), format!("3 {fields}")),
        ("BET|1|Ana|Paz|1|2000-01-01|1|0|00000000|0".into(), format!("10 {fields}")),
        (
            "BET|1|Ana|Paz|1|2000-01-01|1|0|ABCDEF01".into(),
            "checksum \"ABCDEF01\" is not 8 lowercase hexadecimal digits".into(),
        ),
        ("BET|1|Ana|Paz|1|2000-01-01|1|first".into(), "first \"first\" is not a whole number".into()),
        (format!("BET|1|{ANA}\nBET|1|{EVA}"), "BET is one line, and more follow it".into()),
        ("HOLA|1".into(), "unknown request \"HOLA\"".into()),
        ("bet|1".into(), "unknown request \"bet\"".into()),
        (String::new(), "unknown request \"\"".into()),
    ];
    for (request, reason) in &refusals {
        client.ask(request, &format!("ACK|ERR|{reason}"));
    }
    assert_eq!(bets(&folder), "");
    client.ask(&format!("BET|1|{ANA}"), "ACK|OK");
    let exit = central.stop();
    assert_eq!(exit.count(|line| value(line, "result") == Some("fail")), refusals.len(), "{exit}");
}

#[test]
fn the_other_requests_refuse_in_their_own_shape() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(2).start();
    let mut client = central.client();
    for (request, shape) in [
        ("DONE", "ACK_DONE"),
        ("HELLO", "HELLO"),
        ("WAIT_DRAW", "DRAW"),
        ("WAIT_SEAL", "SEAL"),
        ("GET_DRAW", "DRAWN"),
        ("GET_WINNERS", "WINNERS"),
    ] {
        let form = match request {
            "GET_WINNERS" => "GET_WINNERS <agency> or GET_WINNERS <agency> <from>",
            "DONE" => "DONE <agency> or DONE <agency> <bets> <root>",
            _ => "<request> <agency>",
        };
        client.ask(request, &format!("{shape}|ERR|1 fields, where the form is: {form}"));
        client.ask(&format!("{request}|1|2|3|4|5"), &format!("{shape}|ERR|6 fields, where the form is: {form}"));
        client.ask(&format!("{request}|-1"), &format!("{shape}|ERR|agency \"-1\" is not a whole number"));
        client.ask(&format!("{request}|3"), &format!("{shape}|ERR|agency 3 is unknown: the agencies are 1 to 2"));
        client.ask(&format!("{request}|1\nx"), &format!("{shape}|ERR|{request} is one line, and more follow it"));
    }
    client.ask("GET_WINNERS|1|x", "WINNERS|ERR|from \"x\" is not a whole number");
    client.ask("HELLO|1", "HELLO|OK|0|open");
    central.stop();
}

#[test]
fn a_batch_may_come_in_one_frame_or_in_many() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    client.ask(&format!("BATCH|1|2\nBET|1|{ANA}\nBET|1|{EVA}"), "ACK_BATCH|OK|2");
    client.ask(&format!("BATCH|1|2\n{ANA}\nBET|1|{EVA}"), "ACK_BATCH|OK|2");
    client.send("BATCH|1|2").send(&format!("BET|1|{ANA}")).ask(&format!("BET|1|{EVA}"), "ACK_BATCH|OK|2");
    client.send("BATCH|1|4").send(&format!("{ANA}\n{EVA}\nBET|1|{ANA}")).ask(EVA, "ACK_BATCH|OK|4");
    client.send("BATCH|1|2").ask(&format!("{ANA}\n{EVA}"), "ACK_BATCH|OK|2");
    let pair = "1,Ana,Paz,1,2000-01-01,7574\r\n1,Eva,Sosa,2,2000-02-29,12\r\n";
    assert_eq!(bets(&folder), pair.repeat(6));
    let exit = central.stop();
    let counts: Vec<_> = exit
        .lines
        .iter()
        .filter(|line| tells(line, "apuesta_recibida", "success"))
        .map(|line| value(line, "cantidad"))
        .collect();
    assert_eq!(counts, ["2", "2", "2", "4", "2"].map(Some));
}

#[test]
fn the_largest_batch_is_taken_and_no_larger_one() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    let lines = "\na|b|1|2000-01-01|0".repeat(430);
    client.ask(&format!("BATCH|1|430{lines}"), "ACK_BATCH|OK|430");
    client.ask(&format!("BATCH|1|431{}", &lines[..100]), "ACK_BATCH|ERR|431|count 431 is not 1 to 430");
    client.ask("BATCH|1|4294967295", "ACK_BATCH|ERR|4294967295|count 4294967295 is not 1 to 430");
    client.ask("BATCH|1|0", "ACK_BATCH|ERR|0|count 0 is not 1 to 430");
    client.ask("HELLO|1", "HELLO|OK|430|open");
    central.stop();
}

#[test]
fn a_batch_is_stored_whole_or_not_at_all() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    let refusals = [
        (format!("BATCH|1|2\nBET|1|{ANA}"), "2|1 bets came, where the batch says 2"),
        (format!("BATCH|1|2\n{ANA}\n{EVA}\n{ANA}"), "2|3 bets came, where the batch says 2"),
        (format!("BATCH|1|2\n{ANA}\nEva|Sosa|2|2000-02-29|abc"), "2|bet 2: number \"abc\" is not a whole number"),
        (format!("BATCH|1|2\n{ANA}\nBET|2|{EVA}"), "2|bet 2: agency 2 in a batch of agency 1"),
        (format!("BATCH|1|2\n{ANA}\nEva|Sosa"), "2|bet 2: 2 values, where a bet has 5"),
        (format!("BATCH|1|2\n{ANA}\nBAT|1|{EVA}"), "2|bet 2: \"BAT\" stands where BET is expected"),
        (format!("BATCH|1|2\n{ANA}\n"), "2|bet 2: 1 values, where a bet has 5"),
        (format!("BATCH|6|1\n{ANA}"), "1|agency 6 is unknown: the agencies are 1 to 5"),
        (format!("BATCH|y|1\n{ANA}"), "1|agency \"y\" is not a whole number"),
        (format!("BATCH|1|1|z\n{ANA}"), "1|first \"z\" is not a whole number"),
        ("BATCH|1|x".to_owned(), "0|count \"x\" is not a whole number"),
        (
            "BATCH|1".to_owned(),
            "0|2 fields, where the form is: BATCH <agency> <count> or BATCH <agency> <count> <first>",
        ),
    ];
    for (request, reply) in &refusals {
        client.ask(request, &format!("ACK_BATCH|ERR|{reply}"));
    }
    assert_eq!(bets(&folder), "");
    client.ask("HELLO|1", "HELLO|OK|0|open");
    let exit = central.stop();
    assert_eq!(exit.count(|line| tells(line, "apuesta_recibida", "fail")), refusals.len(), "{exit}");
}

#[test]
fn a_bad_line_keeps_a_spread_batch_in_step() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    client.send("BATCH|1|4").send(ANA).send("nonsense").send(EVA);
    client.ask(&format!("BET|1|{ANA}"), "ACK_BATCH|ERR|4|bet 2: 1 values, where a bet has 5");
    client.ask("HELLO|1", "HELLO|OK|0|open");
    client.send("BATCH|9|2").send(ANA).ask(EVA, "ACK_BATCH|ERR|2|agency 9 is unknown: the agencies are 1 to 5");
    client
        .send("BATCH|1|2")
        .ask(&format!("{ANA}\n{EVA}\n{ANA}"), "ACK_BATCH|ERR|2|3 bets came, where the batch says 2");
    client.ask("HELLO|1", "HELLO|OK|0|open");
    central.stop();
}

#[test]
fn the_declared_count_of_a_batch_rules_whatever_its_rows_say() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(2).with("--frame-deadline 400ms").start();
    let mut client = central.client();
    // A bettor's data must never be taken for requests: these are wrong rows of the batch.
    for row in ["DONE|1", "HELLO|1", "WAIT_DRAW|1", "GET_WINNERS|1", "BATCH|1|1", "BATCH|1|1|0", "BATCH|1|1|0|00000000"]
    {
        client.send("BATCH|1|3").send(ANA).send(row);
        let reply = client.send(EVA).reply();
        assert!(reply.starts_with("ACK_BATCH|ERR|3|bet 2: "), "{row}: {reply}");
    }
    client.ask("HELLO|1", "HELLO|OK|0|open");
    // A person may have any name.
    client.send("BATCH|1|2").send("DONE|Paz|1|2000-01-01|7").ask("BET|Sosa|2|2000-01-01|7", "ACK_BATCH|OK|2");
    client.ask("HELLO|1", "HELLO|OK|2|open");
    // A batch with too few rows ends at the deadline.
    client.send("BATCH|1|2").send("HELLO|1").expect("ACK|ERR|frame not completed within 400ms").expect_end();
    assert_eq!(folder.stored_of(1).len(), 2);
    central.stop();
}

#[test]
fn a_batch_with_its_place_is_stored_once() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    let mut client = central.client();
    let first = format!("BATCH|1|2|0\n{ANA}\n{EVA}");
    client.ask(&first, "ACK_BATCH|OK|2").ask(&first, "ACK_BATCH|OK|2");
    client.ask("HELLO|1", "HELLO|OK|2|open");
    client.ask(&format!("BATCH|1|3|1\n{EVA}\n{LEO}\n{ANA}"), "ACK_BATCH|OK|3");
    client.ask(&format!("BATCH|1|1|5\n{ANA}"), "ACK_BATCH|ERR|1|gap");
    client.ask(&format!("BET|1|{ANA}|3"), "ACK|OK").ask(&format!("BET|1|{ANA}|5"), "ACK|ERR|gap");
    client.ask("HELLO|1", "HELLO|OK|4|open");
    client.ask(&format!("BET|1|{EVA}|4"), "ACK|OK");
    client.send("BATCH|1|2|3").send(ANA).ask(EVA, "ACK_BATCH|OK|2");
    client.ask("DONE|1", "ACK_DONE|OK");
    client.ask(&first, "ACK_BATCH|OK|2").ask(&format!("BET|1|{EVA}|4"), "ACK|OK");
    client.ask(&format!("BATCH|1|2|4\n{EVA}\n{ANA}"), "ACK_BATCH|ERR|2|closed");
    let documents: Vec<String> = folder.stored_of(1).into_iter().map(|row| row[2].clone()).collect();
    assert_eq!(documents, ["1", "2", "30.904-B", "1", "2"]);
    let exit = central.stop();
    // Twice the first batch and the last, and twice a bet; the batch that overlapped was partly new.
    assert_eq!(exit.count(|line| tells(line, "apuesta_repetida", "success")), 5, "{exit}");
    assert_eq!(
        exit.count(|line| tells(line, "apuesta_recibida", "success") && value(line, "repetidas") == Some("1")),
        1
    );
}

#[test]
fn nothing_is_taken_after_done() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(2).start();
    let mut client = central.client();
    client.ask(&format!("BET|1|{ANA}"), "ACK|OK").ask("DONE|1", "ACK_DONE|OK").ask("DONE|1", "ACK_DONE|OK");
    client.ask(&format!("BET|1|{EVA}"), "ACK|ERR|closed");
    client.ask(&format!("BATCH|1|1\n{EVA}"), "ACK_BATCH|ERR|1|closed");
    client.ask("HELLO|1", "HELLO|OK|1|done").ask("HELLO|2", "HELLO|OK|0|open");
    client.ask(&format!("BET|2|{EVA}"), "ACK|OK");
    assert_eq!(folder.stored_of(1).len(), 1);
    central.stop();
}

#[test]
fn the_draw_is_told_to_those_who_wait_and_each_learns_its_own_winners() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(3).with("--winning-number 12").start();
    let mut waiting = central.client();
    // Later requests are answered after it.
    waiting.send("WAIT_DRAW|1").send("GET_WINNERS|1|0").send("WAIT_DRAW|1");
    let mut client = central.client();
    client.ask(&format!("BATCH|1|3\n{EVA}\n{ANA}\n{}", EVA.replace("|2|", "|A.9|")), "ACK_BATCH|OK|3");
    client.ask(&format!("BET|2|{EVA}"), "ACK|OK");
    for agency in [1, 2] {
        client.ask(&format!("DONE|{agency}"), "ACK_DONE|OK").ask("GET_WINNERS|1", "WINNERS|ERR|not_ready");
        client.ask("GET_WINNERS|1|0", "WINNERS|ERR|not_ready");
    }
    client.ask("DONE|3", "ACK_DONE|OK");
    waiting.expect("DRAW|OK").expect("WINNERS|OK|2|2,A.9").expect("DRAW|OK");
    client.ask("WAIT_DRAW|2", "DRAW|OK");
    client.ask("GET_WINNERS|1", "WINNERS|OK|2,A.9");
    client.ask("GET_WINNERS|2", "WINNERS|OK|2").ask("GET_WINNERS|2|0", "WINNERS|OK|1|2");
    client.ask("GET_WINNERS|3", "WINNERS|OK|").ask("GET_WINNERS|3|0", "WINNERS|OK|0|");
    client.ask("GET_WINNERS|1|1", "WINNERS|OK|2|A.9").ask("GET_WINNERS|1|2", "WINNERS|OK|2|");
    client.ask("GET_WINNERS|1|18446744073709551615", "WINNERS|OK|2|");
    client.ask("HELLO|1", "HELLO|OK|3|drawn").ask("HELLO|3", "HELLO|OK|0|drawn");
    client.ask(&format!("BET|3|{ANA}"), "ACK|ERR|closed").ask("DONE|1", "ACK_DONE|OK");
    let exit = central.stop();
    let sorteo = &exit.lines[exit.place_of(|line| tells(line, "sorteo", "success"))];
    assert_eq!((value(sorteo, "numero"), value(sorteo, "cant_ganadores")), (Some("12"), Some("3")));
}

#[test]
fn a_list_that_fits_no_frame_comes_in_pages() {
    let folder = Folder::with_data("--agencies 1 --bets 1500 --seed 3 --winners 1500");
    let central = Central::on(&folder).agencies(1).start();
    Agency::new(1, central.port, &folder).run().ok();
    let mut client = central.client();
    client.ask("GET_WINNERS|1", "WINNERS|ERR|too_many|1500");
    let due: Vec<String> = folder.rows(1).into_iter().map(|row| row[2].clone()).collect();
    let mut told = Vec::new();
    let mut pages = 0;
    while told.len() < due.len() {
        let reply = client.send(&format!("GET_WINNERS|1|{}", told.len())).reply();
        let page = reply.strip_prefix("WINNERS|OK|1500|").unwrap();
        told.extend(page.split(',').map(str::to_owned));
        pages += 1;
    }
    assert_eq!(told, due);
    assert_eq!(pages, 2, "eight digits and a comma, 1500 times, are two frames' worth");
    central.stop();
}

#[test]
fn a_list_that_just_fits_a_frame_comes_whole() {
    // 8192 bytes, less `WINNERS|OK|` and the line feed, hold 909 documents of eight digits and their commas.
    for (winners, fits) in [(909, true), (910, false)] {
        let folder = Folder::with_data(&format!("--agencies 1 --bets {winners} --winners {winners}"));
        let central = Central::on(&folder).agencies(1).start();
        Agency::new(1, central.port, &folder).run().ok();
        let due: Vec<String> = folder.rows(1).into_iter().map(|row| row[2].clone()).collect();
        let whole = format!("WINNERS|OK|{}", due.join(","));
        central.client().ask("GET_WINNERS|1", if fits { &whole } else { "WINNERS|ERR|too_many|910" });
        central.stop();
    }
}

#[test]
fn with_no_agencies_there_is_no_lottery() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(0).start();
    let mut client = central.client();
    let reason = "agency 1 is unknown: this central holds no lottery";
    client.ask(&format!("BET|1|{ANA}"), &format!("ACK|ERR|{reason}"));
    client.ask(&format!("BATCH|1|1\n{ANA}"), &format!("ACK_BATCH|ERR|1|{reason}"));
    client.ask("DONE|1", &format!("ACK_DONE|ERR|{reason}")).ask("WAIT_DRAW|1", &format!("DRAW|ERR|{reason}"));
    client.ask("HELLO|1", &format!("HELLO|ERR|{reason}")).ask("GET_WINNERS|1", &format!("WINNERS|ERR|{reason}"));
    client.send_bytes(b"hola\n").expect_bytes(b"hola\n").expect_end();
    assert_eq!(central.stop().count(|line| value(line, "action") == Some("sorteo")), 0);
}

#[test]
fn a_roster_that_is_found_out_reaches_to_the_highest_agency() {
    let folder = Folder::new();
    let central = Central::on(&folder).with("--client-amount auto --quiet-time 300ms").start();
    let mut client: Client = central.client();
    client.ask("HELLO|0", "HELLO|ERR|agency 0 is unknown: agencies are 1 to 65535");
    client.ask("HELLO|65536", "HELLO|ERR|agency 65536 is unknown: agencies are 1 to 65535");
    // Agency 3 has appeared, so there are three agencies, whatever the others send.
    client.ask("HELLO|3", "HELLO|OK|0|open").ask(&format!("BET|2|{ANA}"), "ACK|OK");
    client.ask("DONE|2", "ACK_DONE|OK").ask("DONE|1", "ACK_DONE|OK").ask("DONE|3", "ACK_DONE|OK");
    client.ask("WAIT_DRAW|1", "DRAW|OK").ask("GET_WINNERS|2", "WINNERS|OK|1");
    client.ask("HELLO|4", "HELLO|OK|0|drawn").ask(&format!("BET|4|{ANA}"), "ACK|ERR|closed");
    let exit = central.stop();
    let last_done = exit
        .place_of(|line| value(line, "action") == Some("agencia_finalizada") && value(line, "client_id") == Some("3"));
    assert!(exit.place_of(|line| tells(line, "sorteo", "success")) > last_done, "{exit}");
}
