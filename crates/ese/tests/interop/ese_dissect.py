"""Prints every cell of every table of a database as JSON lines, as dissect.database reads it.

Usage: ese_dissect.py FILE [TABLE...]
With --venv DIR as the only arguments, makes a virtual environment there with the pinned version.

A line is [table, row number, column, value]. Values: null, "i:<integer>", "f:<hex of the double>", "b:0" or "b:1",
"t:<text without trailing NULs>", "x:<hex>", or a list of these.
"""

import json
import os
import struct
import subprocess
import sys


def make_environment(folder):
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.check_call([sys.executable, "-m", "venv", folder])
    pip = os.path.join(folder, "bin", "pip")
    requirements = os.path.join(here, "requirements.txt")
    subprocess.check_call([pip, "install", "--quiet", "-r", requirements])


def show(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return f"b:{int(value)}"
    if isinstance(value, int):
        return f"i:{int(value)}"
    if isinstance(value, float):
        return "f:" + struct.pack("<d", value).hex()
    if isinstance(value, str):
        return "t:" + value.rstrip("\x00")
    if isinstance(value, list):
        return [show(part) for part in value]
    return "x:" + bytes(value).hex()


def main():
    if sys.argv[1] == "--venv":
        make_environment(sys.argv[2])
        return
    from dissect.database.ese import ESE

    with open(sys.argv[1], "rb") as file:
        database = ESE(file)
        wanted = sys.argv[2:]
        for table in database.tables():
            if wanted and table.name not in wanted:
                continue
            # The map holds each name once; so does the comparison.
            for number, record in enumerate(table.records()):
                for column in table.columns:
                    try:
                        value = show(record.get(column.name))
                    except Exception as error:  # reported, and judged by the caller
                        value = f"error:{type(error).__name__}"
                    print(json.dumps([table.name, number, column.name, value]))


main()
