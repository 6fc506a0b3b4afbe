//! The state machine against a model of another build: 100,000 random sessions, every code equal (certbcli.md 7.1).
//!
//! The model is the table itself, one row a call and one column a state, with a handful of sets for what was read.

use certadm_rules::sequence::{LogsRequest, Sequence, TruncateRequest};
use certadm_rules::{BackupKind, BackupType, Hresult};

const SESSIONS: u64 = 100_000;
const CALLS: u64 = 32;
const DATABASES: [&str; 2] = ["D0", "D1"];
const LOGS: [&str; 2] = ["edb00001.log", "edb00002.log"];

const OK: u32 = 0;
const UNEXPECTED: u32 = 0x8000_FFFF;
const ARGUMENT: u32 = 0x8007_0057;
const SEQUENCE: u32 = 0xC800_0209;
const UNREAD: u32 = 0xC800_0268;
const CALLER: u32 = 0xC800_0320;
const SERVER: u32 = 0xC800_0321;
/// A cell that depends on more than the column.
const LOOK: u32 = 1;
/// A cell that no walk can reach.
const NEVER: u32 = 2;

/// Columns: no session, database phase, database open, log phase, log open, truncated, failed.
const TABLE: [[u32; 7]; 11] = [
    [OK, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED],
    [SEQUENCE, OK, OK, OK, OK, OK, SERVER],
    [NEVER, NEVER, NEVER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE],
    [UNEXPECTED, OK, UNEXPECTED, SEQUENCE, UNEXPECTED, SEQUENCE, SERVER],
    [UNEXPECTED, SEQUENCE, UNEXPECTED, LOOK, UNEXPECTED, OK, SERVER],
    [UNEXPECTED, ARGUMENT, UNEXPECTED, ARGUMENT, UNEXPECTED, ARGUMENT, SERVER],
    [UNEXPECTED, UNEXPECTED, OK, UNEXPECTED, OK, UNEXPECTED, SERVER],
    [UNEXPECTED, UNEXPECTED, OK, UNEXPECTED, OK, UNEXPECTED, LOOK],
    [UNEXPECTED, OK, SEQUENCE, OK, SEQUENCE, OK, SERVER],
    [UNEXPECTED, SEQUENCE, SEQUENCE, LOOK, SEQUENCE, OK, SERVER],
    [UNEXPECTED, CALLER, CALLER, LOOK, LOOK, OK, SERVER],
];

/// The model: a column, and what the cells marked [`LOOK`] and the marks look at.
#[derive(Default, Clone, Copy)]
struct Model {
    column: usize,
    logs_only: bool,
    listed: bool,
    truncated: bool,
    /// Bit of the open file: databases 1 and 2, logs 4 and 8; 0 for none.
    open: u32,
    left: u64,
    read: u32,
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Prepare { logs_only: bool },
    Names,
    OpenDatabase { place: usize, size: u64 },
    OpenLog { place: usize, size: u64 },
    OpenUnlisted,
    Read { bytes: u64 },
    ReadFailed,
    Close,
    Logs,
    Truncate,
    End,
    Fail,
}

impl Model {
    /// The row of a call; a cancellation has none.
    fn row(&self, call: Call) -> Option<usize> {
        Some(match call {
            Call::Prepare { .. } => 0,
            Call::Names => 1 + usize::from(self.logs_only),
            Call::OpenDatabase { .. } => 3,
            Call::OpenLog { .. } => 4,
            Call::OpenUnlisted => 5,
            Call::Read { .. } | Call::ReadFailed => 6,
            Call::Close => 7,
            Call::Logs => 8,
            Call::Truncate => 9,
            Call::End => 10,
            Call::Fail => return None,
        })
    }

