//! The metrics: one table with the name, the kind, the unit and the meaning of each, and where its values come from.

mod table;

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::scene::Scene;
use crate::ledger::Counted;
use table::TABLE;

/// A metric of the table. Names and units are as Prometheus wants them; the encoder adds the unit, and `_total` to a counter.
struct Metric {
    name: &'static str,
    kind: Kind,
    unit: Option<Unit>,
    /// A sentence.
    help: &'static str,
    read: fn(&Scene) -> Samples,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

enum Samples {
    /// Nothing is known of it now.
    None,
    One(Value),
    Labelled(Vec<(Labels, Value)>),
    /// With how many of a bound's units are one of the metric's.
    Counted(Counted, f64),
}

type Labels = Vec<(&'static str, String)>;

#[derive(Clone, Copy)]
enum Value {
    Whole(u64),
    Real(f64),
}

/// The two forms of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    OpenMetrics,
    /// Prometheus' own, which older readers want.
    Prometheus,
}

impl Form {
    /// The one that an `Accept` header asks for. Prometheus itself prefers OpenMetrics.
    pub fn wanted(accept: &str) -> Form {
        let takes = |form: &str| accept.split(',').any(|kind| kind.trim().starts_with(form));
        if takes("text/plain") && !takes("application/openmetrics-text") { Form::Prometheus } else { Form::OpenMetrics }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Form::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// The metrics of a scene.
pub fn show(scene: Scene, form: Form) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collector(scene)));
    let mut shown = String::new();
    match form {
        Form::OpenMetrics => text::encode(&mut shown, &registry)?,
        Form::Prometheus => prometheus_text::encode(&mut shown, &registry)?,
    }
    Ok(shown)
}

struct Collector(Scene);

impl fmt::Debug for Collector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Collector")
    }
}

impl prometheus_client::collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in TABLE {
            let samples = (metric.read)(&self.0);
            if matches!(samples, Samples::None) {
                continue;
            }
            let kind = metric.kind.metric_type();
            let mut encoder = encoder.encode_descriptor(metric.name, metric.help, metric.unit.as_ref(), kind)?;
            samples.encode(metric.kind, &mut encoder)?;
        }
        Ok(())
    }
}

impl Kind {
    fn metric_type(self) -> MetricType {
        match self {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        }
    }
}

impl Samples {
    fn maybe(value: Option<u64>) -> Samples {
        value.map_or(Samples::None, |value| Samples::One(Value::Whole(value)))
    }

    fn encode(self, kind: Kind, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Samples::None => Ok(()),
            Samples::One(value) => value.encode(kind, encoder),
            Samples::Labelled(samples) => {
                samples.iter().try_for_each(|(labels, value)| value.encode(kind, &mut encoder.encode_family(labels)?))
            }
            Samples::Counted(Counted { bounds, counts, sum }, unit) => {
                let bounds = bounds.iter().map(|bound| *bound as f64 / unit).chain([f64::MAX]);
                let count = counts.iter().sum();
                let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
                encoder.encode_histogram::<NoLabelSet>(sum as f64 / unit, count, &buckets, None)
            }
        }
    }
}

impl Value {
    fn encode(self, kind: Kind, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match (kind, self) {
            (Kind::Counter, Value::Whole(value)) => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
            (Kind::Counter, Value::Real(value)) => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
            (Kind::Gauge | Kind::Histogram, Value::Whole(value)) => encoder.encode_gauge(&value),
            (Kind::Gauge | Kind::Histogram, Value::Real(value)) => encoder.encode_gauge(&value),
        }
    }
}
