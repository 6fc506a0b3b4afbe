"""impacket as a DCOM client of the certificate service. impacket has no classes for MS-CSRA: they are here.

    csra_impacket.py

One JSON object a line on standard input, one a line as answer on standard output. Every object names what to do; the
answer has "ok" with what came of it, or "code" (the method's HRESULT), "fault" (the status of a fault), or "error".
"""

import hashlib
import json
import os
import sys
import time

from impacket.dcerpc.v5 import dcomrt, transport
from impacket.dcerpc.v5.dcomrt import DCOMANSWER, DCOMCALL, INTERFACE, DCOMConnection, IObjectExporter, IRemUnknown
from impacket.dcerpc.v5.dcom.oaut import BSTR, EMPTY, PSAFEARRAY
from impacket.dcerpc.v5.dtypes import LONG, LPWSTR, NULL, ULONG, ULONGLONG, USHORT, WSTR
from impacket.dcerpc.v5.ndr import NDRPOINTER, NDRSTRUCT, NDRUNION, NDRUniConformantArray
from impacket.dcerpc.v5.rpcrt import DCERPCException, RPC_C_AUTHN_GSS_NEGOTIATE, RPC_C_AUTHN_LEVEL_NONE
from impacket.uuid import string_to_bin, uuidtup_to_bin

CLSID = string_to_bin("d99e6e73-fc88-11d0-b498-00a0c90312f3")
IIDS = {
    1: uuidtup_to_bin(("d99e6e71-fc88-11d0-b498-00a0c90312f3", "0.0")),
    2: uuidtup_to_bin(("7fe0d935-dda6-443f-85d0-1cfb58fe41dd", "0.0")),
}


class DCERPCSessionError(DCERPCException):
    """A method's own failure; the name is what impacket looks for."""


class WCHAR_ARRAY(NDRUniConformantArray):
    item = "<H"


class PWCHAR_ARRAY(NDRPOINTER):
    referent = (("Data", WCHAR_ARRAY),)


class BYTE_ARRAY(NDRUniConformantArray):
    item = "c"


class PBYTE_ARRAY(NDRPOINTER):
    referent = (("Data", BYTE_ARRAY),)


class VARIANT_ARM(NDRUNION):
    """impacket's own has the array itself where the IDL has a pointer to it (MS-OAUT 2.2.29)."""

    commonHdr = (("tag", ULONG),)
    union = {0: ("empty", EMPTY), 3: ("number", LONG), 8: ("text", BSTR), 0x2000: ("array", PSAFEARRAY)}


class WIRE_VARIANT(NDRSTRUCT):
    structure = (
        ("clSize", ULONG),
        ("rpcReserved", ULONG),
        ("vt", USHORT),
        ("wReserved1", USHORT),
        ("wReserved2", USHORT),
        ("wReserved3", USHORT),
        ("arm", VARIANT_ARM),
    )

    def getAlignment(self):
        return 8


class PVARIANT(NDRPOINTER):
    referent = (("Data", WIRE_VARIANT),)


def plain(variant):
    """The value of a VARIANT: a number, a string, a list of strings, or bytes in hexadecimal."""
    kind, arm = variant["vt"], variant["arm"]
    if kind == 0:
        return None
    if kind == 3:
        return arm["number"]
    if kind == 8:
        return arm["text"]["asData"]
    array = arm["array"]
    elements = array["uArrayStructs"]
    count = array["rgsabound"][0]["cElements"]
    if kind == 0x2008:
        texts = [text["asData"] for text in elements["BstrStr"]["aBstr"]]
        assert len(texts) == count, "the list has another length than its bound"
        return texts
    assert kind == 0x2011, "kind %#x" % kind
    return b"".join(elements["ByteStr"]["pData"]).hex()


def call(name, opnum, fields, answer):
    """Makes the request and response classes of a method; impacket finds the second by the name of the first."""
    request = type(name, (DCOMCALL,), {"opnum": opnum, "structure": tuple(fields), "__module__": __name__})
    fields = tuple(answer) + (("ErrorCode", ULONG),)
    response = type(name + "Response", (DCOMANSWER,), {"structure": fields, "__module__": __name__})
    globals()[name], globals()[name + "Response"] = request, response
    return request


AUTHORITY = ("pwszAuthority", LPWSTR)
LIST = (("list", PWCHAR_ARRAY), ("count", LONG))
BLOB = (("cb", ULONG), ("pb", PBYTE_ARRAY))

