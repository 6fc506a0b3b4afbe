//! What a server of SFTP sends to a repository's client: it makes no panic, and no allocation that its own length does not
//! cover.

use certadm_repository::fuzzing::sftp;

pub(crate) fn run(data: &[u8]) {
    sftp(data);
}
