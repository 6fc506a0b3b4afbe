"""impacket as initiator, with the functions that its DCE/RPC layer uses.

    auth_impacket.py ntlm|spnego DOMAIN USER

ntlm: raw NTLM, no MIC. spnego: the same inside SPNEGO, without negState and without mechListMIC.
"""

import sys

from Cryptodome.Cipher import ARC4
from impacket import ntlm
from impacket.spnego import SPNEGO_NegTokenInit, SPNEGO_NegTokenResp, TypesMech

import auth_channel


def main():
    flavour, domain, user = sys.argv[1:4]
    password = auth_channel.secret()
    negotiate = ntlm.getNTLMSSPType1("", "", signingRequired=True, use_ntlmv2=True)
    if flavour == "spnego":
        first = SPNEGO_NegTokenInit()
        first["MechTypes"] = [TypesMech["NTLMSSP - Microsoft NTLM Security Support Provider"]]
        first["MechToken"] = negotiate.getData()
        auth_channel.send("token", first.getData())
    else:
        auth_channel.send("token", negotiate.getData())

    challenge = auth_channel.receive("token")
    if flavour == "spnego":
        challenge = SPNEGO_NegTokenResp(challenge)["ResponseToken"]
    authenticate, key = ntlm.getNTLMSSPType3(
        negotiate, challenge, user, password, domain, use_ntlmv2=True
    )
    flags = authenticate["flags"]
    token = authenticate.getData()
    if flavour == "spnego":
        answer = SPNEGO_NegTokenResp()
        answer["ResponseToken"] = token
        token = answer.getData()
    auth_channel.send("token", token)
    last = auth_channel.receive("token")
    if last is None:
        # the test wants to see a refusal and says so by the exit code it expects
        sys.exit(3)
    if flavour == "spnego" and SPNEGO_NegTokenResp(last)["NegState"] != b"\x00":
        sys.exit("SPNEGO was not completed")

    sign_out = ntlm.SIGNKEY(flags, key)
    sign_in = ntlm.SIGNKEY(flags, key, b"Server")
    handle_out = ARC4.new(ntlm.SEALKEY(flags, key)).encrypt
    handle_in = ARC4.new(ntlm.SEALKEY(flags, key, b"Server")).encrypt
    numbers = {"out": 0, "in": 0}

    def seal(header, body, trailer):
        sealed, signature = ntlm.SEAL(
            flags, sign_out, None, header + body + trailer, body, numbers["out"], handle_out
        )
        numbers["out"] += 1
        return sealed, signature.getData()

    def unseal(header, body, trailer, token):
        opened = handle_in(body)
        signature = ntlm.SIGN(flags, sign_in, header + opened + trailer, numbers["in"], handle_in)
        if signature.getData() != token:
            raise ValueError("signature")
        numbers["in"] += 1
        return opened

    auth_channel.exchange(seal, unseal)


main()