    /// The code of a call, and the kind marked by it; the model has moved on afterwards.
    fn call(&mut self, call: Call) -> (u32, Option<BackupKind>) {
        let Some(row) = self.row(call) else {
            self.column = if self.column == 0 { 0 } else { 6 };
            return (OK, None);
        };
        let databases_read = self.logs_only || self.read & 3 == 3;
        let logs_read = self.listed && self.read & 12 == 12;
        let code = match (TABLE[row][self.column], call) {
            (LOOK, Call::OpenLog { .. }) => {
                if self.listed {
                    OK
                } else {
                    SEQUENCE
                }
            }
            (LOOK, Call::Close) => {
                if self.open != 0 {
                    OK
                } else {
                    UNEXPECTED
                }
            }
            (LOOK, Call::Truncate) if !self.listed => SEQUENCE,
            (LOOK, Call::Truncate) => {
                if databases_read && logs_read {
                    OK
                } else {
                    UNREAD
                }
            }
            (LOOK, _) => {
                if databases_read {
                    OK
                } else {
                    CALLER
                }
            }
            (code, _) => code,
        };
        let mark = match (call, self.logs_only, self.truncated) {
            (Call::End, ..) if code != OK || !logs_read => None,
            (Call::End, false, true) => Some(BackupKind::Full),
            (Call::End, false, false) => Some(BackupKind::Copy),
            (Call::End, true, true) => Some(BackupKind::Incremental),
            (Call::End, true, false) => Some(BackupKind::Differential),
            _ => None,
        };
        if matches!(call, Call::End) {
            *self = Self::default();
        } else if code == OK {
            self.advance(call);
        }
        (code, mark)
    }

    fn advance(&mut self, call: Call) {
        match call {
            Call::Prepare { logs_only } => {
                *self = Self { column: if logs_only { 3 } else { 1 }, logs_only, ..Self::default() };
            }
            Call::OpenDatabase { place, size } => self.open(2, 1 << place, size),
            Call::OpenLog { place, size } => self.open(4, 4 << place, size),
            Call::Read { bytes } => {
                self.left = self.left.saturating_sub(bytes);
                self.note();
            }
            Call::ReadFailed if self.column == 4 => self.column = 6,
            Call::ReadFailed => (self.column, self.open) = (1, 0),
            Call::Close => {
                let back = if self.truncated { 5 } else { 3 };
                self.column = [0, 1, 1, 3, back, 5, 6][self.column];
                self.open = 0;
            }
            Call::Logs if !self.listed => (self.column, self.listed) = (3, true),
            Call::Truncate => (self.column, self.truncated) = (5, true),
            _ => {}
        }
    }

    fn open(&mut self, column: usize, file: u32, size: u64) {
        (self.column, self.open, self.left) = (column, file, size);
        self.note();
    }

    fn note(&mut self) {
        if self.left == 0 {
            self.read |= self.open;
        }
    }
}

/// The same call on the machine. `asked` tells whether the question comes first or the confirmation alone.
fn call(sequence: &mut Sequence, call: Call, asked: bool) -> Result<Option<BackupKind>, Hresult> {
    match call {
        Call::Prepare { logs_only } => {
            if asked {
                sequence.check_prepare()?;
            }
            let backup_type = if logs_only { BackupType::LogsOnly } else { BackupType::Full };
            sequence.prepared(backup_type, DATABASES.map(str::to_owned).to_vec())?;
        }
        Call::Names => assert_eq!(sequence.database_names()?, DATABASES),
        Call::OpenDatabase { place, size } => open(sequence, DATABASES[place], size)?,
        Call::OpenLog { place, size } => open(sequence, LOGS[place], size)?,
        Call::OpenUnlisted => open(sequence, "D2", 1)?,
        Call::Read { bytes } => {
            if asked {
                sequence.check_read()?;
            }
            sequence.delivered(bytes)?;
        }
        Call::ReadFailed => drop(sequence.read_failed()?),
        Call::Close => drop(sequence.close()?),
        Call::Logs if asked => match sequence.check_backup_logs()? {
            LogsRequest::Roll => sequence.logs_listed(LOGS.map(str::to_owned).to_vec())?,
            LogsRequest::Repeat(names) => assert_eq!(names, LOGS),
        },
        Call::Logs => sequence.logs_listed(LOGS.map(str::to_owned).to_vec())?,
        Call::Truncate if asked => match sequence.check_truncate()? {
            TruncateRequest::Delete => sequence.truncated()?,
            TruncateRequest::Nothing => {}
        },
        Call::Truncate => sequence.truncated()?,
        Call::End => {
            let outcome = sequence.end()?;
            if outcome.result == Hresult::S_OK {
                return Ok(outcome.mark);
            }
            assert_eq!(outcome.mark, None, "a mark without success");
            return Err(outcome.result);
        }
        Call::Fail => sequence.fail(),
    }
    Ok(None)
}

