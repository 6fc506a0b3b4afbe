//! Transactions of several sessions, made by chance: behind every record a rollback leaves what was committed.

use std::collections::BTreeMap;

use crate::writer::At;
use certadm_ese::header::DatabaseHeader;
use certadm_ese::lgpos::Lgpos;
use certadm_ese::log::LogFile;
use certadm_ese::pagesize::PageSize;
use certadm_ese::redo::Replayer;
use proptest::prelude::*;

const ROOT: u32 = 10;
const VERSIONED: u8 = 1;
const UNIQUE: u8 = 4;

#[derive(Clone, Copy, Debug)]
enum Wish {
    Begin,
    Write(u8),
    Add,
    Delete,
    Commit,
    RollBack,
}

/// A node of the one page, as the log so far left it.
#[derive(Clone, Debug)]
struct Node {
    key: Vec<u8>,
    data: Vec<u8>,
    deleted: bool,
}

/// A change that a rollback undoes.
#[derive(Clone, Debug)]
struct Change {
    version: u32,
    operation: u16,
    key: Vec<u8>,
    /// The node before; none where it was made.
    before: Option<Node>,
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What the log says happened, told without the code under test.
#[derive(Default)]
struct Model {
    time: u64,
    nodes: Vec<Node>,
    open: BTreeMap<u16, Vec<Change>>,
    committed: Rows,
}

impl Model {
    fn visible(&self) -> Rows {
        let nodes = self.nodes.iter().filter(|node| !node.deleted);
        nodes.map(|node| (node.key.clone(), node.data.clone())).collect()
    }

    fn line_of(&self, key: &[u8]) -> Result<usize, usize> {
        self.nodes.binary_search_by(|node| node.key.as_slice().cmp(key))
    }

    fn is_locked_for(&self, session: u16, key: &[u8]) -> bool {
        let others = self.open.iter().filter(|(other, _)| **other != session);
        others.flat_map(|(_, changes)| changes).any(|change| change.key == key)
    }

    /// Where and when the next change happens.
    fn at(&mut self, session: u16, line: usize) -> At {
        self.time += 1;
        At {
            session,
            page: ROOT,
            before: self.time - 1,
            after: self.time,
            line: u16::try_from(line).unwrap(),
            flags: VERSIONED | UNIQUE,
            version: u32::try_from(self.time).unwrap(),
            root: ROOT,
        }
    }

    fn begin(&mut self, session: u16, log: &mut Vec<Vec<u8>>) {
        if let std::collections::btree_map::Entry::Vacant(entry) = self.open.entry(session) {
            entry.insert(Vec::new());
            log.push(crate::writer::begin(session, 0));
        }
    }

    /// The records of one wish, if it can be had.
    fn fulfil(&mut self, session: u16, key: &[u8], wish: Wish) -> Vec<Vec<u8>> {
        let mut log = Vec::new();
        match wish {
            Wish::Begin => self.begin(session, &mut log),
            Wish::Commit => self.commit(session, &mut log),
            Wish::RollBack => self.roll_back(session, &mut log),
            Wish::Write(_) | Wish::Add | Wish::Delete if self.is_locked_for(session, key) => {}
            Wish::Write(value) => self.write(session, key, value, &mut log),
            Wish::Add => self.add(session, key, &mut log),
            Wish::Delete => self.delete(session, key, &mut log),
        }
        log
    }

    fn remember(&mut self, session: u16, at: At, operation: u16, key: &[u8], before: Option<Node>) {
        let change = Change { version: at.version, operation, key: key.to_vec(), before };
        self.open.entry(session).or_default().push(change);
    }

    fn write(&mut self, session: u16, key: &[u8], value: u8, log: &mut Vec<Vec<u8>>) {
        self.begin(session, log);
        let data = vec![value; 4 + usize::from(value % 5)];
        match self.line_of(key) {
            Err(line) => {
                let at = self.at(session, line);
                log.push(crate::writer::insert(at, key, &data));
                self.nodes.insert(line, Node { key: key.to_vec(), data, deleted: false });
                self.remember(session, at, 1, key, None);
            }
            Ok(line) => {
                let at = self.at(session, line);
                let before = self.nodes[line].clone();
                log.push(if before.deleted {
                    crate::writer::flag_insert_and_replace(at, key, &data)
                } else {
                    crate::writer::replace(at, &before.data, &data)
                });
                self.nodes[line] = Node { data, deleted: false, ..before.clone() };
                self.remember(session, at, if before.deleted { 1 } else { 2 }, key, Some(before));
            }
        }
    }

    fn add(&mut self, session: u16, key: &[u8], log: &mut Vec<Vec<u8>>) {
        let Some(line) = self.line_of(key).ok().filter(|line| !self.nodes[*line].deleted) else {
            return;
        };
        self.begin(session, log);
        let at = self.at(session, line);
        let before = self.nodes[line].clone();
        log.push(crate::writer::delta(at, key, 1));
        let counter = self.nodes[line].data.first_chunk_mut::<4>().unwrap();
        *counter = i32::from_le_bytes(*counter).wrapping_add(1).to_le_bytes();
        self.remember(session, at, 4, key, Some(before));
    }

    fn delete(&mut self, session: u16, key: &[u8], log: &mut Vec<Vec<u8>>) {
        let Some(line) = self.line_of(key).ok().filter(|line| !self.nodes[*line].deleted) else {
            return;
        };
        self.begin(session, log);
        let at = self.at(session, line);
        let before = self.nodes[line].clone();
        log.push(crate::writer::flag_delete(at));
        self.nodes[line].deleted = true;
        self.remember(session, at, 3, key, Some(before));
    }