METHODS = {
    17: call("ServerControl", 17, [AUTHORITY, ("flags", ULONG)], BLOB),
    18: call("Ping", 18, [AUTHORITY], ()),
    19: call("GetServerState", 19, [AUTHORITY], [("state", ULONG)]),
    # the annotation as a Windows client sends it: one character
    20: call(
        "BackupPrepare",
        20,
        [AUTHORITY, ("grbit", ULONG), ("flags", ULONG), ("annotation", USHORT), ("client", ULONG)],
        (),
    ),
    21: call("BackupEnd", 21, [], ()),
    22: call("BackupGetAttachmentInformation", 22, [], LIST),
    23: call("BackupGetBackupLogs", 23, [], LIST),
    24: call("BackupOpenFile", 24, [("path", LPWSTR)], [("length", ULONGLONG)]),
    25: call("BackupReadFile", 25, [("size", LONG)], [("buffer", BYTE_ARRAY), ("count", LONG)]),
    26: call("BackupCloseFile", 26, [], ()),
    27: call("BackupTruncateLogs", 27, [], ()),
    29: call("BackupGetDynamicFiles", 29, [], LIST),
    30: call("RestoreGetDatabaseLocations", 30, [], LIST),
    32: call("GetCAProperty", 32, [AUTHORITY, ("id", LONG), ("index", LONG), ("type", LONG)], BLOB),
    38: call("Ping2", 38, [AUTHORITY], ()),
    40: call("GetAuditFilter", 40, [AUTHORITY], [("filter", ULONG)]),
    44: call("GetConfigEntry", 44, [AUTHORITY, ("node", LPWSTR), ("entry", WSTR)], [("value", PVARIANT)]),
    47: call("GetMyRoles", 47, [AUTHORITY], [("roles", ULONG)]),
}


class UndecodedRead(METHODS[25]):
    """BackupReadFile for the benchmark: impacket takes minutes to decode the buffer byte by byte."""


class UndecodedReadResponse:
    def __init__(self, stub, isNDR64=False):
        self.count = int.from_bytes(stub[-8:-4], "little")


class Connection(DCOMConnection):
    """impacket dials port 135; this one dials the port it is told."""

    def __init__(self, port, *arguments, **options):
        self.port = port
        super().__init__(*arguments, **options)

    def initConnection(self):
        get = lambda name: getattr(self, "_DCOMConnection__" + name)
        rpc = transport.DCERPCTransportFactory("ncacn_ip_tcp:%s[%d]" % (get("target"), self.port))
        rpc.set_credentials(get("userName"), get("password"), get("domain"))
        rpc.set_kerberos(get("doKerberos"), get("kdcHost"))
        rpc.set_connect_timeout(120)
        portmap = rpc.get_dce_rpc()
        portmap.set_auth_level(get("authLevel"))
        if get("doKerberos"):
            portmap.set_auth_type(RPC_C_AUTHN_GSS_NEGOTIATE)
        portmap.connect()
        self._DCOMConnection__portmap = portmap
        DCOMConnection.PORTMAPS[get("target")] = portmap


class Admin(INTERFACE):
    def __init__(self, interface, iid):
        self._iid = iid
        INTERFACE.__init__(self, interfaceInstance=interface)


