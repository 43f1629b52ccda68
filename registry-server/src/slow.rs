//! Who holds a connection without using it? Bodies that trickle in and readers that stop reading are cut off.
//!
//! Headers are hyper's to time. What is timed here is waiting: time that the registry itself takes does not count against
//! its clients.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// Bytes a second that a body must come, or be taken, at least.
pub const MIN_BODY_RATE: u64 = 1_024;
/// How often a body that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// The request's body came too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body came more slowly than {MIN_BODY_RATE} bytes a second, or not at all")]
pub struct TooSlow;

/// A request's body that ends with [`TooSlow`] when it is waited for too long.
pub struct PatientBody {
    body: Body,
    idle: Duration,
    grace: Duration,
    bytes: u64,
    /// Time spent waiting for the client, before the wait under way.
    waited: Duration,
    waiting_since: Option<Instant>,
    look: Pin<Box<Sleep>>,
}

impl PatientBody {
    /// Watches over `body`.
    ///
    /// - `idle`: between two pieces, at most.
    /// - `grace`: waiting that is allowed before the rate counts.
    pub fn new(body: Body, idle: Duration, grace: Duration) -> Self {
        let look = Box::pin(tokio::time::sleep(LOOK));
        Self { body, idle, grace, bytes: 0, waited: Duration::ZERO, waiting_since: None, look }
    }

    fn is_too_slow(&self, waiting_since: Instant) -> bool {
        let waiting = waiting_since.elapsed();
        let waited = self.waited + waiting;
        waiting > self.idle || (waited > self.grace && self.bytes < MIN_BODY_RATE * waited.as_secs())
    }
}

impl http_body::Body for PatientBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if let Some(since) = this.waiting_since.take() {
                this.waited += since.elapsed();
            }
            if let Some(Ok(data)) = frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref)) {
                this.bytes += data.map_or(0, Bytes::len) as u64;
            }
            return Poll::Ready(frame);
        }
        let since = *this.waiting_since.get_or_insert_with(Instant::now);
        loop {
            if this.is_too_slow(since) {
                return Poll::Ready(Some(Err(axum::Error::new(TooSlow))));
            }
            ready!(this.look.as_mut().poll(context));
            this.look.as_mut().reset(Instant::now() + LOOK);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a connection's watcher knows of its writing.
#[derive(Debug, Default)]
pub struct Meter {
    written: AtomicU64,
    is_stuck: AtomicBool,
}

impl Meter {
    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether the last write found the client's side full.
    pub fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }
}

/// A connection whose writing is metered.
pub struct MeteredStream {
    stream: TcpStream,
    meter: Arc<Meter>,
}

impl MeteredStream {
    /// Meters `stream`.
    pub fn new(stream: TcpStream) -> (Self, Arc<Meter>) {
        let meter = Arc::new(Meter::default());
        (Self { stream, meter: meter.clone() }, meter)
    }

    fn note(&self, written: Poll<std::io::Result<usize>>) -> Poll<std::io::Result<usize>> {
        self.meter.is_stuck.store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = &written {
            self.meter.written.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
        written
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    /// A body of `pieces` of 100 bytes each, `pause` apart, and what reading it comes to.
    async fn read(pieces: usize, pause: Duration) -> Result<usize, axum::Error> {
        let pieces = futures_util::stream::unfold(0, move |at| async move {
            tokio::time::sleep(pause).await;
            (at < pieces).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(&[7; 100])), at + 1))
        });
        let body =
            PatientBody::new(Body::from_stream(pieces), Duration::from_secs(60), Duration::from_secs(10));
        body.collect().await.map(|body| body.to_bytes().len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_keeps_the_rate_is_read_to_its_end() {
        assert_eq!(read(1_000, Duration::from_millis(50)).await.unwrap(), 100_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_body_may_take_its_time_within_the_grace() {
        assert_eq!(read(4, Duration::from_secs(2)).await.unwrap(), 400);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_cut_off() {
        let begun = Instant::now();
        assert!(read(1_000, Duration::from_secs(1)).await.is_err());
        assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_cut_off() {
        assert!(read(2, Duration::from_secs(3_600)).await.is_err());
    }
}
