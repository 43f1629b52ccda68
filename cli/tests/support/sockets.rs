//! Things that answer on a port and are no good registry: they are silent, stall, trickle, or say something else.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What is done with every request.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Takes the connection and never says a word.
    Silent,
    /// Gives the head of an answer and half its body, then nothing.
    Stalls,
    /// Gives one byte every so often, for ever.
    Trickles(Duration),
    /// Says this, whole, and closes.
    Says(&'static str),
    /// The same after the path of the request: `{path}` stands for it.
    SaysOfPath(&'static str),
    /// Gives a body that never ends.
    Endless,
    /// Closes the connection at once.
    HangsUp,
}

/// A listener on loopback, for as long as the test runs.
pub struct Stranger {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Stranger {
    pub fn with(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                // Whoever went away has seen enough.
                std::thread::spawn(move || drop(serve(stream, manner)));
            }
        });
        Self { address, asked }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    if matches!(manner, Manner::HangsUp) {
        return Ok(());
    }
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    while lines.read_line(&mut request)? > 2 {}
    let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
    match manner {
        Manner::Silent => wait_for_the_end(&mut lines),
        Manner::Stalls => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncommons.example/root\n")?;
            wait_for_the_end(&mut lines)
        }
        Manner::Trickles(pause) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")?;
            loop {
                stream.write_all(b"x")?;
                std::thread::sleep(pause);
            }
        }
        Manner::Says(answer) => stream.write_all(answer.as_bytes()),
        Manner::SaysOfPath(answer) => stream.write_all(answer.replace("{path}", &path).as_bytes()),
        Manner::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            loop {
                stream.write_all(chunk.as_bytes())?;
            }
        }
        Manner::HangsUp => Ok(()),
    }
}

/// Until the client has gone.
fn wait_for_the_end(lines: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        line.clear();
    }
    Ok(())
}
