# SPDX-License-Identifier: MIT
"""Versions: what is printed, what an older program makes of newer traces, and which symbols a library shows."""
import ctypes
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import h5py
import numpy as np

from tests.integration.program import NAUHA, ROOT, folder_of, make_trace, nauha

OUT = pathlib.Path(NAUHA).parent
FORMAT = tuple(int(re.search(rf"NAUHA_FORMAT_{part} (\d+)u", (ROOT / "include/nauha/version.h").read_text()).group(1))
               for part in ("MAJOR", "MINOR"))


def seal(rows):
    """Gives rows of a table, which end with a checksum, the right one."""
    xxhash = ctypes.CDLL("libxxhash.so.0").XXH32
    for i in range(len(rows)):
        text = rows[i:i + 1].tobytes()[:-4]
        rows["checksum"][i] = xxhash(text, len(text), 0) & 0xFFFFFFFF
    return rows


def printed():
    """{"nauha": "0.1.0", "plugin ABI": "1", ...} of nauha --version."""
    return dict(line.rsplit(maxsplit=1) for line in nauha("--version").stdout.splitlines())


class Printed(unittest.TestCase):
    def test_every_version(self):
        said = printed()
        version = (ROOT / "VERSION").read_text()
        self.assertRegex(version, r"\A\d+\.\d+\.\d+\n\Z")
        self.assertEqual(said["nauha"], version.strip())
        self.assertEqual(said["trace format"], "%d.%d" % FORMAT)
        self.assertRegex((ROOT / "include/nauha/version.h").read_text(), rf"NAUHA_ANALYZER_ABI {said['plugin ABI']}u\n")
        self.assertEqual(list(said), ["nauha", "plugin ABI", "trace format", "HDF5", "zstd", "lz4"])
        for library, module in (("HDF5", "hdf5"), ("zstd", "libzstd"), ("lz4", "liblz4")):
            done = subprocess.run(["pkg-config", "--modversion", module], stdout=subprocess.PIPE, text=True, check=True)
            self.assertEqual(said[library], done.stdout.strip())

    def test_pages_tell_the_same(self):
        said = printed()
        for page in (ROOT / "docs/man").glob("*.1"):
            self.assertIn(f'"nauha {said["nauha"]}"', page.read_text().splitlines()[0], page.name)
        self.assertTrue((ROOT / "docs/format.md").read_text().startswith(f"# The trace format, version {said['trace format']}\n"))
        self.assertIn(f"| {said['trace format']} |", (ROOT / "docs/format.md").read_text())
        changes = (ROOT / "CHANGELOG.md").read_text()
        self.assertRegex(changes, rf"\n## \[{re.escape(said['nauha'])}\] - \d{{4}}-\d\d-\d\d\n|\n## \[Unreleased\]\n")
        self.assertIn(f"plugin ABI {said['plugin ABI']}, trace format {said['trace format']}", " ".join(changes.split()))

    def test_a_recording_has_the_version_of_the_format(self):
        with tempfile.TemporaryDirectory() as folder, h5py.File(make_trace(f"{folder}/run.h5")) as file:
            self.assertEqual((file.attrs["format_major"], file.attrs["format_minor"]), FORMAT)


