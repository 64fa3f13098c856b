//! A network between a driver and its server: what it forwards arrives half a round trip later. `delay.mts` starts it.
//!
//! `delay TARGET_PORT ROUND_TRIP_MICROSECONDS` prints `{"port":...}` and forwards what connects to that port of
//! 127.0.0.1. It limits no bandwidth. It ends when its standard input does.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
#[cfg(target_os = "linux")]
use std::os::linux::net::TcpStreamExt;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// What was read at one time, and when it is due at the other side. Empty is the end of the stream.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo test --benches` and `cargo bench` without arguments have nothing to delay.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [target, round_trip] = &arguments[..] else {
        eprintln!("usage: delay TARGET_PORT ROUND_TRIP_MICROSECONDS");
        return Ok(());
    };
    let target: u16 = target.parse()?;
    let one_way = Duration::from_micros(round_trip.parse()?) / 2;
    // Linux lets a thread sleep 50 us too long, to wake several at once. The threads of this one inherit what it may.
    if cfg!(target_os = "linux") {
        std::fs::write("/proc/self/timerslack_ns", "1")?;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{{\"port\":{}}}", listener.local_addr()?.port());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Where the target refuses a connection, the client loses its own.
            let _ = forward(client, target, one_way);
        }
    });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// Joins the client with the target, in both directions.
fn forward(client: TcpStream, target: u16, one_way: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, target))?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        to.set_nodelay(true)?;
        let (pieces, delayed) = mpsc::channel();
        thread::spawn(move || take_in(from, &pieces, one_way));
        thread::spawn(move || give_out(&delayed, to));
    }
    Ok(())
}

fn take_in(mut from: TcpStream, pieces: &Sender<Piece>, one_way: Duration) {
    let mut buffer = vec![0; 1 << 18];
    loop {
        // Linux likes to wait 40 ms before it says that something has come, and many programs send nothing more until then.
        // It forgets this setting again.
        #[cfg(target_os = "linux")]
        let _ = from.set_quickack(true);
        // A connection that broke ends for the other side too.
        let length = from.read(&mut buffer).unwrap_or(0);
        let piece = Piece {
            due: Instant::now() + one_way,
            bytes: buffer[..length].to_vec(),
        };
        if pieces.send(piece).is_err() || length == 0 {
            return;
        }
    }
}

fn give_out(delayed: &Receiver<Piece>, mut to: TcpStream) {
    for Piece { due, bytes } in delayed {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if bytes.is_empty() {
            // Whoever closed first needs no second word.
            let _ = to.shutdown(Shutdown::Write);
        } else if to.write_all(&bytes).is_err() {
            // Ends the reading of it as well.
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}
