//! One connection: a child process that speaks SFTP on its standard input and output, as `ssh -s HOST sftp` does.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use certadm_rules::printable::printable;

use super::wire::{self, Answer, MAX_ANSWER, Request};

/// Length of one part of a file: every server takes so much.
const PART: usize = 32 * 1024;
/// Requests under way at the same time, so that the length of the way does not count for each part.
const WINDOW: usize = 64;
/// A server that neither takes nor sends anything for so long is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is kept of what the child says on its standard error.
const SAID: usize = 2048;

const STATUS_OK: u32 = 0;
const STATUS_EOF: u32 = 1;
const STATUS_NO_FILE: u32 = 2;
const STATUS_DENIED: u32 = 3;
const STATUS_UNSUPPORTED: u32 = 8;

/// A connection that stands.
pub(super) struct Session {
    to: BufWriter<ChildStdin>,
    from: BufReader<ChildStdout>,
    next: u32,
    /// The server can put a file onto its disk.
    pub(super) has_fsync: bool,
    /// The server says how much room there is.
    pub(super) has_room: bool,
    /// What the child says, until it ends.
    said: Said,
    watched: Arc<Watched>,
    /// Answers may be under way to what was asked.
    broken: bool,
}

/// What the watch sees of a session.
struct Watched {
    child: Mutex<Child>,
    /// Messages that came or went.
    moved: AtomicU64,
    /// An answer is waited for.
    busy: AtomicBool,
    over: AtomicBool,
}

