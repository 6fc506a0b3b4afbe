"""The line protocol between a foreign implementation and the Rust test that started it.

Every message is one line: a word, a blank, hex. The Rust side of it is crates/auth/tests/suite/interop.rs.

    token HEX     a handshake token (empty hex: nothing to say)
    pdu HEX       header (24) | body | sec_trailer (8) | token (16)
    failed        the other side refused the last message
"""

import sys

HEADER = 24
TRAILER = 8
TOKEN = 16


def send(word, data=b""):
    sys.stdout.write(word + " " + data.hex() + "\n")
    sys.stdout.flush()


def receive(word):
    """The data of the next message; None if the other side refused."""
    line = sys.stdin.readline()
    if not line:
        sys.exit("the test closed the channel")
    got, _, data = line.rstrip("\n").partition(" ")
    if got == "failed":
        return None
    if got != word:
        sys.exit("expected %s, got %s" % (word, got))
    return bytes.fromhex(data)


def secret():
    """The password travels on the channel, never in argv or the environment."""
    return receive("password").decode("utf-8")


def exchange(seal, unseal):
    """200 bodies of 4000 bytes and two of 1 MiB each way, then one altered PDU each way.

    seal(header, body, trailer) -> (body, token); unseal(header, body, trailer, token) -> body, raising on a bad one.
    """
    header = bytes(range(HEADER))
    trailer = bytes([10, 6, 0, 0, 0, 0, 0, 0])
    sizes = [4000] * 200 + [1 << 20] * 2
    for number, size in enumerate(sizes):
        body = bytes([number & 0xFF]) * size
        sealed, token = seal(header, body, trailer)
        if sealed == body:
            sys.exit("the body was not encrypted")
        send("pdu", header + sealed + trailer + token)
        pdu = receive("pdu")
        if pdu is None:
            sys.exit("PDU %d was refused" % number)
        opened = open_pdu(unseal, pdu)
        if opened != bytes([~number & 0xFF]) * size:
            sys.exit("PDU %d came back with another body" % number)

    # theirs, altered in the header: we must refuse
    pdu = receive("pdu")
    try:
        open_pdu(unseal, pdu)
    except Exception:
        send("failed")
    else:
        sys.exit("an altered header was accepted")
    # ours, altered in the body: they must refuse
    sealed, token = seal(header, b"altered on the way", trailer)
    sealed = bytes([sealed[0] ^ 1]) + sealed[1:]
    send("pdu", header + sealed + trailer + token)
    if receive("pdu") is not None:
        sys.exit("an altered body was accepted")


def open_pdu(unseal, pdu):
    cut = len(pdu) - TOKEN - TRAILER
    return unseal(pdu[:HEADER], pdu[HEADER:cut], pdu[cut : cut + TRAILER], pdu[-TOKEN:])
