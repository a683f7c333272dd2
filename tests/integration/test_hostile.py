# SPDX-License-Identifier: MIT
"""Traces made to harm who reads them, with every checksum right: what is in them is data, whatever it looks like."""
import ctypes
import fcntl
import json
import re
import signal
import struct
import subprocess
import sys
import unittest

import h5py
import numpy as np

from tests.integration.arrays import Arrays
from tests.integration.program import NAUHA, ROOT, folder_of, make_trace, nauha

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
ESCAPES = "\x1b]0;owned\x07\x1b[31m\r\x9b1mred\x7f"


def set_row(file, table, number, **fields):
    """Changes a row and makes its checksum right."""
    row = file[table][number:number + 1]
    for name, value in fields.items():
        row[name] = value
    text = row.tobytes()[:-4]
    row["checksum"] = ctypes.CDLL("libxxhash.so.0").XXH32(text, len(text), 0) & 0xFFFFFFFF
    file[table][number:number + 1] = row


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = folder_of(cls)

    def commands(self, path, other):
        out = self.place / "out"
        return [("info", path), ("info", path, "--json"), ("ls", path), ("ls", path, "--json"), ("cat", path), ("cat", path, "--limit", 3),
                ("verify", path), ("check", path), ("diff", path, other), ("diff", other, path), ("report", path, "-o", self.place / "page.html"),
                ("replay", path, "-m", "norm:activations", "-m", "histogram:activations", "-m", "mean:activations", "-o", out)]

    def test_no_terminal_obeys_a_text(self):
        plain = make_trace(self.place / "plain.h5", "--steps", 2)
        for what in ("format", "codec", "facts", "end", "losses"):
            path = make_trace(self.place / f"{what}.h5", "--steps", 2)
            with h5py.File(path, "r+", libver="latest") as file:
                if what == "end":
                    set_row(file, "end", 0, closed=1, failure=ESCAPES.encode())
                elif what == "losses":
                    file["losses"].resize((1,))
                    set_row(file, "losses", 0, kind=0, messages=7, bytes=7, reason=ESCAPES.encode())
                else:
                    file.attrs[what] = json.dumps({ESCAPES: ESCAPES}, ensure_ascii=False) if what == "facts" else ESCAPES
            for arguments in self.commands(path, plain):
                with self.subTest(what, command=arguments[0]):
                    done = nauha(*arguments, code=None)
                    self.assertIn(done.returncode, (0, 1, 3))
                    self.assertEqual(CONTROL.findall(done.stderr), [])
                    if "--json" not in arguments:
                        self.assertEqual(CONTROL.findall(done.stdout), [])

    def test_a_crash_is_an_error(self):
        """HDF5 does not survive every file: the program says which one it read, and ends as it does for others."""
        path = make_trace(self.place / "crash.h5", "--steps", 2)
        with h5py.File(path, "r+", libver="latest") as file:
            set_row(file, "end", 0, closed=0)
        lock = open(path, "r+b")  # so that it looks like being recorded, and is followed until the end of this
        fcntl.fcntl(lock, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 2**62, 1, 0))  # F_OFD_SETLK
        try:
            for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGABRT):
                process = subprocess.Popen([NAUHA, "replay", str(path), "--follow", "-m", "loss"], stdin=subprocess.DEVNULL,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                process.stdout.readline()
                process.send_signal(number)
                said = process.communicate(timeout=60)[1]
                self.assertEqual(process.returncode, 3, number)
                self.assertIn(f'nauha: crashed while it read "{path}": ', said)
        finally:
            lock.close()

    def test_many_rows_of_nothing(self):
        """A tensor without elements has no rows to print, however many its shape names."""
        path = self.place / "nothing.h5"
        with Arrays(path) as arrays:
            arrays.step()
            for shape in ((2**40, 0), (0, 2**40), (2**20, 2**20, 0, 7)):
                arrays.publish("activations", "layer", np.zeros(shape, np.float32))
        for arguments in self.commands(path, path):
            with self.subTest(arguments[0]):
                done = subprocess.run([NAUHA, *map(str, arguments)], capture_output=True, text=True, timeout=60)
                self.assertIn(done.returncode, (0, 2), done.stderr)
                self.assertLess(len(done.stdout), 100_000)
        self.assertIn("[1099511627776,0]\n[]\n", nauha("cat", path).stdout)
        script = "import nauha, sys\nfor m in nauha.open(sys.argv[1]).messages(kinds=\"activations\"): print(m.tensor.shape)"
        done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60,
                              env={"PYTHONPATH": str(ROOT / "tools/python")})
        self.assertEqual(done.stdout.splitlines()[0], "(1099511627776, 0)", done.stderr)


if __name__ == "__main__":
    unittest.main()
