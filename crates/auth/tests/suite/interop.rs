//! impacket and pyspnego against both of our halves. Off by default: they need a Python that has them.
//!
//! ```text
//! python3 -m venv V && V/bin/pip install -r tests/interop/requirements.txt
//! CERTADM_PYTHON=V/bin/python cargo test -p certadm-auth --test suite -- --ignored
//! ```
//!
//! Each test starts a script of `tests/interop` and talks with it over its standard streams; `auth_channel.py` there has
//! the protocol.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use certadm_auth::{
    AccountName, AuthError, AuthType, Established, Flavour, Level, SealError, Step, initiator,
};

use crate::world::{PRIVACY, acceptor, account_of, credentials, seal, unseal, workstation};

const PASSWORD: &str = "Pa55-wörd";

/// A script that has left because it was refused, as it should.
const LEFT_REFUSED: i32 = 3;

/// A running script.
struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start(script: &str, arguments: &[&str], password: &str) -> Self {
        let python = std::env::var_os("CERTADM_PYTHON")
            .expect("CERTADM_PYTHON names a Python with tests/interop/requirements.txt installed");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop");
        let mut child = Command::new(python)
            .arg("-B")
            .arg(folder.join(script))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut peer = Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        };
        peer.send("password", password.as_bytes());
        peer
    }

    fn send(&mut self, word: &str, data: &[u8]) {
        let mut line = format!("{word} ");
        for byte in data {
            for digit in [byte >> 4, byte & 15] {
                line.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        line.push('\n');
        self.input.write_all(line.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    /// The data of the next message, `None` if the script refused.
    fn receive(&mut self, expected: &str) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let (word, data) = line.trim_end().split_once(' ').or_else(|| Some((line.trim_end(), ""))).unwrap();
        if word == "failed" {
            return None;
        }
        assert_eq!(word, expected, "{line}");
        let digits = data.as_bytes().chunks(2);
        Some(digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect())
    }

    fn leave(mut self) -> Option<i32> {
        drop(self.input);
        self.child.wait().unwrap().code()
    }
}

/// The script starts the handshake.
fn accept(peer: &mut Peer, auth_type: AuthType) -> Result<Established, AuthError> {
    let mut server = acceptor(auth_type);
    loop {
        let token = peer.receive("token").expect("the client does not refuse");
        match server.step(&token) {
            Ok(Step { token_out, done, .. }) => {
                peer.send("token", &token_out);
                if let Some(done) = done {
                    return Ok(done);
                }
            }
            Err(error) => {
                peer.send("failed", &[]);
                return Err(error);
            }
        }
    }
}

/// We start the handshake; `None` if the script refuses us.
fn initiate(peer: &mut Peer, flavour: Flavour, password: &str) -> Option<Established> {
    let credentials = credentials("CORP", "alice", password);
    let mut client = initiator(flavour, &credentials, "HOST/ca1", Level::Privacy, &workstation()).unwrap();
    let mut token = Vec::new();
    loop {
        let step = client.step(&token).unwrap();
        if !step.token_out.is_empty() {
            peer.send("token", &step.token_out);
            token = peer.receive("token")?;
        }
        if step.done.is_some() {
            return step.done;
        }
    }
}

/// Our part of `auth_channel.exchange`.
fn exchange(peer: &mut Peer, done: &mut Established) {
    for number in 0..202_usize {
        let mut pdu = peer.receive("pdu").unwrap();
        let body = unseal(&mut done.unsealer, PRIVACY, &mut pdu).unwrap();
        let size = if number < 200 { 4000 } else { 1 << 20 };
        let filler = number.to_le_bytes()[0];
        assert!(body == vec![filler; size], "{number}");
        let answer = seal(&mut done.sealer, PRIVACY, &vec![!filler; size]);
        peer.send("pdu", &answer);
    }
    let mut altered = seal(&mut done.sealer, PRIVACY, b"altered on the way");
    altered[3] ^= 1;
    peer.send("pdu", &altered);
    assert_eq!(peer.receive("pdu"), None, "they refuse an altered header");

    let mut pdu = peer.receive("pdu").unwrap();
    assert_eq!(unseal(&mut done.unsealer, PRIVACY, &mut pdu), Err(SealError::BadSignature));
    peer.send("failed", &[]);
}

/// One foreign initiator: right password, then a wrong one, then an unknown account.
fn judge_acceptor(script: &str, leading: &[&str], auth_type: AuthType) {
    let start = |user, password| {
        let arguments = [leading, &["CORP", user]].concat();
        Peer::start(script, &arguments, password)
    };
    let mut peer = start("alice", PASSWORD);
    let mut done = accept(&mut peer, auth_type).unwrap();
    assert_eq!(account_of(&done.peer), AccountName::new("CORP", "alice"));
    exchange(&mut peer, &mut done);
    assert_eq!(peer.leave(), Some(0));

    for (user, password) in [("alice", "Pa55-word"), ("nobody", PASSWORD), ("/GUEST", "x")] {
        let mut peer = start(user, password);
        assert_eq!(
            accept(&mut peer, auth_type).err(),
            Some(AuthError::LogonRefused { account: AccountName::new("CORP", user) })
        );
        assert_eq!(peer.leave(), Some(LEFT_REFUSED));
    }
}

/// Python puts user names in capitals by the full Unicode mapping, so that `groß` and `GROSS` are one to it.
fn letters_beyond_ascii(script: &str, leading: &[&str], auth_type: AuthType) {
    for (user, password) in [("groß", "straße"), ("jörg", "geheim €")] {
        let arguments = [leading, &["CORP", user]].concat();
        let mut peer = Peer::start(script, &arguments, password);
        let mut done = accept(&mut peer, auth_type).unwrap();
        assert_eq!(account_of(&done.peer), AccountName::new("CORP", user));
        exchange(&mut peer, &mut done);
        assert_eq!(peer.leave(), Some(0));
    }
}

fn judge_initiator(protocol: &str, flavour: Flavour) {
    let start = || Peer::start("auth_pyspnego.py", &["accept", protocol, "CORP", "alice"], PASSWORD);
    let mut peer = start();
    let mut done = initiate(&mut peer, flavour, PASSWORD).unwrap();
    exchange(&mut peer, &mut done);
    assert_eq!(peer.leave(), Some(0));

    let mut peer = start();
    assert!(initiate(&mut peer, flavour, "Pa55-word").is_none());
    assert_eq!(peer.leave(), Some(LEFT_REFUSED));
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn impacket_initiates_raw_ntlm() {
    judge_acceptor("auth_impacket.py", &["ntlm"], AuthType::NTLM);
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn impacket_initiates_raw_ntlm_under_auth_type_9() {
    judge_acceptor("auth_impacket.py", &["ntlm"], AuthType::SPNEGO);
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn impacket_initiates_spnego() {
    judge_acceptor("auth_impacket.py", &["spnego"], AuthType::SPNEGO);
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn pyspnego_initiates_raw_ntlm() {
    judge_acceptor("auth_pyspnego.py", &["initiate", "ntlm"], AuthType::NTLM);
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn pyspnego_initiates_spnego() {
    judge_acceptor("auth_pyspnego.py", &["initiate", "negotiate"], AuthType::SPNEGO);
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn pyspnego_accepts_raw_ntlm() {
    judge_initiator("ntlm", Flavour::Ntlm);
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn pyspnego_accepts_spnego() {
    judge_initiator("negotiate", Flavour::Spnego);
}

/// The last message names the service that is meant and is protected by a MIC (MS-NLMP 3.1.5.1.2), and beside a server's time
/// the LM response is zeros.
#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn impacket_accepts_our_logon_and_finds_its_target() {
    for kind in ["time", "no-time"] {
        let start = || Peer::start("auth_impacket_accept.py", &["CORP", "alice", kind], PASSWORD);
        let logon = |peer: &mut Peer, password: &str| {
            let credentials = credentials("CORP", "alice", password);
            let mut client =
                initiator(Flavour::Ntlm, &credentials, "HOST/ca1", Level::Privacy, &workstation()).unwrap();
            peer.send("token", &client.step(&[]).unwrap().token_out);
            let challenge = peer.receive("token").unwrap();
            client.step(&challenge).map(|last| peer.send("token", &last.token_out))
        };
        let mut peer = start();
        logon(&mut peer, PASSWORD).unwrap();
        let seen = String::from_utf8(peer.receive("token").expect("the logon is right")).unwrap();
        let field = |name: &str| {
            let line =
                seen.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{seen}"));
            line.trim_start().to_owned()
        };
        assert_eq!(field("target"), "HOST/ca1", "{kind}");
        if kind == "time" {
            assert_eq!(field("lm"), "00".repeat(24), "no LMv2 beside the server's time");
            assert_eq!((field("flags"), field("mic")), ("2".to_owned(), "right".to_owned()));
        }
        assert_eq!(peer.leave(), Some(0));

        let mut peer = start();
        logon(&mut peer, "Pa55-word").unwrap();
        assert_eq!(peer.receive("token"), None, "{kind}: a wrong password");
        assert_eq!(peer.leave(), Some(LEFT_REFUSED));
    }
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn impacket_and_pyspnego_know_letters_beyond_ascii() {
    letters_beyond_ascii("auth_impacket.py", &["ntlm"], AuthType::NTLM);
    letters_beyond_ascii("auth_pyspnego.py", &["initiate", "negotiate"], AuthType::SPNEGO);
}