class Client:
    def __init__(self):
        self.dcom = self.admin = self.iid = None

    def login(self, port, user, password, level=6, call_level=None, iid=2, host="127.0.0.1", realm=""):
        """With a realm by Kerberos, with the tickets that KRB5CCNAME names."""
        self.iid = IIDS[iid]
        kerberos = {"doKerberos": True, "kdcHost": "127.0.0.1"} if realm else {}
        self.dcom = Connection(port, host, user, password, realm, authLevel=level, **kerberos)
        interface = self.dcom.CoCreateInstanceEx(CLSID, self.iid)
        self.admin = Admin(interface, self.iid)
        if call_level is not None:
            instance = self.admin.get_cinstance()
            instance.get_auth_level = lambda: call_level
        return True

    def alive(self, port):
        rpc = transport.DCERPCTransportFactory("ncacn_ip_tcp:127.0.0.1[%d]" % port).get_dce_rpc()
        rpc.set_auth_level(RPC_C_AUTHN_LEVEL_NONE)
        rpc.connect()
        bindings = IObjectExporter(rpc).ServerAlive2()
        rpc.disconnect()
        return [binding["aNetworkAddr"].rstrip("\0") for binding in bindings]

    def request(self, opnum, **fields):
        request = METHODS[opnum]()
        for name, value in fields.items():
            if name in ("pwszAuthority", "path", "node", "entry"):
                value = NULL if value is None else value + "\0"
            request[name] = value
        return self.admin.request(request, self.iid, self.admin.get_iPid())

    def simple(self, opnum, **fields):
        if opnum in (17, 18, 19, 20, 32, 38, 40, 44, 47):
            fields.setdefault("pwszAuthority", None)
        answer = self.request(opnum, **fields)
        for name in ("state", "length", "filter", "roles"):
            if name in [field[0] for field in answer.structure]:
                return answer[name]
        if "value" in [field[0] for field in answer.structure]:
            return plain(answer["value"])
        if "pb" in [field[0] for field in answer.structure]:
            return b"".join(answer["pb"]).hex() if answer["cb"] else ""
        return True

    def list(self, opnum):
        answer = self.request(opnum)
        if answer["count"] == 0:
            return []
        units = list(answer["list"])
        assert len(units) == answer["count"], "the list has another length than its count"
        text = b"".join(unit.to_bytes(2, "little") for unit in units).decode("utf-16-le")
        assert text.endswith("\0\0"), "the list does not end with two NULs"
        return [entry for entry in text.split("\0") if entry]

    def raw_list(self, opnum):
        """The list as the bytes of a restore map file."""
        return b"".join(unit.to_bytes(2, "little") for unit in list(self.request(opnum)["list"]))

    def read(self, size):
        answer = self.request(25, size=size)
        data = b"".join(answer["buffer"])
        assert len(data) == size, "the buffer has another length than was asked for"
        assert not any(data[answer["count"] :]), "the buffer is not zero behind what was read"
        return data[: answer["count"]]

    def fetch(self, path, to=None, size=65536):
        length = self.request(24, path=path)["length"]
        digest, total = hashlib.sha256(), 0
        sink = open(to, "xb") if to else open(os.devnull, "wb")
        with sink:
            while True:
                data = self.read(size)
                total += len(data)
                digest.update(data)
                sink.write(data)
                if len(data) < size:
                    break
        assert total == length, "%d bytes came, %d were announced" % (total, length)
        self.request(26)
        return {"length": length, "sha256": digest.hexdigest()}

    def drain(self, size, most):
        """Reads the database, at most so many bytes, and throws it away, as fast as impacket goes; for the benchmark."""
        begun, processor = time.monotonic(), time.process_time()
        self.simple(20, grbit=0, flags=0, annotation=ord("C"), client=0)
        total = 0
        for entry in self.list(22):
            self.request(24, path=entry[1:])
            count = size
            while count == size and total < most:
                request = UndecodedRead()
                request["size"] = size
                count = self.admin.request(request, self.iid, self.admin.get_iPid()).count
                total += count
            self.request(26)
        try:
            self.simple(21)
        except DCERPCSessionError:
            pass  # not everything was taken, as the CA says; the backup is over all the same
        seconds = time.monotonic() - begun
        return {"bytes": total, "seconds": seconds, "processor": time.process_time() - processor}

    def full(self, folder, truncate=True):
        """A whole backup in the order of MS-CSRA, as a folder that certadm restores from."""
        os.makedirs(os.path.join(folder, "DataBase"))
        place = lambda path: os.path.join(folder, "DataBase", path.split("\\")[-1])
        self.simple(20, grbit=0, flags=0, annotation=ord("C"), client=0)
        with open(os.path.join(folder, "DataBase", "certbkxp.dat"), "xb") as locations:
            locations.write(self.raw_list(30))
        for entry in self.list(22):
            assert entry[0] == "D", entry
            self.fetch(entry[1:], place(entry))
        logs = self.list(23)
        for entry in logs:
            assert entry[0] == "!", entry
            self.fetch(entry[1:], place(entry))
        assert self.list(23) == logs, "the list of logs changed"
        if truncate:
            self.simple(27)
        self.simple(21)
        return len(logs)

    def query(self, iid):
        unknown = IRemUnknown(self.admin)
        unknown.RemQueryInterface(1, (IIDS[iid],))
        return True

    def release(self):
        IRemUnknown(self.admin).RemRelease()
        return True

    def add_reference(self):
        IRemUnknown(self.admin).RemAddRef()
        return True

    def ping(self):
        exporter = IObjectExporter(self.dcom.get_dce_rpc())
        set_id = exporter.ComplexPing(0, 0, {self.admin.get_oid()}, set())["pSetId"]
        exporter.SimplePing(set_id)
        return set_id

    def again(self):
        """A second activation on the same resolver connection; impacket sends another bind for it."""
        self.dcom.CoCreateInstanceEx(CLSID, self.iid)
        return True

    def drop(self):
        """Loses the connections without a word."""
        self.admin.get_dce_rpc().get_rpc_transport().get_socket().close()
        self.dcom.get_dce_rpc().get_rpc_transport().get_socket().close()
        return True


def outcome(client, order):
    try:
        return {"ok": getattr(client, order.pop("do"))(**order)}
    except DCERPCSessionError as error:
        return {"code": "0x%08x" % (error.get_error_code() & 0xFFFFFFFF)}
    except DCERPCException as error:
        code = error.get_error_code()
        return {"fault": "0x%08x" % code, "error": str(error)} if code else {"error": str(error)}
    except Exception as error:  # whatever it is, the test prints it
        return {"error": "%s: %s" % (type(error).__name__, error)}


def main():
    clients = {}
    for line in sys.stdin:
        order = json.loads(line)
        client = clients.setdefault(order.pop("as", "first"), Client())
        print(json.dumps(outcome(client, order)), flush=True)


if __name__ == "__main__":
    main()