class NewerTraces(unittest.TestCase):
    """Made from this version's by what a later one might do."""

    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.path = make_trace(cls.folder / "run.h5")

    def newer(self, change, **version):
        path = self.path.with_name("newer.h5")
        shutil.copy(self.path, path)
        with h5py.File(path, "r+", libver="latest") as file:
            for name, value in version.items():
                file.attrs.modify(name, np.uint32(value))
            change(file)
        return path

    def test_another_major_version_is_refused(self):
        path = self.newer(lambda file: None, format_major=FORMAT[0] + 1, format_minor=0)
        done = nauha("info", path, code=3)
        self.assertEqual(done.stderr, f'nauha: trace "{path}" has format version {FORMAT[0] + 1}.0, but this program reads '
                                      f'{FORMAT[0]}.x: use a newer nauha\n')
        path = self.newer(lambda file: None, format_major=0, format_minor=0)
        self.assertTrue(nauha("info", path, code=3).stderr.endswith(f"but this program reads {FORMAT[0]}.x\n"))

    def test_what_a_newer_minor_version_adds_is_no_obstacle(self):
        def add(file):
            file.attrs["weather"] = "fine"
            file["forecast"] = np.arange(5)
        path = self.newer(add, format_minor=FORMAT[1] + 1)
        done = nauha("ls", path)
        self.assertEqual(done.stdout, nauha("ls", self.path).stdout)
        self.assertEqual(done.stderr, f'nauha: "{path}" has format version {FORMAT[0]}.{FORMAT[1] + 1}, newer than '
                                      f'{FORMAT[0]}.{FORMAT[1]} of this program: anything new in it is ignored\n')
        self.assertEqual(nauha("ls", "-q", path).stderr, "")
        self.assertEqual(json.loads(nauha("info", "-q", "--json", path).stdout)["format"], f"{FORMAT[0]}.{FORMAT[1] + 1}")
        self.assertIn("of this program: anything new in it is ignored", nauha("diff", path, self.path).stderr)

    def test_a_field_with_a_new_meaning_is_not_misread(self):
        def rename(file):
            rows = file["chunks"][:]
            kept = file["chunks"].chunks
            del file["chunks"]
            fields = [("span" if name == "reserved" else name, kind) for name, kind in rows.dtype.descr]
            file.create_dataset("chunks", data=rows.astype(fields), chunks=kept, maxshape=(None,))
        path = self.newer(rename, format_minor=FORMAT[1] + 1)
        self.assertEqual(nauha("ls", path, code=3).stderr,
                         f"nauha: format version {FORMAT[0]}.{FORMAT[1] + 1} is newer than this program's {FORMAT[0]}."
                         f'{FORMAT[1]}: table "/chunks" of trace "{path}" has other fields\n')

    def test_messages_of_a_new_form_are_left_out_and_named(self):
        def mark(file):
            row = file["index"][7:8]
            row["flags"] |= 0x40
            file["index"][7:8] = seal(row)
        path = self.newer(mark, format_minor=FORMAT[1] + 1)
        self.assertIn("has flags that are not known", nauha("verify", path, code=1).stdout)
        self.assertEqual(len(nauha("ls", path, code=3).stdout.splitlines()), len(nauha("ls", self.path).stdout.splitlines()) - 1)


class OlderTraces(unittest.TestCase):
    """Made from this version's by what an earlier one would have written, which had fewer built-in kinds."""

    REGISTERED = 16  # the number of a registered kind there, and of a built-in one here

    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.path = make_trace(cls.folder / "run.h5")
        cls.older = cls.folder / "older.h5"
        shutil.copy(cls.path, cls.older)
        with h5py.File(cls.older, "r+", libver="latest") as file:
            kinds, chunks = file["kinds"][:cls.REGISTERED + 1], file["kinds"].chunks
            loss = [row["name"].rstrip(b"\0") for row in kinds].index(b"loss")
            kinds[cls.REGISTERED] = kinds[loss]
            kinds["name"][cls.REGISTERED] = b"temperature"
            del file["kinds"]
            file.create_dataset("kinds", data=seal(kinds), chunks=chunks, maxshape=(None,))
            for table in ("index", "streams_used"):
                rows = file[table][:]
                rows["kind"][rows["kind"] == loss] = cls.REGISTERED
                file[table][:] = seal(rows)

    def test_kinds_are_found_by_name(self):
        """The number of a registered kind may since have become that of a built-in one."""
        now = [line.split() for line in nauha("ls", self.path).stdout.splitlines()]
        then = [line.split() for line in nauha("ls", self.older).stdout.splitlines()]
        self.assertIn("loss", [words[3] for words in now])
        self.assertEqual(then, [["temperature" if word == "loss" else word for word in words] for words in now])
        self.assertEqual(nauha("verify", self.older).stdout, f"{self.older}: nothing is damaged\n")

    def test_registered_kinds_are_replayed(self):
        values = {}
        for kind, path in (("loss", self.path), ("temperature", self.older)):
            nauha("replay", path, "--metric", f"message_mean:{kind}", "--sink", "csv", "-o", self.folder / kind)
            values[kind] = (self.folder / kind / f"{kind}_message_mean.csv").read_text()
        self.assertGreater(len(values["loss"].splitlines()), 3)
        self.assertEqual(values["temperature"], values["loss"])


