//! A log file: one iterator of records, whatever the framing.

use std::borrow::Cow;

use certadm_files::AlignedBuffer;

use crate::bytes::{Fields, index};
use crate::code::Code;
use crate::error::Error;
use crate::lgpos::Lgpos;
use crate::log::frames::{Frames, LogEnd};
use crate::log::header::{Framing, LOG_HEADER, LogHeader};
use crate::log::kind::{RecordKind, record_length};
use crate::log::{frames_v7, frames_v8};
use crate::pager::Pager;
use crate::stamps::LogTime;

/// A log file read and checked as a whole. Memory: the size its header states, at most 256 MiB by format,
/// and never more than the file has.
#[derive(Clone, Debug)]
pub struct LogFile {
    header: LogHeader,
    bytes: AlignedBuffer,
    frames: Frames,
    actual_size: u64,
}

impl LogFile {
    /// Reads the header only: what planning needs.
    ///
    /// # Errors
    /// As [`LogHeader::parse`], and [`Error::Io`].
    pub fn read_header(file: &dyn Pager) -> Result<LogHeader, Error> {
        let mut bytes = vec![0; LOG_HEADER.min(usize::try_from(file.size()).unwrap_or(LOG_HEADER))];
        file.read_at(0, &mut bytes)?;
        LogHeader::parse(&bytes)
    }

    /// Reads and checks the file. Damage behind the header is no error here: see [`LogFile::end`].
    ///
    /// # Errors
    /// As [`LogHeader::parse`], and [`Error::Io`].
    pub fn open(file: &dyn Pager) -> Result<Self, Error> {
        let header = Self::read_header(file)?;
        let length = file.size().min(header.file_size());
        let mut bytes = AlignedBuffer::new(usize::try_from(length).unwrap_or(0));
        file.read_at(0, &mut bytes)?;
        let frames = match header.framing() {
            Framing::Segments => frames_v8::walk(&header, &mut bytes),
            Framing::Stream => frames_v7::walk(&header, &mut bytes),
        };
        Ok(Self { header, bytes, frames, actual_size: file.size() })
    }

    /// Its header.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// How the trusted part ends.
    pub fn end(&self) -> LogEnd {
        self.frames.end
    }

    /// The segments in which reading corrected a flipped bit: where each begins, and which bit of it.
    pub fn corrected(&self) -> impl Iterator<Item = (Lgpos, u32)> {
        self.frames.corrected.iter().map(|(offset, bit)| (self.position(*offset), *bit))
    }

    /// True when the file has the size its header states.
    pub fn has_stated_size(&self) -> bool {
        self.actual_size == self.header.file_size()
    }

    /// XOR of the checksums of all valid segments; the successor's header repeats it (version 8).
    pub fn segments_xor(&self) -> u64 {
        self.frames.accumulated_xor
    }

    /// All records of the trusted part, in order. Padding and checksum records are left out.
    pub fn records(&self) -> Records<'_> {
        Records {
            log: self,
            piece: 0,
            at: self.frames.pieces.first().map_or(0, |piece| piece.start),
            failed: false,
        }
    }

    /// When the last backup began that the log tells of: the record of its first phase says so (ese.md 8.4).
    pub fn backup_begun(&self) -> Option<LogTime> {
        const BEGIN: u8 = 1;
        /// Where its BKINFO has the time (ese.md 3.1).
        const TIME: usize = 16;
        let begins = |record: &RecordAt<'_>| {
            record.bytes.starts_with(&[RecordKind::Backup as u8, BEGIN]) && TIME + 8 <= record.bytes.len()
        };
        let record = self.records().map_while(Result::ok).filter(begins).last()?;
        Some(LogTime(*record.bytes.get(TIME..)?.first_chunk()?))
    }

    /// Position of the first byte behind the trusted part.
    pub fn end_position(&self) -> Lgpos {
        match self.frames.pieces.last() {
            Some(piece) => self.position(piece.position + (piece.end - piece.start)),
            None => self.position(LOG_HEADER),
        }
    }

    fn position(&self, offset: usize) -> Lgpos {
        let sector = usize::from(self.header.sector_size).max(1);
        Lgpos {
            generation: self.header.generation,
            segment: u16::try_from(offset / sector).unwrap_or(u16::MAX),
            offset: u16::try_from(offset % sector).unwrap_or(u16::MAX),
        }
    }

    fn corrupt(&self, position: Lgpos, problem: &str) -> Error {
        Error::Log {
            generation: self.header.generation,
            code: Code::LOG_CORRUPT,
            problem: format!("{problem} at {position}: take the log from another backup"),
        }
    }
}

/// A record and where it starts.
#[derive(Clone, Debug)]
pub struct RecordAt<'a> {
    /// Where it starts; of a record in fragments, where the first one starts.
    pub position: Lgpos,
    /// All its bytes, the type first.
    pub bytes: Cow<'a, [u8]>,
}

