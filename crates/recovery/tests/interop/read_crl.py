"""Prints the number and the entries of a CRL of which only the to-be-signed part is there.

read_crl.py FILE.tbs: a signature of zeros is put behind it, because the reader wants a whole CRL."""
import sys

from cryptography import x509

REASONS = ["unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded",
           "cessationOfOperation", "certificateHold", None, "removeFromCRL", "privilegeWithdrawn", "aACompromise"]


def tlv(tag, body):
    length = len(body)
    if length < 128:
        return bytes([tag, length]) + body
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


content = open(sys.argv[1], "rb").read()
algorithm = bytes.fromhex("300d06092a864886f70d01010b0500")
crl = x509.load_der_x509_crl(tlv(0x30, content + algorithm + tlv(3, bytes(257))))
print("number", crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
for entry in crl:
    try:
        reason = REASONS.index(entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value)
    except x509.ExtensionNotFound:
        reason = 0
    serial = format(entry.serial_number, "x")
    serial = serial.rjust(len(serial) + len(serial) % 2, "0")
    print(serial, entry.revocation_date_utc.strftime("%Y-%m-%dT%H:%M:%SZ"), reason)
