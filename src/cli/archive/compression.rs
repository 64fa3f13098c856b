//! How a file is compressed: chosen by its name when it is written, and found by its first bytes when it is read.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use clap::ValueEnum;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// A kind of compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Compression {
    /// Gzip, which every machine can read
    Gz,
    /// Zstandard, which is smaller and several times quicker
    Zst,
}

/// How much memory a file may ask for that was compressed by zstd: so much are the eight MiB of `zstd -19`. The kinds beyond
/// (`--ultra`, `--long`) want up to 2 GiB.
const MOST_WINDOW_LOG: u32 = 23;

/// How much is read of a file at once.
const READ_BYTES: usize = 256 << 10;

impl Compression {
    /// What the ending of a file's name asks for.
    pub(in crate::cli) fn of_name(path: &Path) -> Option<Self> {
        let ending = path.extension()?;
        [(Self::Gz, "gz"), (Self::Zst, "zst")]
            .into_iter()
            .find_map(|(compression, name)| ending.eq_ignore_ascii_case(name).then_some(compression))
    }

    fn of_first_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, ..] => Some(Self::Gz),
            // A file of zstd may begin with a frame that is to be skipped, as `pzstd` writes one.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zst),
            _ => None,
        }
    }
}

/// What is in a file, whatever it is compressed by.
pub(super) fn decompressed(file: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut file = BufReader::with_capacity(READ_BYTES, file);
    Ok(match Compression::of_first_bytes(file.fill_buf()?) {
        None => Box::new(file),
        Some(Compression::Gz) => Box::new(BufReader::with_capacity(READ_BYTES, MultiGzDecoder::new(file))),
        Some(Compression::Zst) => {
            let mut decoder = zstd::Decoder::with_buffer(file)?;
            decoder.window_log_max(MOST_WINDOW_LOG)?;
            Box::new(BufReader::with_capacity(READ_BYTES, decoder))
        }
    })
}

/// Compresses what is written to it.
pub(super) enum Encoder<W: Write> {
    Plain(W),
    Gz(GzEncoder<W>),
    Zst(zstd::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    pub(super) fn new(out: W, compression: Option<Compression>) -> io::Result<Self> {
        Ok(match compression {
            None => Self::Plain(out),
            Some(Compression::Gz) => Self::Gz(GzEncoder::new(out, flate2::Compression::default())),
            Some(Compression::Zst) => {
                let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                Self::Zst(encoder)
            }
        })
    }

    /// Writes the rest.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gz(encoder) => encoder.finish(),
            Self::Zst(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gz(encoder) => encoder.write(bytes),
            Self::Zst(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gz(encoder) => encoder.flush(),
            Self::Zst(encoder) => encoder.flush(),
        }
    }
}