def declared(headers):
    """The functions that these headers declare for use from outside."""
    text = "".join(path.read_text() for path in headers)
    text = re.sub(r"/\*.*?\*/|^ *#.*?[^\\]$", "", text, flags=re.S | re.M)
    return set(re.findall(r"\bNAUHA_API\b[^;(]*?\b(nauha_\w+)\s*\(", text))


class Symbols(unittest.TestCase):
    """What a library shows is what the public headers declare."""

    @classmethod
    def setUpClass(cls):
        cls.declared = declared((ROOT / "include/nauha").glob("*.h"))

    def shown(self, library):
        done = subprocess.run(["nm", "-D", "--defined-only", OUT / library], stdout=subprocess.PIPE, text=True, check=True)
        return {line.split()[-1] for line in done.stdout.splitlines()}

    def test_the_headers_were_understood(self):
        self.assertGreater(len(self.declared), 150)
        self.assertLessEqual({"nauha_recorder_open", "nauha_trace_open", "nauha_version", "nauha_status_text"}, self.declared)

    def test_nothing_but_what_is_declared(self):
        recorder, replay = self.shown("libnauha-recorder.so"), self.shown("libnauha-replay.so")
        self.assertEqual(recorder - self.declared, set())
        self.assertEqual(replay - self.declared, set())
        # This one is not for linking; the program's modules and the Python package use it.
        self.assertEqual(self.shown("libnauha.so") - self.declared - declared((ROOT / "tools").rglob("*.h")), set())

    def test_all_that_is_declared(self):
        both = self.shown("libnauha-recorder.so") | self.shown("libnauha-replay.so")
        self.assertEqual(self.declared - both, set())
        self.assertEqual(self.declared - self.shown("libnauha.so"), set())

    def test_the_recorder_alone_and_the_replay_alone(self):
        self.assertFalse([name for name in self.shown("libnauha-replay.so") if name.startswith("nauha_recorder_")])
        self.assertFalse([name for name in self.shown("libnauha-recorder.so") if name.startswith("nauha_trace_")])

    def test_modules_show_their_entry_alone(self):
        for name in ("nauha_linalg.so", "nauha_mpi.so", "nauha_train.so", "nauha_model.so"):
            if (OUT / name).exists():
                with self.subTest(name):
                    self.assertEqual(len([s for s in self.shown(name) if s.startswith("nauha")]), 1)
        if (OUT / "nauha_fast.so").exists():
            self.assertEqual([name for name in self.shown("nauha_fast.so") if "nauha" in name], ["PyInit_nauha_fast"])
        for plugin in (OUT / "plugins").glob("*.so"):
            self.assertEqual(self.shown(f"plugins/{plugin.name}"), {"H5PLget_plugin_type", "H5PLget_plugin_info"})

    def test_names_of_the_files(self):
        version = (ROOT / "VERSION").read_text().split(".")
        number = f"0.{version[1]}" if version[0] == "0" else version[0]
        for library in ("libnauha-recorder.so", "libnauha-replay.so"):
            done = subprocess.run(["readelf", "-d", OUT / library], stdout=subprocess.PIPE, text=True, check=True)
            self.assertIn(f"soname: [{library}.{number}]", done.stdout)
            self.assertEqual((OUT / f"{library}.{number}").resolve(), (OUT / library).resolve())