impl Session {
    /// Starts the child, and greets the server.
    ///
    /// # Errors
    /// When there is no such program, and what it says when it ends early.
    pub(super) fn start(command: &[OsString]) -> io::Result<Self> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| io::Error::other("there is no command"))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What is typed to end this command must not end the child first: what is under way is brought to its end.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| {
            io::Error::other(format!("cannot start {}: {error}", program.to_string_lossy()))
        })?;
        let piped = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(to), Some(from), Some(said)) = piped else {
            return Err(io::Error::other("the child has no pipes"));
        };
        let watched = Arc::new(Watched {
            child: Mutex::new(child),
            moved: AtomicU64::new(0),
            busy: AtomicBool::new(true),
            over: AtomicBool::new(false),
        });
        let own = Arc::clone(&watched);
        std::thread::spawn(move || own.watch());
        let mut session = Self {
            to: BufWriter::with_capacity(PART * 2, to),
            from: BufReader::with_capacity(PART * 2, from),
            next: 0,
            has_fsync: false,
            has_room: false,
            said: Said::listen(said),
            watched,
            broken: false,
        };
        // Where that fails, the child may still have said something.
        session.send(&wire::hello()).and_then(|()| session.to.flush()).ok();
        let greeted = session.message().and_then(|message| wire::announced(&message));
        session.watched.busy.store(false, Ordering::SeqCst);
        let announced = greeted.map_err(|error| session.explained(error))?;
        let has = |name: &str, version: &str| announced.iter().any(|(n, v)| n == name && v == version);
        session.has_fsync = has(wire::FSYNC, "1");
        session.has_room = has(wire::ROOM, "2");
        Ok(session)
    }

    /// Whether an error came from the connection and not from the server.
    pub(super) fn is_over(error: &io::Error) -> bool {
        matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
        )
    }

    /// An error of the connection, with what the child said when it ended.
    pub(super) fn explained(&mut self, error: io::Error) -> io::Error {
        if !Self::is_over(&error) && error.kind() != io::ErrorKind::InvalidData {
            return error;
        }
        self.watched.end();
        let said = self.said.words();
        let kind = match () {
            () if said.contains("Permission denied") => io::ErrorKind::PermissionDenied,
            () if said.contains("Host key verification failed") => io::ErrorKind::PermissionDenied,
            () => io::ErrorKind::ConnectionAborted,
        };
        match said.as_str() {
            "" => io::Error::new(kind, format!("the connection ended: {error}")),
            said => io::Error::new(kind, format!("the connection ended: {said}")),
        }
    }

    /// Asks one thing.
    ///
    /// # Errors
    /// When the connection ends.
    pub(super) fn ask(&mut self, request: &Request<'_>) -> io::Result<Answer> {
        let mut got = None;
        self.ask_all(std::iter::once(request.clone()), &mut |_, answer| {
            got = Some(answer);
            Ok(())
        })?;
        got.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    /// Asks several things, many at a time. Each answer comes with its request's place, in any order.
    ///
    /// # Errors
    /// When the connection ends, and what `take` returns; then the connection cannot be used any more.
    pub(super) fn ask_all<'a>(
        &mut self,
        mut requests: impl Iterator<Item = Request<'a>>,
        take: &mut dyn FnMut(usize, Answer) -> io::Result<()>,
    ) -> io::Result<()> {
        self.watched.busy.store(true, Ordering::SeqCst);
        let asked = self.ask_within(&mut requests, take);
        self.watched.busy.store(false, Ordering::SeqCst);
        self.broken |= asked.is_err();
        asked
    }

    /// Whether something more can be asked after an error.
    pub(super) const fn can_go_on(&self) -> bool {
        !self.broken
    }

    fn ask_within<'a>(
        &mut self,
        requests: &mut dyn Iterator<Item = Request<'a>>,
        take: &mut dyn FnMut(usize, Answer) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut waiting: VecDeque<(u32, usize)> = VecDeque::new();
        let mut place = 0;
        let mut more = true;
        loop {
            while more && waiting.len() < WINDOW {
                match requests.next() {
                    Some(request) => {
                        self.next = self.next.wrapping_add(1);
                        let message = request.write(self.next);
                        self.send(&message)?;
                        waiting.push_back((self.next, place));
                        place += 1;
                    }
                    None => more = false,
                }
            }
            if waiting.is_empty() {
                return Ok(());
            }
            self.to.flush()?;
            let (number, answer) = Answer::read(&self.message()?)?;
            let found = waiting.iter().position(|(waits, _)| *waits == number);
            let found = found.and_then(|found| waiting.remove(found));
            let (_, place) = found.ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "the server answered what nobody had asked")
            })?;
            take(place, answer)?;
        }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.to.write_all(message)?;
        self.watched.moved.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn message(&mut self) -> io::Result<Vec<u8>> {
        let mut len = [0; 4];
        self.from.read_exact(&mut len)?;
        let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if MAX_ANSWER < len {
            // A login script that greets people does it on the same line.
            let text =
                "the server sent what is no answer; something may write to the connection at each login";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut message = vec![0; len];
        self.from.read_exact(&mut message)?;
        self.watched.moved.fetch_add(1, Ordering::SeqCst);
        Ok(message)
    }

    /// Opens a file or a folder.
    ///
    /// # Errors
    /// What the server says.
    pub(super) fn handle(&mut self, request: &Request<'_>) -> io::Result<Vec<u8>> {
        match self.ask(request)? {
            Answer::Handle(handle) => Ok(handle),
            other => Err(refused(&other)),
        }
    }

    /// Does something that has no result.
    ///
    /// # Errors
    /// What the server says.
    pub(super) fn done(&mut self, request: &Request<'_>) -> io::Result<()> {
        is_done(&self.ask(request)?)
    }

    /// Writes a file that was opened, from its beginning.
    ///
    /// # Errors
    /// What the server says.
    pub(super) fn write(&mut self, handle: &[u8], parts: &[Bytes]) -> io::Result<()> {
        let mut offset = 0;
        let pieces = parts.iter().flat_map(|part| part.chunks(PART)).map(|data| {
            let request = Request::Write { handle, offset, data };
            offset += data.len() as u64;
            request
        });
        let mut failed = None;
        self.ask_all(pieces, &mut |_, answer| {
            if let Err(error) = is_done(&answer) {
                failed.get_or_insert(error);
            }
            Ok(())
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Reads from a file that was opened; less where it ends.
    ///
    /// # Errors
    /// What the server says.
    pub(super) fn read(&mut self, handle: &[u8], offset: u64, len: usize) -> io::Result<Bytes> {
        let mut buffer = vec![0; len];
        let mut end = len;
        // A server may send less than a part; what lacks is asked for again.
        let mut wanted: Vec<(usize, usize)> =
            (0..len).step_by(PART).map(|from| (from, PART.min(len - from))).collect();
        while !wanted.is_empty() {
            let mut again = Vec::new();
            let mut failed = None;
            let asked = wanted.clone();
            let requests = asked.iter().map(|(from, len)| Request::Read {
                handle,
                offset: offset + *from as u64,
                len: u32::try_from(*len).unwrap_or(u32::MAX),
            });
            self.ask_all(requests, &mut |place, answer| {
                let (from, len) = wanted[place];
                match answer {
                    Answer::Data(data) if !data.is_empty() && data.len() <= len => {
                        buffer[from..from + data.len()].copy_from_slice(&data);
                        if data.len() < len {
                            again.push((from + data.len(), len - data.len()));
                        }
                    }
                    Answer::Status { code: STATUS_EOF, .. } => end = end.min(from),
                    other => {
                        failed.get_or_insert(refused(&other));
                    }
                }
                Ok(())
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            again.retain(|(from, _)| *from < end);
            wanted = again;
        }
        buffer.truncate(end);
        Ok(buffer.into())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.watched.end();
    }
}

impl Watched {
    /// Ends the child when nothing moves, so that whoever waits for it goes on.
    fn watch(&self) {
        let (mut seen, mut since) = (0, Instant::now());
        while !self.over.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(500));
            let moved = self.moved.load(Ordering::SeqCst);
            if moved != seen || !self.busy.load(Ordering::SeqCst) {
                (seen, since) = (moved, Instant::now());
            } else if PATIENCE < since.elapsed() {
                self.end();
            }
        }
    }

    fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // With all that it has started: whoever holds its standard output keeps this process waiting.
        #[cfg(unix)]
        if let Ok(None) = child.try_wait() {
            let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            group.map(|group| rustix::process::kill_process_group(group, rustix::process::Signal::KILL));
        }
        child.kill().ok();
        child.wait().ok();
    }
}

/// The last lines that the child wrote.
struct Said {
    kept: Arc<Mutex<Vec<u8>>>,
    listener: JoinHandle<()>,
}

impl Said {
    fn listen(mut from: ChildStderr) -> Self {
        let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
        let own = Arc::clone(&kept);
        let listener = std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok(len @ 1..) = from.read(&mut buffer) {
                let mut kept = own.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&buffer[..len]);
                let over = kept.len().saturating_sub(SAID);
                kept.drain(..over);
            }
        });
        Self { kept, listener }
    }

    /// What a child said that has ended. One that it has left behind, which shares its connection with others, may hold its
    /// standard error open, and is not waited for.
    fn words(&self) -> String {
        for _ in 0..100 {
            if self.listener.is_finished() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept).replace('\r', "");
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        printable(&lines.join("; ")).into_owned()
    }
}

/// # Errors
/// Unless the answer is that it was done.
pub(super) fn is_done(answer: &Answer) -> io::Result<()> {
    match answer {
        Answer::Status { code: STATUS_OK, .. } => Ok(()),
        other => Err(refused(other)),
    }
}

/// Whether there is no more.
pub(super) fn is_end(answer: &Answer) -> bool {
    matches!(answer, Answer::Status { code: STATUS_EOF, .. })
}

/// What an answer means that is not the one that was hoped for.
pub(super) fn refused(answer: &Answer) -> io::Error {
    let Answer::Status { code, text } = answer else {
        return io::Error::new(io::ErrorKind::InvalidData, "the server's answer does not fit");
    };
    let (kind, own) = match *code {
        STATUS_NO_FILE => (io::ErrorKind::NotFound, "there is no such file"),
        STATUS_DENIED => (io::ErrorKind::PermissionDenied, "the server does not allow it"),
        STATUS_UNSUPPORTED => (io::ErrorKind::Unsupported, "the server cannot do that"),
        _ => (io::ErrorKind::Other, "the server failed"),
    };
    match text.as_str() {
        "" => io::Error::new(kind, own),
        text => io::Error::new(kind, format!("{own}: {}", printable(text))),
    }
}
