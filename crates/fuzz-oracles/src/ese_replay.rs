//! Hostile log records replayed over a real Windows database (ese.md 8, 9).

use certadm_ese::Database;
use certadm_ese::header::DatabaseHeader;
use certadm_ese::lgpos::Lgpos;
use certadm_ese::stamps::LogTime;
use certadm_ese::log::{Attachment, LogHeader};
use certadm_ese::overlay::Overlay;
use certadm_ese::pager::Pager;
use certadm_ese::redo::Replayer;

use crate::ese_base::DATABASE;

/// What a replay may change, in bytes.
const CHANGES: usize = 16 << 20;

/// The input is a sequence of records, each behind its length as u16. The database has number 1 in them.
///
/// Records that wait for their page lead to the same bytes as records that are applied as they come.
pub(crate) fn run(data: &[u8]) {
    let at_once = replay(data, Some(0));
    for waiting in [Some(2), None] {
        let ended = replay(data, waiting);
        assert!(at_once == ended, "{waiting:?} records wait: another end than at once ({})", ended.is_some());
    }
}

/// The size of the database behind the records, and the part of it that was there before; `None` for records that are
/// refused.
fn replay(data: &[u8], waiting: Option<usize>) -> Option<(u64, Vec<u8>)> {
    let Ok((header, _)) = DatabaseHeader::read(&*DATABASE) else {
        panic!("the database to start from must have a header");
    };
    let page_size = header.page_size();
    let log = log_header(&header);
    let mut replayer = Replayer::new(Overlay::new(DATABASE.as_slice(), CHANGES), Some(header), page_size);
    if let Some(records) = waiting {
        replayer = replayer.let_wait_at_most(records);
    }
    replayer.begin_log(&log);
    let mut rest = data;
    let mut position = Lgpos { generation: 1, segment: 1, offset: 0 };
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (record, after) = after.split_at(usize::from(u16::from_le_bytes(*length)).min(after.len()));
        rest = after;
        position.segment = position.segment.saturating_add(1);
        // After an error the replay must not go on.
        replayer.apply(position, record).ok()?;
    }
    let (target, header, _) = replayer.finish().ok()?;
    let Ok(database) = Database::open(&target) else {
        panic!("a finished replay left a file that does not open");
    };
    assert_eq!(database.header(), &header);
    // A record may make it grow to terabytes.
    let seen = DATABASE.len() as u64;
    let mut bytes = vec![0; usize::try_from(target.size().min(seen)).ok()?];
    target.read_at(0, &mut bytes).ok()?;
    Some((target.size(), bytes))
}

/// The header of a log in which the database is attached under number 1.
fn log_header(database: &DatabaseHeader) -> LogHeader {
    let attachment = Attachment {
        database: 1,
        dbtime: database.dbtime(),
        last_object: database.last_object_id(),
        signature: database.database_signature(),
        attach: Lgpos::default(),
        names: String::new(),
    };
    LogHeader {
        generation: 1,
        sector_size: 4096,
        header_sectors: 1,
        file_sectors: 256,
        page_size: database.page_size(),
        created: LogTime::default(),
        previous_created: LogTime::default(),
        version: [8, 4000, 4, 20],
        signature: database.log_signature(),
        flags: 0,
        checkpoint: Lgpos::default(),
        previous_xor: 0,
        attachments: vec![attachment],
    }
}
