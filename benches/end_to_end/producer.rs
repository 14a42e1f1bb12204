//! The producer, a process of its own: newline-delimited bodies of 1 MiB over several connections.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

const BODY: u64 = 1 << 20;

/// Sends the whole file to the stream `bench`; returns when everything is acknowledged.
pub fn run(input: &Path, address: SocketAddr, connections: usize) -> anyhow::Result<()> {
    let input = Mutex::new(BufReader::with_capacity(1 << 20, File::open(input)?));
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| send_all(&input, address)))
            .collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().expect("no panic"))
    })
}

fn send_all(input: &Mutex<BufReader<File>>, address: SocketAddr) -> anyhow::Result<()> {
    let mut connection = BufReader::new(TcpStream::connect(address)?);
    connection.get_ref().set_nodelay(true)?;
    let mut body = Vec::new();
    loop {
        body.clear();
        let mut file = input.lock().expect("no panic");
        file.by_ref().take(BODY).read_to_end(&mut body)?;
        file.read_until(b'\n', &mut body)?;
        drop(file);
        if body.is_empty() {
            return Ok(());
        }
        // 500 and 503: the journal is full, nothing of the body was taken.
        loop {
            match post(&mut connection, &body)? {
                200 => break,
                500 | 503 => std::thread::sleep(Duration::from_millis(20)),
                status => anyhow::bail!("the daemon answered {status}"),
            }
        }
    }
}

fn post(connection: &mut BufReader<TcpStream>, body: &[u8]) -> io::Result<u16> {
    let head = format!(
        "POST /streams/bench/records HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.get_mut().write_all(head.as_bytes())?;
    connection.get_mut().write_all(body)?;
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let mut length = 0;
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    connection.read_exact(&mut vec![0; length])?;
    status.ok_or_else(|| io::Error::other("no status line"))
}
