//! What can be asked for, and the answers.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::metrics::{self, Form};
use super::pages;
use super::recent::Recent;
use super::report::{Connections, Report};
use super::scene::Scene;
use super::watch::Watch;

/// Most of what waits to be read by all clients together, in KiB. An answer about very many agencies has some MiB.
const MAX_UNSENT: usize = 64 * 1024;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const PATHS: &str = "/, /ticket, /metrics, /healthz, /readyz, /status.json";

/// What the answers are made of.
pub struct Shown {
    watch: Arc<Watch>,
    started: SystemTime,
    recent: Mutex<Recent>,
    unsent: Arc<Semaphore>,
}

/// The bytes of an answer, and their part of [`MAX_UNSENT`] until they are sent.
struct Counted {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl Shown {
    pub fn new(watch: Arc<Watch>) -> Shown {
        let unsent = Arc::new(Semaphore::new(MAX_UNSENT));
        Shown { watch, started: SystemTime::now(), recent: Mutex::default(), unsent }
    }

    /// Takes note of the last second.
    pub fn tick(&self) {
        let mut recent = self.recent.lock();
        if let Some(view) = self.watch.view() {
            recent.note_bets(view.look().bets);
        }
        if let Some(counts) = &self.watch.counts {
            recent.note_acknowledgements(&counts.acknowledgements);
        }
    }

    fn scene(&self) -> Scene {
        Scene::of(&self.watch, self.started)
    }

    fn report(&self) -> Report {
        let scene = self.scene();
        let recent = self.recent.lock();
        let mut report = Report::new(OffsetDateTime::now_utc(), self.started.into(), scene.obstacle);
        report.database = scene.database;
        report.rate = recent.rate();
        report.acknowledgement = recent.acknowledgement();
        if let Some(counts) = &self.watch.counts {
            report.connections = Connections { waiting: counts.awaiting_draw(), ..report.connections };
        }
        match &scene.look {
            Some(look) => report.with(look, &scene.accounts),
            None => report,
        }
    }

    fn answer(&self, content_type: &'static str, text: String) -> Response {
        let kibibytes = u32::try_from(text.len().div_ceil(1024)).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.unsent).try_acquire_many_owned(kibibytes) else {
            return (StatusCode::SERVICE_UNAVAILABLE, "too much waits to be read; ask again later\n").into_response();
        };
        let bytes = Bytes::from_owner(Counted { bytes: text.into_bytes(), _permit: permit });
        ([(CONTENT_TYPE, content_type)], Body::from(bytes)).into_response()
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

pub fn router(shown: Arc<Shown>) -> Router {
    Router::new()
        .route("/", get(async || page(pages::BOARD, pages::BOARD_POLICY)))
        .route("/ticket", get(async || page(pages::TICKET, pages::TICKET_POLICY)))
        .route("/metrics", get(metrics))
        .route("/status.json", get(status))
        .route("/readyz", get(readiness))
        .route("/healthz", get(async || text(StatusCode::OK, "ok\n".to_owned())))
        .fallback(async || text(StatusCode::NOT_FOUND, format!("nothing is here: there are {PATHS}\n")))
        .layer(from_fn(guard))
        .with_state(shown)
}

/// Takes questions alone, and says of each answer that it is true for a moment and is what it says to be.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = if matches!(*request.method(), Method::GET | Method::HEAD) {
        next.run(request).await
    } else {
        let refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n".to_owned());
        ([(ALLOW, "GET, HEAD")], refusal).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn metrics(State(shown): State<Arc<Shown>>, headers: HeaderMap) -> Response {
    let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).collect();
    let form = Form::wanted(&accept.join(","));
    match metrics::show(shown.scene(), form) {
        Ok(text) => shown.answer(form.content_type(), text),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}\n")),
    }
}

async fn status(State(shown): State<Arc<Shown>>) -> Response {
    match serde_json::to_string(&shown.report()) {
        Ok(json) => shown.answer(JSON, json + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("the state cannot be written: {error}\n")),
    }
}

async fn readiness(State(shown): State<Arc<Shown>>) -> Response {
    let (status, first) = match shown.watch.obstacle() {
        None => (StatusCode::OK, "ready".to_owned()),
        Some(obstacle) => (StatusCode::SERVICE_UNAVAILABLE, obstacle),
    };
    let database = shown.watch.view().and_then(|view| view.database());
    text(status, database.map_or_else(|| format!("{first}\n"), |health| format!("{first}\ndatabase: {health}\n")))
}

fn page(html: &'static str, policy: &'static str) -> Response {
    ([(CONTENT_TYPE, HTML), (CONTENT_SECURITY_POLICY, policy)], html).into_response()
}

fn text(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, TEXT)], text).into_response()
}
