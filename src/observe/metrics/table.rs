//! The table of the metrics.

use std::sync::atomic::Ordering::Relaxed;
use std::time::UNIX_EPOCH;

use prometheus_client::registry::Unit;

use super::super::counts::{Counts, STATES};
use super::super::report;
use super::super::scene::Scene;
use super::super::watch::{Look, Phase};
use super::{Kind, Metric, Samples, Value};

const NANOSECONDS: f64 = 1e9;

pub(super) static TABLE: &[Metric] = &[
    gauge("quiniela_build_info", "1, with what this program is built from.", |_| {
        let version = ("version", env!("CARGO_PKG_VERSION").to_owned());
        let commit = ("commit", report::commit().unwrap_or("unknown").to_owned());
        Samples::Labelled(vec![(vec![version, commit], Value::Whole(1))])
    }),
    gauge(
        "quiniela_ready",
        "Whether requests are taken: 0 while the central recovers or stops, or the disk takes nothing.",
        |scene| Samples::One(Value::Whole(u64::from(scene.obstacle.is_none()))),
    ),
    gauge("quiniela_phase", "1 for the phase that the lottery is in, 0 for the others.", |scene| {
        let phases = [(Phase::Open, "open"), (Phase::Sealed, "sealed"), (Phase::Drawn, "drawn")];
        look(scene, |look| each(phases, "phase", |phase| u64::from(look.phase == phase)))
    }),
    gauge("quiniela_agencies", "Agencies that take part.", |scene| look(scene, |look| whole(look.agencies.into()))),
    gauge("quiniela_agencies_done", "Agencies that have no more bets.", |scene| {
        look(scene, |look| whole(look.done.into()))
    }),
    counter("quiniela_bets", "Bets stored, by agency, those of earlier runs too.", |scene| {
        let bets = scene.accounts.iter().map(|account| (account.agency.to_string(), Value::Whole(account.bets)));
        Samples::Labelled(bets.map(|(agency, bets)| (vec![("agency", agency)], bets)).collect())
    }),
    counter("quiniela_batches", "Batches and single bets acknowledged since the start, by agency.", |scene| {
        counts(scene, |counts| {
            let batches = counts.batches().into_iter();
            let labelled = batches.map(|(agency, count)| (vec![("agency", agency.to_string())], Value::Whole(count)));
            Samples::Labelled(labelled.collect())
        })
    }),
    counter("quiniela_bets_repeated", "Bets that came again, and were not stored again.", |scene| {
        counts(scene, |counts| whole(counts.repeated.load(Relaxed)))
    }),
    counter("quiniela_refusals", "Requests refused since the start, by agency and reason.", |scene| {
        counts(scene, |counts| {
            let labels = |agency, reason: &str| vec![("agency", agency), ("reason", reason.to_owned())];
            let refused = counts.refused().into_iter();
            let refused = refused.map(|(agency, reason, count)| (labels(agency, reason), Value::Whole(count)));
            Samples::Labelled(refused.collect())
        })
    }),
    histogram(
        "quiniela_acknowledgement",
        Some(Unit::Seconds),
        "Time from a batch's arrival to its acknowledgement.",
        |scene| counts(scene, |counts| Samples::Counted(counts.acknowledgements.counted(), NANOSECONDS)),
    ),
    histogram(
        "quiniela_sync",
        Some(Unit::Seconds),
        "Time of a sync of a file that acknowledgements wait for.",
        |scene| scene.watch.syncs().map_or(Samples::None, |syncs| Samples::Counted(syncs.counted(), NANOSECONDS)),
    ),
    histogram("quiniela_group_bets", None, "Bets written to the disk together.", |scene| {
        counts(scene, |counts| Samples::Counted(counts.groups.counted(), 1.0))
    }),
    gauge("quiniela_connections", "Open connections, by what they are at, as seen twice a second.", |scene| {
        counts(scene, |counts| {
            let states = STATES.iter().zip(&counts.states);
            let labelled = states
                .map(|(state, count)| (vec![("state", (*state).to_owned())], Value::Whole(count.load(Relaxed) as u64)));
            Samples::Labelled(labelled.collect())
        })
    }),
    counter("quiniela_connections_accepted", "Connections accepted since the start.", |scene| {
        counts(scene, |counts| whole(counts.accepted.load(Relaxed)))
    }),
    counter(
        "quiniela_connections_turned_away",
        "Connections closed for load since the start, by what was too much.",
        |scene| {
            counts(scene, |counts| {
                let labelled =
                    counts.turned().map(|(why, count)| (vec![("reason", why.to_owned())], Value::Whole(count)));
                Samples::Labelled(labelled.collect())
            })
        },
    ),
    gauge("quiniela_queue_length", "Connections that wait for a worker.", |scene| {
        look(scene, |look| whole(look.queue as u64))
    }),
    gauge("quiniela_workers", "Threads that answer requests.", |scene| look(scene, |look| whole(look.workers as u64))),
    gauge("quiniela_workers_busy", "Threads that answer one now.", |scene| {
        look(scene, |look| whole(look.busy_workers as u64))
    }),
    bytes("quiniela_peers_held", "Memory held for what peers have begun or not read.", |scene| {
        look(scene, |look| whole(look.peer_bytes as u64))
    }),
    bytes("quiniela_bets_file", "Length of bets.csv.", |scene| Samples::maybe(scene.bets_file)),
    bytes("quiniela_journal", "Length of the journal.", |scene| Samples::maybe(scene.journal)),
    bytes("quiniela_store_free", "What the file system of the store has left.", |scene| {
        Samples::maybe(scene.free_bytes)
    }),
    counter("quiniela_log_lines_dropped", "Lines of the log that nobody took.", |_| {
        whole(crate::logging::dropped() as u64)
    }),
    seconds(
        "quiniela_certificate_expiry_timestamp",
        "When what the keys' files hold expires, in seconds since 1970.",
        |scene| {
            let labelled = scene.expiries.iter().map(|expiry| {
                let labels = vec![("kind", expiry.kind.to_owned()), ("place", expiry.place.to_string())];
                (labels, Value::Real(expiry.at as f64))
            });
            if scene.expiries.is_empty() { Samples::None } else { Samples::Labelled(labelled.collect()) }
        },
    ),
    seconds("process_start_time", "When this process started, in seconds since 1970.", |scene| {
        let since = scene.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        Samples::One(Value::Real(since.as_secs_f64()))
    }),
    counter_of("process_cpu", Unit::Seconds, "Processor time that this process has used.", |scene| {
        scene.process.cpu_seconds.map_or(Samples::None, |seconds| Samples::One(Value::Real(seconds)))
    }),
    bytes("process_resident_memory", "Memory of this process that is in use.", |scene| {
        Samples::maybe(scene.process.resident_bytes)
    }),
    bytes("process_virtual_memory", "Addresses that this process has taken.", |scene| {
        Samples::maybe(scene.process.virtual_bytes)
    }),
    gauge("process_threads", "Threads of this process.", |scene| Samples::maybe(scene.process.threads)),
    gauge("process_open_fds", "File descriptors that are open.", |scene| Samples::maybe(scene.process.open_files)),
    gauge("process_max_fds", "File descriptors that may be open.", |scene| Samples::maybe(scene.process.max_files)),
];

type Read = fn(&Scene) -> Samples;

const fn gauge(name: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: None, help, read }
}

const fn counter(name: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Counter, unit: None, help, read }
}

const fn counter_of(name: &'static str, unit: Unit, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Some(unit), help, read }
}

const fn bytes(name: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: Some(Unit::Bytes), help, read }
}

const fn seconds(name: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: Some(Unit::Seconds), help, read }
}

const fn histogram(name: &'static str, unit: Option<Unit>, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Histogram, unit, help, read }
}

fn whole(value: u64) -> Samples {
    Samples::One(Value::Whole(value))
}

fn look(scene: &Scene, read: impl FnOnce(&Look) -> Samples) -> Samples {
    scene.look.as_ref().map_or(Samples::None, read)
}

fn counts(scene: &Scene, read: impl FnOnce(&Counts) -> Samples) -> Samples {
    scene.watch.counts.as_ref().map_or(Samples::None, read)
}

fn each<T: Copy, const N: usize>(all: [(T, &str); N], label: &'static str, value: impl Fn(T) -> u64) -> Samples {
    let labelled = all.map(|(one, name)| (vec![(label, name.to_owned())], Value::Whole(value(one))));
    Samples::Labelled(labelled.into())
}