/// Records of a log; ends after the first error.
pub struct Records<'a> {
    log: &'a LogFile,
    piece: usize,
    at: usize,
    failed: bool,
}

const NOP: u8 = RecordKind::Nop as u8;
const CHECKSUM: u8 = RecordKind::Checksum as u8;
const FRAGMENT_BEGIN: u8 = RecordKind::FragmentBegin as u8;
const FRAGMENT: u8 = RecordKind::Fragment as u8;
const UNDO_INFO: u8 = RecordKind::UndoInfo as u8;

/// What the engine may write after a crash instead of the fragments that are missing.
const AFTER_CRASH: [u8; 3] = [RecordKind::RecoveryUndo as u8, RecordKind::RecoveryUndo2 as u8, UNDO_INFO];

/// A record that comes instead of the missing fragments; undo information may itself be in fragments.
fn may_follow_a_crash(record: &[u8]) -> bool {
    AFTER_CRASH.contains(&record[0]) || (record[0] == FRAGMENT_BEGIN && record.get(7) == Some(&UNDO_INFO))
}

impl<'a> Records<'a> {
    /// The next record as it lies in the file, fragments included.
    fn next_raw(&mut self) -> Result<Option<(Lgpos, &'a [u8])>, Error> {
        while let Some(piece) = self.log.frames.pieces.get(self.piece) {
            let rest = self.log.bytes.get(self.at..piece.end).unwrap_or_default();
            let position = self.log.position(piece.position + (self.at - piece.start));
            match rest.first() {
                None => {
                    self.piece += 1;
                    if let Some(next) = self.log.frames.pieces.get(self.piece) {
                        self.at = next.start;
                    }
                    continue;
                }
                Some(&NOP) => {
                    self.at += 1;
                    continue;
                }
                Some(_) => {}
            }
            let length = match record_length(rest) {
                Ok(Some(length)) => length,
                Ok(None) => {
                    return Err(Error::UnknownRecord { kind: rest[0], position });
                }
                Err(_) if self.is_cut_by_the_end() => return Ok(None),
                Err(_) => return Err(self.log.corrupt(position, "a record is cut off")),
            };
            let Some(record) = rest.get(..length) else {
                if self.is_cut_by_the_end() {
                    return Ok(None);
                }
                return Err(self.log.corrupt(position, "a record is longer than its place"));
            };
            self.at += length;
            if record[0] != CHECKSUM {
                return Ok(Some((position, record)));
            }
        }
        Ok(None)
    }

    /// In one stream, records cross the places where it can be trusted no longer. The one that does was never completed, or
    /// is in the damage, which is told of by itself.
    fn is_cut_by_the_end(&self) -> bool {
        let frames = &self.log.frames;
        let ends_early = matches!(frames.end, LogEnd::Torn(_) | LogEnd::Damaged(_));
        !frames.fragments && ends_early && self.piece + 1 == frames.pieces.len()
    }

    fn next_whole(&mut self) -> Result<Option<RecordAt<'a>>, Error> {
        let Some((mut position, mut record)) = self.next_raw()? else {
            return Ok(None);
        };
        'whole: loop {
            if record[0] == FRAGMENT {
                return Err(self.log.corrupt(position, "a fragment without its beginning"));
            }
            if record[0] != FRAGMENT_BEGIN || !self.log.frames.fragments {
                return Ok(Some(RecordAt { position, bytes: Cow::Borrowed(record) }));
            }
            let total = index(Fields::new(record, "a fragment").u32(1)?);
            let mut bytes = record[7..].to_vec();
            while bytes.len() < total {
                let Some((next_position, next)) = self.next_raw()? else {
                    // The log ends inside the record: it was never completed.
                    return Ok(None);
                };
                if next[0] != FRAGMENT {
                    // After a crash the engine goes on with an undo mark instead of the rest.
                    if !may_follow_a_crash(next) {
                        let problem = "a record in fragments is not completed";
                        return Err(self.log.corrupt(next_position, problem));
                    }
                    (position, record) = (next_position, next);
                    continue 'whole;
                }
                bytes.extend_from_slice(&next[3..]);
            }
            if bytes.is_empty() {
                return Err(self.log.corrupt(position, "a record in fragments has no bytes"));
            }
            // The assembled bytes must be one record of just that length.
            return match record_length(&bytes) {
                Ok(Some(length)) if length == bytes.len() && length == total => {
                    Ok(Some(RecordAt { position, bytes: Cow::Owned(bytes) }))
                }
                Ok(None) => Err(Error::UnknownRecord { kind: bytes[0], position }),
                _ => Err(self.log.corrupt(position, "the parts of a record have another length than it")),
            };
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordAt<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_whole();
        self.failed = next.is_err();
        next.transpose()
    }
}
