//! A provider's response body: read under time and size limits, decompressed when the provider insists.
//!
//! Provider bytes are hostile until a decoder has read them: nothing here trusts a length it was told.

use bytes::Bytes;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::io::Write;
use unfail_policy::classify::{Limit, Transport};
use unfail_policy::time::Time;

use crate::http::Carrier;
use crate::trouble::{Trouble, deepest};
use crate::world::World;

/// Largest complete answer accepted, after decompression.
pub(crate) const ANSWER_BYTES_MAX: usize = 32 << 20;

/// A body being read.
#[derive(Debug)]
pub(crate) struct Body {
    incoming: Incoming,
    /// The connection, until the end.
    carrier: Option<Carrier>,
    coding: Coding,
    ended: bool,
}

#[derive(Debug)]
enum Coding {
    Identity,
    /// One member or several, which are one body (RFC 1952 §2.2).
    Gzip(MultiGzDecoder<Room>),
    Deflate(ZlibDecoder<Room>),
}

/// Where decompressed bytes go: as much room as an answer may take. A few bytes can unpack to gigabytes.
#[derive(Debug, Default)]
struct Room {
    bytes: Vec<u8>,
    full: bool,
}

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.full |= self.bytes.len() + bytes.len() > ANSWER_BYTES_MAX;
        if self.full {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Room {
    /// Empties it. `fault` says what it means that writing did not work for another reason than its size.
    fn take(&mut self, written: std::io::Result<()>, fault: &'static str) -> Result<Bytes, BodyFault> {
        match written {
            Err(_) if self.full => Err(BodyFault::TooLarge),
            Err(_) => Err(BodyFault::Flawed(fault)),
            Ok(()) => Ok(std::mem::take(&mut self.bytes).into()),
        }
    }
}

impl Coding {
    /// The coding of this name, in upper or lower case (RFC 9110 §8.4.1).
    fn named(name: &[u8]) -> Option<Self> {
        match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Some(Self::Identity),
            b"gzip" | b"x-gzip" => Some(Self::Gzip(MultiGzDecoder::new(Room::default()))),
            b"deflate" => Some(Self::Deflate(ZlibDecoder::new(Room::default()))),
            _ => None,
        }
    }

    fn decode(&mut self, data: Bytes) -> Result<Bytes, BodyFault> {
        let (written, room) = match self {
            Self::Identity => return Ok(data),
            Self::Gzip(decoder) => {
                (decoder.write_all(&data).and_then(|()| decoder.flush()), decoder.get_mut())
            }
            Self::Deflate(decoder) => {
                (decoder.write_all(&data).and_then(|()| decoder.flush()), decoder.get_mut())
            }
        };
        room.take(written, "a compressed body that does not decompress")
    }

    /// What is left at the end.
    fn finish(&mut self) -> Result<Bytes, BodyFault> {
        let (finished, room) = match self {
            Self::Identity => return Ok(Bytes::new()),
            Self::Gzip(decoder) => (decoder.try_finish(), decoder.get_mut()),
            Self::Deflate(decoder) => (decoder.try_finish(), decoder.get_mut()),
        };
        room.take(finished, "a compressed body that was cut short")
    }
}

/// How reading ended badly.
#[derive(Debug)]
pub(crate) enum BodyFault {
    /// The transport failed or was late.
    Trouble(Trouble),
    /// The bytes are not what the headers promised; the text says why.
    Flawed(&'static str),
    /// More bytes than any answer has.
    TooLarge,
}

impl Body {
    /// Prepares to read.
    ///
    /// # Errors
    /// [`BodyFault::Flawed`] for an encoding nobody asked for and unfail cannot read.
    pub(crate) fn new(headers: &HeaderMap, incoming: Incoming, carrier: Carrier) -> Result<Self, BodyFault> {
        let coding = match headers.get(CONTENT_ENCODING) {
            None => Coding::Identity,
            Some(value) => Coding::named(value.as_bytes())
                .ok_or(BodyFault::Flawed("a content encoding that was not asked for"))?,
        };
        Ok(Self { incoming, carrier: Some(carrier), coding, ended: false })
    }

