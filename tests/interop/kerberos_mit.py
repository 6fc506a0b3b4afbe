"""MIT krb5 by python-gssapi against our two halves, in DCE style with signed headers.

usage: kerberos_mit.py accept                 (KRB5_KTNAME has the service's keys)
       kerberos_mit.py initiate PRINCIPAL     (KRB5CCNAME has a ticket for it)

The channel is that of auth_channel.py. Tokens of Kerberos have several sizes, so each PDU comes after one:

    size HEX      one octet, the size of the token of the next PDU
    pdu HEX       header (24) | body | sec_trailer (8) | token
    body HEX      what the other side found in the PDU
"""

import os
import sys

import gssapi
from gssapi import RequirementFlag as Flag
from gssapi.raw import IOV, unwrap_iov, wrap_iov
from gssapi.raw import IOVBufferType as Type

from auth_channel import HEADER, TRAILER, receive, send

DCE_STYLE = Flag(0x1000)
FLAGS = [
    Flag.mutual_authentication,
    Flag.replay_detection,
    Flag.out_of_sequence_detection,
    Flag.confidentiality,
    Flag.integrity,
    DCE_STYLE,
]


def accepted():
    context = gssapi.SecurityContext(usage="accept")
    send("token", context.step(receive("token")))
    context.step(receive("token"))
    if not context.complete:
        sys.exit("the third message does not end the handshake")
    send("name", str(context.initiator_name).encode())
    return context


def initiated(principal):
    name = gssapi.Name(principal, gssapi.NameType.kerberos_principal)
    context = gssapi.SecurityContext(
        name=name, usage="initiate", mech=gssapi.MechType.kerberos, flags=FLAGS
    )
    send("token", context.step())
    send("token", context.step(receive("token")))
    if not context.complete:
        sys.exit("the answer does not end the handshake")
    return context


def send_pdu(context, header, body, trailer):
    iov = IOV(
        (Type.sign_only, header), (Type.data, body), (Type.sign_only, trailer), (Type.header, True),
        std_layout=False,
    )
    wrap_iov(context, iov, True)
    sealed, token = iov[1].value, iov[3].value
    if sealed == body:
        sys.exit("the body was not encrypted")
    send("size", bytes([len(token)]))
    send("pdu", header + sealed + trailer + token)


def open_pdu(context, pdu, size):
    header, rest = pdu[:HEADER], pdu[HEADER:]
    body, trailer, token = rest[: -size - TRAILER], rest[-size - TRAILER : -size], rest[-size:]
    iov = IOV(
        (Type.sign_only, header), (Type.data, body), (Type.sign_only, trailer),
        (Type.header, False, token), std_layout=False,
    )
    unwrap_iov(context, iov)
    return iov[1].value


def main():
    context = accepted() if sys.argv[1] == "accept" else initiated(sys.argv[2])
    for size in [16, 48, 4, 100, 4096, 5712] * 3:
        header, body, trailer = os.urandom(HEADER), os.urandom(size), os.urandom(TRAILER)
        send_pdu(context, header, body, trailer)
        if receive("body") != body:
            sys.exit("a body of %d bytes came back with others" % size)
        if size % 16 == 0:
            token = receive("size")[0]
            send("body", open_pdu(context, receive("pdu"), token))
    # Ours, altered on the way: MIT must refuse it.
    token = receive("size")[0]
    pdu = receive("pdu")
    try:
        open_pdu(context, pdu, token)
    except gssapi.exceptions.GSSError:
        send("failed")
    else:
        sys.exit("an altered PDU was accepted")


main()
