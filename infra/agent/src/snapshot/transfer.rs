//! Transfer of archives between the folder and the bucket, in pieces. A whole archive is never in memory, and never on
//! the disk beside its files.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use af_api::worker::snapshots::{LatestSnapshot, PreparedSnapshot};
use bytes::{Buf, Bytes};
use data_encoding::HEXLOWER;
use reqwest::{Method, Response};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::archive::{self, ArchiveError};
use crate::http;

/// Most pieces that wait for the network or the disk.
const MAX_PIECES: usize = 8;
/// Bytes of one piece.
const PIECE_BYTES: usize = 64 * 1024;
/// Longest time between two pieces of a download.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The only known format.
const FORMAT_VERSION: u64 = 1;

/// Why an archive could not be transferred.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The connection failed.
    #[error("the connection to the bucket failed")]
    Connection(#[source] reqwest::Error),
    /// The bucket refused the request.
    #[error("the bucket answers HTTP {0}")]
    Refused(u16),
    /// The download stalled.
    #[error("the download stalled")]
    Stalled,
    /// The archive does not match its announced size and SHA-256.
    #[error("the downloaded archive is not the announced snapshot")]
    Mismatch,
    /// A newer version of the worker made the snapshot.
    #[error("the snapshot's format {0} is not known")]
    Format(u64),
    /// Packing or unpacking failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The task that packs or unpacks was cancelled.
    #[error("packing or unpacking was cancelled")]
    Cancelled,
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

/// Measures the archive of the folder.
pub async fn measure(folder: &Path) -> Result<Measured, TransferError> {
    let folder = folder.to_owned();
    let packed = tokio::task::spawn_blocking(move || archive::pack(&folder, Hashing::new(io::sink()))).await;
    Ok(packed.map_err(|_| TransferError::Cancelled)??.measured())
}

/// The bucket, which is used through presigned URLs.
pub struct Storage(reqwest::Client);

impl Storage {
    /// The bucket of the server at `base`. Transfers have no overall time limit.
    pub fn of(base: &str) -> Result<Self, TransferError> {
        Ok(Self(http::client(base, None).map_err(connection)?))
    }

    /// Packs the folder into the upload.
    pub async fn upload(&self, prepared: &PreparedSnapshot, folder: &Path) -> Result<(), TransferError> {
        let method = Method::from_bytes(prepared.method.as_bytes()).unwrap_or(Method::PUT);
        let mut request = self.0.request(method, &prepared.upload_url);
        for (name, value) in &prepared.headers {
            request = request.header(name, value);
        }
        let (pieces, mut received) = mpsc::channel(MAX_PIECES);
        let folder = folder.to_owned();
        let packing = tokio::task::spawn_blocking(move || {
            let out = io::BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces.clone()));
            let packed = archive::pack(&folder, out)
                .and_then(|mut out| out.flush().map_err(|error| ArchiveError::Io(folder, error)));
            if packed.is_err() {
                // Without this error the upload would end as if it were complete.
                let _ = pieces.blocking_send(Err(io::Error::other("the archive could not be packed")));
            }
            packed
        });
        let stream = futures::stream::poll_fn(move |context| received.poll_recv(context));
        let sent = request.body(reqwest::Body::wrap_stream(stream)).send().await;
        // If packing failed, its error is the reason why the upload failed.
        if let Ok(Err(error)) = packing.await
            && sent.is_err()
        {
            return Err(error.into());
        }
        let status = sent.map_err(connection)?.status();
        if status.is_success() { Ok(()) } else { Err(TransferError::Refused(status.as_u16())) }
    }

    /// Unpacks a snapshot into the folder, which must be empty.
    pub async fn download(&self, latest: &LatestSnapshot, folder: &Path) -> Result<(), TransferError> {
        if latest.format_version != FORMAT_VERSION {
            return Err(TransferError::Format(latest.format_version));
        }
        let response = self.0.get(&latest.download_url).send().await.map_err(connection)?;
        if !response.status().is_success() {
            return Err(TransferError::Refused(response.status().as_u16()));
        }
        let (pieces, received) = mpsc::channel(MAX_PIECES);
        let folder = folder.to_owned();
        let unpacking = tokio::task::spawn_blocking(move || {
            let mut from = Hashing::new(Received { pieces: received, rest: Bytes::new() });
            let unpacked = archive::unpack(&mut from, &folder);
            unpacked.map(|()| from.measured())
        });
        let fetched = fetch(response, pieces).await;
        let unpacked = unpacking.await.map_err(|_| TransferError::Cancelled)?;
        fetched?;
        let measured = unpacked?;
        let is_whole =
            Some(measured.size_bytes) == latest.size_bytes && Some(measured.sha256) == latest.sha256;
        if is_whole { Ok(()) } else { Err(TransferError::Mismatch) }
    }
}

/// Sends the pieces of a download. Ends early when the unpacking task has ended, which answers the reason.
async fn fetch(mut response: Response, pieces: mpsc::Sender<Bytes>) -> Result<(), TransferError> {
    loop {
        let piece = timeout(STALL_TIMEOUT, response.chunk()).await.map_err(|_| TransferError::Stalled)?;
        let Some(piece) = piece.map_err(connection)? else { return Ok(()) };
        if pieces.send(piece).await.is_err() {
            return Ok(());
        }
    }
}

/// Hashes and counts the bytes that pass through.
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

    fn record(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.size_bytes += bytes.len() as u64;
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.record(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.record(&buffer[..read]);
        Ok(read)
    }
}

/// Sends written bytes to the upload.
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

/// Reads the bytes of the download.
struct Received {
    pieces: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Received {
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
