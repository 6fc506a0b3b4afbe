//! What a client says to a KDC: a logon, and tickets for services (kerberos.md 2.1).
//!
//! Both are state machines. [`start`](Logon::start) gives a question; whoever has a socket takes it to a KDC of the realm
//! that it names, and hands the answer to [`answer`](Logon::answer), which gives another question or the result.

mod error;
mod logon;
mod question;
mod ticket;

pub use error::{ClientError, Wanted};
pub use logon::{LoggedOn, Logon, Secret};
pub use question::{MAX_ANSWER, Question, Step, Worth, answer_size, worth};
pub use ticket::{Granted, TicketRequest};
