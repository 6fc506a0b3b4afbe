//! What an administrator can do about a refusal (kerberos.md 6).

use crate::message::ErrorCode;

/// What to do about a code, whoever sent it.
pub(crate) fn remedy(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::CLIENT_UNKNOWN => {
            "check account and realm; try the user principal name (user@suffix), or DOMAIN\\user"
        }
        ErrorCode::SERVICE_UNKNOWN => {
            "use the CA's own DNS name, not an address or an alias; `setspn -Q HOST/NAME` shows whether the domain \
             knows the name"
        }
        ErrorCode::POLICY => {
            "check logon hours and authentication policies; where the domain demands FAST, have `kinit` log on with tickets \
             of the machine as armour, and use the tickets in PATH: `kinit -k -c FILE:ARMOR 'HOST$@REALM'`, then `kinit -T \
             FILE:ARMOR -c FILE:PATH user@REALM`"
        }
        ErrorCode::ETYPE_UNSUPPORTED => {
            "allow AES for the account (msDS-SupportedEncryptionTypes) and set its password again; RC4 is not spoken \
             here"
        }
        ErrorCode::CLIENT_REVOKED => "have the account enabled or unlocked",
        ErrorCode::KEY_EXPIRED => "change the account's password elsewhere",
        ErrorCode::PREAUTH_FAILED => "check the password, or make the keytab anew",
        ErrorCode::SERVICE_UNAVAILABLE | ErrorCode::GENERIC => "try another KDC, or try again later",
        ErrorCode::TICKET_EXPIRED => "log on again, for instance with `kinit`",
        ErrorCode::SKEW | ErrorCode::TICKET_NOT_YET_VALID => {
            "set the clocks of this machine, of the service and of the KDC"
        }
        ErrorCode::MODIFIED | ErrorCode::BAD_INTEGRITY => {
            "the service has another key than its name in the domain: compare addresses, look for a second account \
             with its name (`setspn -X`), and make its keytab anew"
        }
        ErrorCode::NOT_US | ErrorCode::NO_KEY | ErrorCode::BAD_KEY_VERSION => {
            "make the service's keytab anew, with its name and with AES keys"
        }
        ErrorCode::BAD_OPTION => "report this, with the command that led to it",
        _ => "look at the log of the KDC or of the service",
    }
}