    /// The next bytes, or `None` at the end.
    pub(crate) async fn next(
        &mut self,
        until: Time,
        late: Limit,
        world: World,
    ) -> Result<Option<Bytes>, BodyFault> {
        let heard = self.carrier.as_ref().map(Carrier::waits).unwrap_or_default();
        while !self.ended {
            let frame = tokio::select! {
                biased;
                frame = self.incoming.frame() => frame,
                () = world.sleep_until(until) => {
                    if let Some(carrier) = &self.carrier {
                        carrier.stalled(heard);
                    }
                    return Err(BodyFault::Trouble(Trouble::Late(late)));
                }
            };
            let bytes = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.coding.decode(data)?,
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => {
                    let fault = Trouble::Fault(Transport::ResetInBody, deepest(&error));
                    return Err(BodyFault::Trouble(fault));
                }
                None => {
                    self.ended = true;
                    if let Some(carrier) = self.carrier.take() {
                        carrier.finish();
                    }
                    self.coding.finish()?
                }
            };
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// All of it.
    pub(crate) async fn collect(
        mut self,
        until: Time,
        late: Limit,
        world: World,
    ) -> Result<Bytes, BodyFault> {
        let mut whole = Whole::default();
        while let Some(piece) = self.next(until, late, world).await? {
            whole.add(piece)?;
        }
        Ok(whole.into_bytes())
    }
}

/// An answer put together: one that came in one piece is not copied.
#[derive(Debug, Default)]
struct Whole {
    first: Bytes,
    /// All of it, once there is more than one piece.
    all: Vec<u8>,
}

impl Whole {
    fn add(&mut self, piece: Bytes) -> Result<(), BodyFault> {
        let length = self.first.len().max(self.all.len()) + piece.len();
        if length > ANSWER_BYTES_MAX {
            return Err(BodyFault::TooLarge);
        }
        if self.first.is_empty() {
            self.first = piece;
            return Ok(());
        }
        if self.all.is_empty() {
            self.all.reserve(length);
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
        Ok(())
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(packed: &[u8], pieces: usize) -> Result<Vec<u8>, BodyFault> {
        let mut coding = Coding::named(b"gzip").unwrap();
        let mut all = Vec::new();
        for piece in packed.chunks(packed.len().div_ceil(pieces)) {
            all.extend(coding.decode(Bytes::copy_from_slice(piece))?);
        }
        all.extend(coding.finish()?);
        Ok(all)
    }

    #[test]
    fn compressed_bodies_come_out_whole_however_they_were_split() {
        let text = "naïve 🦀 ".repeat(500).into_bytes();
        for pieces in [1, 2, 7, 40] {
            assert_eq!(unpack(&gzip(&text), pieces).unwrap(), text, "{pieces}");
        }
        let cut = gzip(&text);
        assert!(matches!(unpack(&cut[..cut.len() - 9], 3), Err(BodyFault::Flawed(_))));
        assert!(matches!(unpack(b"no gzip at all, but long enough", 1), Err(BodyFault::Flawed(_))));
    }

    #[test]
    fn several_members_are_one_body() {
        let packed = [gzip(b"one, "), gzip(b""), gzip(b"two")].concat();
        for pieces in [1, 2, 5, packed.len()] {
            assert_eq!(unpack(&packed, pieces).unwrap(), b"one, two", "{pieces}");
        }
        let cut = &packed[..packed.len() - 1];
        assert!(matches!(unpack(cut, 1), Err(BodyFault::Flawed(_))));
        let twice = [gzip(&vec![0; ANSWER_BYTES_MAX]), gzip(&[0])].concat();
        assert!(matches!(unpack(&twice, 1), Err(BodyFault::TooLarge)));
    }

    #[test]
    fn codings_have_their_names_in_any_case() {
        for (name, known) in [
            ("GZIP", true),
            ("x-GZip ", true),
            ("Deflate", true),
            ("Identity", true),
            ("", true),
            ("br", false),
        ] {
            assert_eq!(Coding::named(name.as_bytes()).is_some(), known, "{name}");
        }
    }

    #[test]
    fn an_answer_has_a_largest_size_in_however_many_pieces_it_comes() {
        const MOST: usize = ANSWER_BYTES_MAX;
        let half = MOST / 2;
        let cases: [(&[usize], bool); 8] = [
            (&[], true),
            (&[MOST], true),
            (&[MOST + 1], false),
            (&[half, half], true),
            (&[half, half + 1], false),
            (&[half, half, 1], false),
            (&[1, MOST], false),
            (&[1, 2, 3, 4], true),
        ];
        let room = Bytes::from(vec![b'x'; MOST + 1]);
        for (sizes, fits) in cases {
            let mut whole = Whole::default();
            let added = sizes.iter().try_for_each(|size| whole.add(room.slice(..*size)));
            assert_eq!(added.is_ok(), fits, "{sizes:?}");
            assert!(!fits || whole.into_bytes().len() == sizes.iter().sum::<usize>(), "{sizes:?}");
        }
    }

    #[test]
    fn a_small_body_cannot_unpack_to_any_size() {
        let bomb = gzip(&vec![0; ANSWER_BYTES_MAX + 1]);
        assert!(bomb.len() < 64 << 10);
        assert!(matches!(unpack(&bomb, 1), Err(BodyFault::TooLarge)));
    }
}
