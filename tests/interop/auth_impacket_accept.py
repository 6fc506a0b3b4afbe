"""impacket as acceptor of raw NTLM: its SMB server's judgement of the proof, and what it reads in our last message.

    auth_impacket_accept.py DOMAIN USER time|no-time

The challenge carries the server's time, or not. The answer to a logon that is right is one line, `token HEX`, of a text with
a line for each field: target (AV 9), flags (AV 6), lm (the LM response), mic (right, wrong or none).
"""

import hmac
import struct
import sys
import time

from impacket import ntlm
from impacket.smbserver import STATUS_SUCCESS, computeNTLMv2

import auth_channel

CHALLENGE = b"\x01\x23\x45\x67\x89\xab\xcd\xef"
FLAGS = (
    ntlm.NTLMSSP_NEGOTIATE_56
    | ntlm.NTLMSSP_NEGOTIATE_KEY_EXCH
    | ntlm.NTLMSSP_NEGOTIATE_128
    | ntlm.NTLMSSP_NEGOTIATE_VERSION
    | ntlm.NTLMSSP_NEGOTIATE_TARGET_INFO
    | ntlm.NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY
    | ntlm.NTLMSSP_TARGET_TYPE_DOMAIN
    | ntlm.NTLMSSP_NEGOTIATE_ALWAYS_SIGN
    | ntlm.NTLMSSP_NEGOTIATE_NTLM
    | ntlm.NTLMSSP_NEGOTIATE_SEAL
    | ntlm.NTLMSSP_NEGOTIATE_SIGN
    | ntlm.NTLMSSP_REQUEST_TARGET
    | ntlm.NTLMSSP_NEGOTIATE_UNICODE
)
# NTLMSSP_VERSION: Windows 10, revision 15
VERSION = bytes([10, 0, 0x63, 0x45, 0, 0, 0, 15])
MIC = slice(72, 88)


def challenge_for(domain, with_time):
    info = ntlm.AV_PAIRS()
    info[ntlm.NTLMSSP_AV_DOMAINNAME] = domain.encode("utf-16le")
    info[ntlm.NTLMSSP_AV_HOSTNAME] = "CA1".encode("utf-16le")
    if with_time:
        now = int(time.time() * 10_000_000) + 116_444_736_000_000_000
        info[ntlm.NTLMSSP_AV_TIME] = struct.pack("<q", now)
    name, pairs = domain.encode("utf-16le"), info.getData()
    offset = 48 + len(VERSION)
    return (
        b"NTLMSSP\0"
        + struct.pack("<IHHI", 2, len(name), len(name), offset)
        + struct.pack("<I", FLAGS)
        + CHALLENGE
        + bytes(8)
        + struct.pack("<HHI", len(pairs), len(pairs), offset + len(name))
        + VERSION
        + name
        + pairs
    )


def main():
    domain, user, kind = sys.argv[1:4]
    password = auth_channel.secret()
    first = auth_channel.receive("token")
    negotiate = ntlm.NTLMAuthNegotiate()
    negotiate.fromString(first)
    second = challenge_for(domain, kind == "time")
    auth_channel.send("token", second)
    third = auth_channel.receive("token")
    answer = ntlm.NTLMAuthChallengeResponse()
    answer.fromString(third)
    challenge = ntlm.NTLMAuthChallenge(second)
    lm, nt = ntlm.LMOWFv1(password), ntlm.NTOWFv1(password)
    judged, key = computeNTLMv2(user, lm, nt, CHALLENGE, answer, challenge, negotiate)
    if judged != STATUS_SUCCESS:
        auth_channel.send("failed")
        sys.exit(3)
    # NTLMv2_CLIENT_CHALLENGE: 28 bytes before its AV pairs (MS-NLMP 2.2.2.7), and 16 of the proof before it
    pairs = ntlm.AV_PAIRS(answer["ntlm"][16 + 28 :])
    flags = pairs[ntlm.NTLMSSP_AV_FLAGS]
    flags = struct.unpack("<I", flags[1])[0] if flags else 0
    target = pairs[ntlm.NTLMSSP_AV_TARGET_NAME]
    mic = "none"
    if flags & 2:
        bare = third[: MIC.start] + bytes(16) + third[MIC.stop :]
        right = hmac.new(key, first + second + bare, "md5").digest()
        mic = "right" if right == third[MIC] else "wrong"
    lines = [
        "target " + (target[1].decode("utf-16le") if target else ""),
        "flags %d" % flags,
        "lm " + answer["lanman"].hex(),
        "mic " + mic,
    ]
    auth_channel.send("token", "\n".join(lines).encode())


main()
