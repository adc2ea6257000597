//! `--log-format json`: the same lines as in the exercises' form, each as one object, whatever a value holds.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpStream;

use quiniela::domain::visible;
use serde_json::Value;

use crate::common::{Agency, Central, Folder, Process, Signal, quiniela, value};
use crate::log::{self, BETS, Unheard};

const JSON: &str = "--log-format json";
/// Their values differ from one run to the next.
const OF_THE_RUN: [&str; 4] = ["port", "store", "sello", "server_address"];

type Told = BTreeMap<String, String>;

/// A line of JSON, as the exercises' form would show each of its values.
#[track_caller]
fn of_json(line: &str) -> Told {
    let Value::Object(object) = parse(line) else { panic!("{line} is no object") };
    let shown = object.into_iter().map(|(key, value)| match value {
        Value::String(text) => (key, visible(&text).into_owned()),
        Value::Number(number) => (key, number.to_string()),
        Value::Bool(truth) => (key, truth.to_string()),
        other => panic!("{line}: {key} is {other}"),
    });
    shown.collect()
}

/// A line of the exercises' form, as its keys and values, with its time and level.
#[track_caller]
fn of_text(line: &str) -> Told {
    let (head, details) = line.split_at(line.find("action: ").unwrap_or_else(|| panic!("{line}")));
    let words: Vec<&str> = head.split_whitespace().collect();
    let [date, time, level] = words[..] else { panic!("{line}") };
    let details = details.split(" | ").map(|detail| detail.split_once(": ").unwrap());
    let head = [("time", format!("{date}T{time}")), ("level", level.to_owned())];
    let head = head.into_iter().map(|(key, value)| (key.to_owned(), value));
    head.chain(details.map(|(key, value)| (key.to_owned(), value.to_owned()))).collect()
}

#[track_caller]
fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// What can be compared between two runs, in an order of its own.
fn comparable(lines: &[String], read: impl Fn(&str) -> Told) -> Vec<Told> {
    let without = |line: &String| {
        let mut told = read(line);
        assert!(told.remove("time").is_some(), "{line}");
        for key in OF_THE_RUN {
            told.entry(key.to_owned()).and_modify(|value| *value = "of the run".to_owned());
        }
        told
    };
    let mut all: Vec<Told> = lines.iter().map(without).collect();
    all.sort();
    all
}

fn starts_listening(line: &str) -> bool {
    line.starts_with('{') && parse(line)["action"] == "config"
}

/// Starts a central whose log is JSON.
fn central(folder: &Folder, words: &str) -> Central {
    let process = Process::start(Central::on(folder).agencies(1).with(JSON).with(words).command());
    let line = process.wait_for(starts_listening);
    let port = parse(&line)["port"].as_u64().unwrap().try_into().unwrap();
    Central { process, port }
}

/// The logs of central and agency of one lottery.
fn hold(central: Central, folder: &Folder, words: &str) -> [Vec<String>; 2] {
    let agency = Agency::new(1, central.port, folder).with("--batch-max 7").with(words).run();
    agency.ok();
    central.process.signal(Signal::TERM);
    let exit = central.process.finish();
    exit.ok();
    [exit.lines, agency.lines]
}

#[test]
fn a_lottery_is_told_in_json_as_in_text() {
    let data = "--agencies 1 --bets 100 --seed 3 --winners 4";
    let (text, json) = (Folder::with_data(data), Folder::with_data(data));
    let in_text = hold(Central::on(&text).agencies(1).start(), &text, "");
    let in_json = hold(central(&json, ""), &json, JSON);
    for (text, json) in in_text.iter().zip(&in_json) {
        assert_eq!(comparable(text, of_text), comparable(json, of_json));
    }
    let find = |lines: &[String], action: &str| {
        parse(lines.iter().find(|line| parse(line)["action"] == action && parse(line)["result"] == "success").unwrap())
    };
    let [central, agency] = &in_json;
    assert!(find(central, "apuesta_recibida")["cantidad"].is_u64());
    assert!(find(central, "sorteo")["cant_ganadores"] == 4);
    assert!(find(central, "config")["port"].as_u64().unwrap() > 0);
    assert!(find(central, "cierre")["sello"].is_string());
    assert!(find(agency, "upload")["client_id"] == 1);
    assert_eq!(find(agency, "config")["loop_amount"], 5);
    assert_eq!(find(agency, "config")["loop_period"], "5s");
}