fn open(sequence: &mut Sequence, name: &str, size: u64) -> Result<(), Hresult> {
    let file = sequence.check_open(Some(name))?;
    sequence.opened(file, size)
}

/// The step of splitmix64: small, seeded, and good enough to choose calls.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn place(&mut self) -> usize {
        usize::from(self.below(2) == 1)
    }

    /// One call: half of the time whatever comes, else the one that brings a backup forward.
    fn call(&mut self, model: &Model) -> Call {
        if self.below(2) == 0 {
            return self.any_call();
        }
        let unread = |place: usize, files: u32| place ^ usize::from(model.read & files << place != 0);
        match model.column {
            0 => Call::Prepare { logs_only: self.below(2) == 0 },
            1 if model.read & 3 == 3 => Call::Logs,
            1 => Call::OpenDatabase { place: unread(self.place(), 1), size: self.below(3) },
            2 | 4 if model.left == 0 => Call::Close,
            2 | 4 => Call::Read { bytes: model.left },
            3 if !model.listed => Call::Logs,
            3 if model.read & 12 != 12 => {
                Call::OpenLog { place: unread(self.place(), 4), size: self.below(3) }
            }
            3 if self.below(4) == 0 => Call::End,
            3 => Call::Truncate,
            _ => self.any_call(),
        }
    }

    fn any_call(&mut self) -> Call {
        match self.below(40) {
            0..=4 => Call::Prepare { logs_only: self.below(3) == 0 },
            5 => Call::Names,
            6..=10 => Call::OpenDatabase { place: self.place(), size: self.below(3) },
            11..=16 => Call::OpenLog { place: self.place(), size: self.below(3) },
            17 => Call::OpenUnlisted,
            18..=23 => Call::Read { bytes: self.below(4) },
            24 => Call::ReadFailed,
            25..=31 => Call::Close,
            32..=34 => Call::Logs,
            35..=37 => Call::Truncate,
            38 => Call::End,
            _ if self.below(3) == 0 => Call::Fail,
            _ => Call::Names,
        }
    }
}

#[test]
fn random_sessions_get_the_codes_of_the_model() {
    let mut cells = [[0u32; 7]; 11];
    let mut marks = [0u32; 4];
    for seed in 0..SESSIONS {
        let mut random = Random(seed);
        let (mut model, mut sequence) = (Model::default(), Sequence::new());
        let mut history = Vec::new();
        for _ in 0..CALLS {
            let (next, asked) = (random.call(&model), random.below(4) != 0);
            history.push(next);
            if let Some(row) = model.row(next) {
                cells[row][model.column] += 1;
            }
            let (code, mark) = model.call(next);
            let answer = call(&mut sequence, next, asked);
            let answered = answer.map_or_else(|code| (code.to_bits(), None), |mark| (OK, mark));
            assert_eq!(answered, (code, mark), "seed {seed}: {history:?}");
            if let Some(kind) = mark {
                marks[kind as usize] += 1;
            }
        }
    }
    // The walk is worth something only if it comes everywhere.
    for (row, visits) in cells.iter().enumerate() {
        for (column, &visits) in visits.iter().enumerate() {
            let wanted = if TABLE[row][column] == NEVER { 0..1 } else { 100..u32::MAX };
            assert!(wanted.contains(&visits), "row {row}, column {column}: {visits} visits");
        }
    }
    assert!(marks.iter().all(|&count| 100 <= count), "kinds seldom marked: {marks:?}");
}
