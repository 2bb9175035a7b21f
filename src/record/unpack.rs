//! Unpacks what gzip packed: all members of a file, one after the other, and no byte that is none of theirs.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// How every member starts.
pub const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What follows the members and is none.
#[derive(Debug)]
pub struct Trailing;

impl std::fmt::Display for Trailing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("something else follows the compressed recording")
    }
}

impl std::error::Error for Trailing {}

/// The members of a file. A second one is unpacked like the first: whoever reads lines sees what it is.
pub struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Members<R> {
    /// Of a file that starts with [`MAGIC`].
    pub fn new(file: R) -> Members<R> {
        Members(Some(GzDecoder::new(file)))
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(mut rest) = self.0.take().map(GzDecoder::into_inner) else { break };
            match rest.fill_buf()? {
                [] => {}
                next if next.starts_with(&MAGIC) => self.0 = Some(GzDecoder::new(rest)),
                _ => return Err(io::Error::other(Trailing)),
            }
        }
        Ok(0)
    }
}
