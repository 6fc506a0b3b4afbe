"""pyspnego, as initiator or as acceptor.

    auth_pyspnego.py initiate|accept ntlm|negotiate DOMAIN USER
"""

import os
import sys
import tempfile

import spnego
from spnego.iov import BufferType

import auth_channel

REQUIRED = (
    spnego.ContextReq.confidentiality
    | spnego.ContextReq.integrity
    | spnego.ContextReq.replay_detect
    | spnego.ContextReq.sequence_detect
)


def main():
    role, protocol, domain, user = sys.argv[1:5]
    password = auth_channel.secret()
    if role == "initiate":
        context = spnego.client(
            domain + "\\" + user,
            password,
            hostname="ca1",
            service="HOST",
            context_req=REQUIRED,
            protocol=protocol,
            options=spnego.NegotiateOptions.use_negotiate
            if protocol == "negotiate"
            else spnego.NegotiateOptions.use_ntlm,
        )
        initiate(context)
    else:
        with tempfile.TemporaryDirectory() as folder:
            accounts = os.path.join(folder, "accounts")
            with open(os.open(accounts, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                file.write("%s:%s:%s\n" % (domain, user, password))
            os.environ["NTLM_USER_FILE"] = accounts
            context = spnego.server(
                hostname="ca1",
                service="HOST",
                context_req=REQUIRED,
                protocol=protocol,
                options=spnego.NegotiateOptions.use_negotiate
                if protocol == "negotiate"
                else spnego.NegotiateOptions.use_ntlm,
            )
            accept(context)

    def seal(header, body, trailer):
        sealed = context.wrap_iov(
            [
                (BufferType.sign_only, header),
                (BufferType.data, body),
                (BufferType.sign_only, trailer),
                BufferType.header,
            ]
        )
        return sealed.buffers[1].data, sealed.buffers[3].data

    def unseal(header, body, trailer, token):
        opened = context.unwrap_iov(
            [
                (BufferType.sign_only, header),
                (BufferType.data, body),
                (BufferType.sign_only, trailer),
                (BufferType.header, token),
            ]
        )
        return opened.buffers[1].data

    auth_channel.exchange(seal, unseal)


def initiate(context):
    token = None
    while not context.complete:
        out = context.step(token)
        if out is None and context.complete:
            return
        auth_channel.send("token", out or b"")
        token = auth_channel.receive("token")
        if token is None:
            sys.exit(3)
        if not token:
            token = None


def accept(context):
    while not context.complete:
        token = auth_channel.receive("token")
        if token is None:
            sys.exit(3)
        try:
            out = context.step(token)
        except spnego.exceptions.SpnegoError:
            auth_channel.send("failed")
            sys.exit(3)
        auth_channel.send("token", out or b"")


main()
