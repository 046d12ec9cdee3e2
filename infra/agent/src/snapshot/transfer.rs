//! Carrying archives between the folder and the bucket, a piece at a time: no archive is ever in memory, or on disk
//! beside the files it is made of.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use bytes::{Buf, Bytes};
use data_encoding::HEXLOWER;

use reqwest::Method;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::archive::{self, ArchiveError};
use crate::http;
use crate::wire::{Latest, Prepared};

/// Pieces that may wait for the network, or for the disk.
const PIECES_MAX: usize = 8;
/// Bytes of one piece.
const PIECE_BYTES: usize = 64 * 1024;
/// Time between two pieces of a download, after which the connection is given up for dead.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// The only format there is.
const FORMAT_VERSION: u64 = 1;

/// Why an archive did not get through.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The connection failed.
    #[error("the connection to the bucket failed")]
    Connection(#[source] reqwest::Error),
    /// The bucket refused.
    #[error("the bucket answers HTTP {0}")]
    Refused(u16),
    /// Nothing came any more.
    #[error("the bucket has become silent")]
    Stalled,
    /// What came is not what was announced.
    #[error("what came is not the snapshot that was announced")]
    Mismatch,
    /// A newer version of us made it.
    #[error("the snapshot's format {0} is not known")]
    Format(u64),
    /// Packing or unpacking failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The packing task ended before its time.
    #[error("packing was cut short")]
    CutShort,
}

fn connection(error: reqwest::Error) -> TransferError {
    // The URL is a secret.
    TransferError::Connection(error.without_url())
}

/// Size and SHA-256 of an archive.
pub struct Measured {
    pub size_bytes: u64,
    pub sha256: String,
}

/// What the archive of the folder would be.
pub async fn measure(folder: &Path) -> Result<Measured, TransferError> {
    let folder = folder.to_owned();
    let packed = tokio::task::spawn_blocking(move || archive::pack(&folder, Hashing::new(io::sink()))).await;
    Ok(packed.map_err(|_| TransferError::CutShort)??.measured())
}

/// The bucket, by presigned URLs.
pub struct Storage(reqwest::Client);

impl Storage {
    /// The bucket that belongs to the server at `base`. An archive takes the time it takes.
    pub fn of(base: &str) -> Result<Self, TransferError> {
        Ok(Self(http::client(base, None).map_err(connection)?))
    }

    /// Packs the folder into the upload.
    pub async fn upload(&self, prepared: &Prepared, folder: &Path) -> Result<(), TransferError> {
        let method = Method::from_bytes(prepared.method.as_bytes()).unwrap_or(Method::PUT);
        let mut request = self.0.request(method, &prepared.upload_url);
        for (name, value) in &prepared.headers {
            request = request.header(name, value);
        }
        let (pieces, mut taken) = mpsc::channel(PIECES_MAX);
        let folder = folder.to_owned();
        let packing = tokio::task::spawn_blocking(move || {
            let out = io::BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces.clone()));
            let packed = archive::pack(&folder, out)
                .and_then(|mut out| out.flush().map_err(|error| ArchiveError::Io(folder, error)));
            if packed.is_err() {
                // Else the upload would end as if it were whole.
                let _ = pieces.blocking_send(Err(io::Error::other("the archive could not be packed")));
            }
            packed
        });
        let stream = futures::stream::poll_fn(move |context| taken.poll_recv(context));
        let sent = request.body(reqwest::Body::wrap_stream(stream)).send().await;
        // The reason why an upload broke off is better told by who packed it.
        if let Ok(Err(error)) = packing.await
            && sent.is_err()
        {
            return Err(error.into());
        }
        let status = sent.map_err(connection)?.status();
        if status.is_success() { Ok(()) } else { Err(TransferError::Refused(status.as_u16())) }
    }

    /// Unpacks a snapshot into the folder, which is empty.
    pub async fn download(&self, latest: &Latest, folder: &Path) -> Result<(), TransferError> {
        if latest.format_version != FORMAT_VERSION {
            return Err(TransferError::Format(latest.format_version));
        }
        let mut response = self.0.get(&latest.download_url).send().await.map_err(connection)?;
        if !response.status().is_success() {
            return Err(TransferError::Refused(response.status().as_u16()));
        }
        let (pieces, taken) = mpsc::channel(PIECES_MAX);
        let folder = folder.to_owned();
        let unpacking = tokio::task::spawn_blocking(move || {
            let mut from = Hashing::new(Taken { pieces: taken, rest: Bytes::new() });
            let unpacked = archive::unpack(&mut from, &folder);
            unpacked.map(|()| from.measured())
        });
        let mut fetched = Ok(());
        loop {
            match timeout(STALL_LIMIT, response.chunk()).await {
                // Whoever unpacks has ended: it knows why.
                Ok(Ok(Some(piece))) => {
                    if pieces.send(piece).await.is_err() {
                        break;
                    }
                }
                Ok(Ok(None)) => break,
                Ok(Err(error)) => {
                    fetched = Err(connection(error));
                    break;
                }
                Err(_) => {
                    fetched = Err(TransferError::Stalled);
                    break;
                }
            }
        }
        drop(pieces);
        let unpacked = unpacking.await.map_err(|_| TransferError::CutShort)?;
        fetched?;
        let measured = unpacked?;
        let is_whole = measured.size_bytes == latest.size_bytes && measured.sha256 == latest.sha256;
        if is_whole { Ok(()) } else { Err(TransferError::Mismatch) }
    }
}

/// Hashes and counts what passes.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
    size_bytes: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new(), size_bytes: 0 }
    }

    fn measured(self) -> Measured {
        Measured { size_bytes: self.size_bytes, sha256: HEXLOWER.encode(&self.hash.finalize()) }
    }

    fn saw(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.size_bytes += bytes.len() as u64;
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.saw(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.saw(&buffer[..read]);
        Ok(read)
    }
}

/// The writing end of an upload.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The reading end of a download.
struct Taken {
    pieces: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Taken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let read = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}