    fn commit(&mut self, session: u16, log: &mut Vec<Vec<u8>>) {
        let Some(changes) = self.open.remove(&session) else {
            return;
        };
        log.push(crate::writer::commit(session, 0));
        for change in changes {
            let node = &self.nodes[self.line_of(&change.key).unwrap()];
            if node.deleted {
                self.committed.remove(&change.key);
            } else {
                self.committed.insert(change.key, node.data.clone());
            }
        }
    }

    /// What the engine logs before it writes pages with changes that are not committed.
    fn undo_information(&self) -> Vec<Vec<u8>> {
        let open = self.open.iter();
        let changes =
            open.flat_map(|(session, changes)| changes.iter().map(move |change| (*session, change)));
        let record = |(session, change): (u16, &Change)| {
            let before = change.before.as_ref()?;
            let mut at = At {
                session,
                page: ROOT,
                before: 0,
                after: 0,
                line: 0,
                flags: VERSIONED | UNIQUE,
                version: change.version,
                root: ROOT,
            };
            if change.operation == 1 {
                at.version = crate::writer::replace_version(at);
            }
            let operation = if change.operation == 1 { 2 } else { change.operation };
            Some(crate::writer::undo_info(at, &change.key, operation, &before.data))
        };
        changes.filter_map(record).collect()
    }

    /// The engine logs what it undoes, newest first.
    fn roll_back(&mut self, session: u16, log: &mut Vec<Vec<u8>>) {
        let Some(changes) = self.open.remove(&session) else {
            return;
        };
        for change in changes.into_iter().rev() {
            let line = self.line_of(&change.key).unwrap();
            if let (1, Some(before)) = (change.operation, &change.before) {
                // A deleted node came back with other data: its data first.
                let at = At { version: change.version, ..self.at(session, line) };
                let at = At { version: crate::writer::replace_version(at), ..at };
                log.push(crate::writer::undo(at, &change.key, 2));
                self.nodes[line].data.clone_from(&before.data);
            }
            let at = At { version: change.version, ..self.at(session, line) };
            log.push(crate::writer::undo(at, &change.key, change.operation));
            match change.before {
                Some(before) => self.nodes[line] = before,
                None => self.nodes[line].deleted = true,
            }
        }
        log.push(crate::writer::rollback(session, 1));
    }
}

fn wish() -> impl Strategy<Value = (u16, u8, Wish)> {
    let wish = prop_oneof![
        1 => Just(Wish::Begin),
        6 => any::<u8>().prop_map(Wish::Write),
        2 => Just(Wish::Add),
        3 => Just(Wish::Delete),
        2 => Just(Wish::Commit),
        1 => Just(Wish::RollBack),
    ];
    (1u16..4, 0u8..6, wish)
}

/// A replay with a position that advances by itself.
struct Run {
    replayer: Replayer<Vec<u8>>,
    position: Lgpos,
}

impl Run {
    fn new(target: Vec<u8>) -> Self {
        let bytes = crate::writer::log_v8(1, 3, &[]);
        let header = DatabaseHeader::read(&target).ok().map(|(header, _)| header);
        let mut replayer = Replayer::new(target, header, PageSize::new(4096).unwrap());
        replayer.begin_log(LogFile::open(&bytes).unwrap().header());
        let mut run = Self { replayer, position: Lgpos { generation: 1, segment: 1, offset: 40 } };
        run.apply(&crate::writer::create_database());
        run.apply(&crate::writer::create_tree(At {
            session: 1,
            page: ROOT,
            before: 0,
            after: 10,
            line: 0,
            flags: UNIQUE,
            version: 10,
            root: ROOT,
        }));
        run
    }

    fn apply(&mut self, record: &[u8]) {
        self.position.offset += 1;
        self.replayer.apply(self.position, record).unwrap();
    }
}

fn rows(mut replayer: Replayer<Vec<u8>>) -> Rows {
    replayer.visible_nodes().unwrap().into_iter().map(|node| (node.key, node.data)).collect()
}

proptest! {
    #[test]
    fn behind_every_record_a_rollback_leaves_what_was_committed(
        wishes in proptest::collection::vec(wish(), 1..60),
        crash in any::<prop::sample::Index>(),
    ) {
        let mut model = Model { time: 10, ..Model::default() };
        let mut run = Run::new(Vec::new());
        let mut records = Vec::new();
        let crash = crash.index(wishes.len());
        let mut crashed = None;
        for (number, (session, key, wish)) in wishes.into_iter().enumerate() {
            if number == crash {
                records.extend(model.undo_information());
                crashed = Some(run.replayer.clone().into_crashed().unwrap());
            }
            let key = [b'k', key];
            let committed = model.committed.clone();
            let log = model.fulfil(session, &key, wish);
            let last = log.len();
            for (number, record) in (1..).zip(&log) {
                run.apply(record);
                let mut cut = run.replayer.clone();
                cut.roll_back().unwrap();
                // A commit counts from its record on; all others leave what was committed alone.
                let expected = if number == last { &model.committed } else { &committed };
                prop_assert_eq!(&rows(cut), expected);
            }
            prop_assert_eq!(rows(run.replayer.clone()), model.visible());
            records.extend(log);
        }
        // All transactions end, and the same log replayed on a file that a crash left in the middle ends the same.
        for session in 1..4 {
            let mut log = Vec::new();
            model.commit(session, &mut log);
            log.iter().for_each(|record| run.apply(record));
            records.extend(log);
        }
        let (complete, _, counts) = run.replayer.finish().unwrap();
        prop_assert_eq!(counts.rolled_back, 0);
        let mut again = Run::new(crashed.unwrap());
        records.iter().for_each(|record| again.apply(record));
        let (ended, _, _) = again.replayer.finish().unwrap();
        prop_assert!(ended[2 * 4096..] == complete[2 * 4096..]);
    }
}
