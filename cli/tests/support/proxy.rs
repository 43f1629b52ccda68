//! A way to a registry that can fail: it loses answers, or gives none for a long time.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

/// What happens on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// Nothing.
    Open = 0,
    /// Entries get there, their answers do not come back.
    AnswersLost = 1,
    /// Entries get there, their answers never come and the connection stays.
    AnswersStuck = 2,
}

/// A listener that passes everything on to where [`Proxy::to`] says.
pub struct Proxy {
    address: SocketAddr,
    way: Arc<AtomicU8>,
    to: Arc<Mutex<Option<SocketAddr>>>,
}

impl Proxy {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (way, to) = (Arc::new(AtomicU8::new(0)), Arc::new(Mutex::new(None)));
        let (its_way, its_to) = (Arc::clone(&way), Arc::clone(&to));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let target: Option<SocketAddr> = *its_to.lock().unwrap();
                let Some(Ok(server)) = target.map(TcpStream::connect) else { continue };
                let way = Arc::clone(&its_way);
                std::thread::spawn(move || pass(client, server, &way));
            }
        });
        Self { address, way, to }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn to(&self, server: Option<SocketAddr>) {
        *self.to.lock().unwrap() = server;
    }

    pub fn set(&self, way: Way) {
        self.way.store(way as u8, Ordering::SeqCst);
    }
}

fn pass(client: TcpStream, server: TcpStream, way: &AtomicU8) {
    let is_entry = Arc::new(AtomicU8::new(0));
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let seen = Arc::clone(&is_entry);
    let upwards = std::thread::spawn(move || {
        let mut bytes = [0; 64 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut bytes) {
            if bytes.starts_with(b"POST ") {
                seen.store(1, Ordering::SeqCst);
            }
            if to_server.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    let mut bytes = [0; 64 * 1024];
    while let Ok(count @ 1..) = from_server.read(&mut bytes) {
        if is_entry.swap(0, Ordering::SeqCst) == 1 {
            match way.load(Ordering::SeqCst) {
                1 => break,
                2 => std::thread::sleep(std::time::Duration::from_secs(60)),
                _ => {}
            }
        }
        if to_client.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to_client.shutdown(Shutdown::Both);
    let _ = upwards.join();
}
