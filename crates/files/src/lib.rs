#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! * [`absolute`]: the whole path of what a person named.
//! * [`durable`]: replacing and creating files, flushing files and folders.
//! * [`unfinished`]: a file or folder that is built aside and goes away unless it gets its name.
//! * [`scratch`]: folders for what is needed only while a command runs.
//! * [`found`]: the one door to files that somebody else may have put there, such as those of a set.
//! * [`lock`]: whether somebody else has a file or a folder.
//! * [`read`]: reading a whole file that must not be large.
//! * [`event_file`]: a file that events are appended to, opened so that no link leads elsewhere.
//! * [`event_text`]: events as lines, whatever text from elsewhere is in them.
//! * [`users`]: names of accounts by the system's list of users.
//! * [`space`]: how much room a file system has.
//! * [`offset_io`]: reading and writing at an offset, on every system.
//! * [`buffer`]: buffers that files are read into at full speed.
//! * [`cancel`]: stopping a long operation from outside.
//! * [`checksum`]: a checksum that finds accidents.
//! * [`error`]: what failed, and on which file.
//! * [`system`]: the HRESULT for each error of the operating system.

mod absolute;
pub mod background;
pub mod buffer;
pub mod cancel;
pub mod checksum;
pub mod durable;
pub mod error;
pub mod event_file;
pub mod event_text;
pub mod found;
pub mod lock;
pub mod offset_io;
mod own_names;
mod owner;
pub mod pace;
pub mod read;
pub mod scratch;
pub mod second_name;
pub mod space;
pub mod system;
mod temporary;
pub mod unfinished;
pub mod users;

pub use absolute::absolute;
pub use buffer::{ALIGNMENT, AlignedBuffer};
pub use checksum::Checksum;
pub use durable::Access;
pub use error::{Error, IoContext, Result};
pub use found::Found;
pub use offset_io::OffsetIo;
pub use owner::{check_writable, is_exposed, refuse_immutable};
pub use pace::Pace;
pub use system::{io_hresult, io_remedy};
pub use unfinished::Unfinished;