#[test]
fn times_are_as_rfc_3339_has_them() {
    let folder = Folder::with_data("--agencies 1 --bets 10 --seed 3 --winners 0");
    for line in hold(central(&folder, ""), &folder, JSON).concat() {
        let object = parse(&line);
        let time = object["time"].as_str().unwrap();
        let format =
            time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        time::PrimitiveDateTime::parse(time, &format).unwrap_or_else(|error| panic!("{time}: {error}"));
        assert!(line.starts_with("{\"time\":"), "{line}");
    }
}

#[test]
fn no_value_makes_two_lines_or_no_json() {
    let lines: [&[u8]; 5] = [
        b"x\"} {\"action\":\"sorteo\" | result: success",
        b"\x01\x02\x1b[31m\x7f\xc2\x85\t\\u0041 \\",
        b"broken \xff\xc3( \xed\xa0\x80",
        "line\u{2028}and\u{2029}paragraph \u{202e} 🎲".as_bytes(),
        b"0123",
    ];
    let said = |folder: &Folder, central: Central| {
        for line in lines {
            let mut stream = TcpStream::connect(("127.0.0.1", central.port)).unwrap();
            stream.write_all(&[line, b"\n"].concat()).unwrap();
            let mut echo = Vec::new();
            stream.read_to_end(&mut echo).unwrap();
            assert_eq!(echo, [line, b"\n"].concat(), "{}", folder.path().display());
        }
        central.process.signal(Signal::TERM);
        let exit = central.process.finish();
        exit.ok();
        exit.lines
    };
    let (text, json) = (Folder::new(), Folder::new());
    let in_text = said(&text, Central::on(&text).agencies(1).start());
    let in_json = said(&json, central(&json, ""));
    let messages = in_text.iter().filter_map(|line| value(line, "msg")).map(str::to_owned);
    let objects = in_json.iter().map(|line| parse(line));
    let told: Vec<String> = objects.filter_map(|object| object["msg"].as_str().map(str::to_owned)).collect();
    assert_eq!(messages.collect::<Vec<_>>(), told.iter().map(|text| visible(text)).collect::<Vec<_>>());
    for (line, told) in lines.iter().zip(&told) {
        assert_eq!(String::from_utf8_lossy(line), *told);
    }
    let odd = |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    assert!(in_json.iter().all(|line| !line.contains(odd)), "{in_json:?}");
}

#[test]
fn a_number_that_is_none_is_null_and_the_error_tells_it() {
    let folder = Folder::new();
    let central = central(&folder, "--winning-number later");
    let config = parse(&central.process.wait_for(starts_listening));
    assert_eq!((&config["winning_number"], &config["client_amount"]), (&Value::Null, &Value::from(1)));
    let words = format!("agency --id 1 --mode bet --server 127.0.0.1:{} {JSON}", central.port);
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let bet = |number: &str| {
        let mut agency = quiniela(folder.path(), &words);
        let person = [
            ("NOMBRE", "Ana"),
            ("APELLIDO", "Paz"),
            ("DOCUMENTO", "0123"),
            ("NACIMIENTO", "2000-01-01"),
            ("NUMERO", number),
        ];
        let exit = Process::start({
            agency.envs(person);
            agency
        })
        .finish();
        let objects = exit.lines.iter().map(|line| parse(line));
        (exit.status.code(), objects.into_iter().find(|object| object["action"] == "apuesta_enviada").unwrap())
    };
    let (code, sent) = bet("007574");
    assert_eq!((code, &sent["numero"], &sent["dni"]), (Some(0), &Value::from(7574), &Value::from("0123")));
    let (code, refused) = bet("seven");
    assert_eq!((code, &refused["numero"], &refused["result"]), (Some(4), &Value::Null, &Value::from("fail")));
    assert!(refused["error"].as_str().unwrap().contains("seven"), "{refused}");
    central.process.signal(Signal::TERM);
    central.process.finish().ok();
}

#[test]
fn dropped_lines_are_told_in_json() {
    let folder = log::folder();
    let command = Central::on(&folder).agencies(1).with("--stop-timeout 60s").with(JSON).command();
    let (central, first, log) = Unheard::start(command);
    let port = parse(&first)["port"].as_u64().unwrap().try_into().unwrap();
    log::agency(port, &folder).run().ok();
    let (mut lines, mut missed) = (0, 0);
    for line in log.lines().map(|line| parse(&line.unwrap())) {
        if line["action"] == "log" && line["result"] == "fail" {
            missed += line["dropped"].as_u64().unwrap() as usize;
            central.signal_stop();
        } else {
            lines += 1;
        }
    }
    central.ends_well();
    assert!(missed > 0);
    assert_eq!(lines + missed, BETS + 12, "{missed} are told as missed");
}
