# SPDX-License-Identifier: MIT
"""Analyzers in shared libraries: loading them, refusing them, and the built-in ones as such."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import numpy as np

from tests.integration import h5trace
from tests.integration.program import NAUHA, ROOT, folder_of, make_trace, nauha, read_csv

COMPILER = shutil.which("cc")
# Metrics that a trace of tests/tools/make_trace.c has the inputs of, where the SPEC needs some.
KINDS = {"ratio": ":weight_updates,weights", "message_mean": ":weights"}


def compile_plugin(source, output, *flags):
    subprocess.run([COMPILER, "-O1", "-std=gnu11", "-fPIC", "-shared", "-DNAUHA_PLUGIN", "-D_GNU_SOURCE", "-Iinclude", "-I.", *flags, str(source), "-o",
                    str(output), "-lm", "-ldl"], cwd=ROOT, check=True)
    return output


@unittest.skipUnless(COMPILER, "skipped: there is no C compiler")
class Plugins(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.path = make_trace(cls.dir / "run.h5")

    def odd(self, name, *flags):
        return compile_plugin(ROOT / "tests/plugins/odd.c", self.dir / f"{name}.so", *flags)

    def replay(self, plugin, metric="odd", code=0, path=None):
        return nauha("replay", path or self.path, "--plugin", plugin, "--metric", metric, code=code)

    def test_a_rule_that_takes_the_kinds_it_is_given(self):
        plugin = self.odd("rule_of_kinds", "-DKINDS=NULL", "-DTAKES=1", "-DFLAGS=4")
        said = nauha("check", self.path, "--plugin", plugin).stderr
        self.assertIn("odd (it needs a kind: --rule odd:KIND)", said)

    def lossy(self):
        """A trace that lacks weights."""
        return make_trace(self.dir / "lossy.h5", "--steps", 500, "--modules", 60, "--on-full", "drop", "--buffer", "1M", "--flush", 60)

    def test_a_plugin_is_a_metric_like_any_other(self):
        plugin = compile_plugin(ROOT / "docs/examples/outliers.c", self.dir / "outliers.so")
        rows = self.replay(plugin, "outliers:weights:sigmas=1").stdout.splitlines()
        self.assertEqual(len(rows), 1 + 12)
        self.assertTrue(rows[1].startswith("weights_outliers,0,"))
        self.assertIn('key "sigmas" takes a number from 0 to inf', self.replay(plugin, "outliers:weights:sigmas=-1", 2).stderr)
        self.assertIn('no metric "outliers"', nauha("replay", self.path, "--metric", "outliers:weights", code=2).stderr)
        listed = nauha("analyzers", "--plugin", plugin).stdout
        self.assertRegex(listed, rf"outliers:KIND +fraction of the elements that lie far from the mean \({plugin}\)")
        self.assertIn("sigmas=X", nauha("analyzers", "outliers", "--plugin", plugin).stdout)
        entry, = json.loads(nauha("analyzers", "outliers", "--json", "--plugin", plugin).stdout)
        self.assertEqual((entry["name"], entry["plugin"]), ("outliers", str(plugin)))

    def test_a_path_without_slash_is_a_file_here(self):
        compile_plugin(ROOT / "docs/examples/outliers.c", self.dir / "here.so")
        nauha("replay", self.path, "--plugin", "here.so", "--metric", "outliers:weights", cwd=self.dir)

    def test_directories(self):
        folder = self.dir / "plugins"
        folder.mkdir()
        good = compile_plugin(ROOT / "docs/examples/outliers.c", folder / "b.so")
        shutil.copy(self.odd("old", "-DABI=7"), folder / "a.so")
        (folder / "readme.txt").write_text("no plugin")
        (folder / "text.so").write_text("no library")
        environment = {**os.environ, "NAUHA_PLUGIN_PATH": f"/nowhere:{folder}"}
        nauha("replay", self.path, "--metric", "outliers:weights", env=environment)
        # The same file by its name and from a directory is one.
        nauha("replay", self.path, "--plugin", good, "--metric", "outliers:weights", env=environment)
        done = nauha("analyzers", env=environment)
        self.assertIn(f"({good})", done.stdout)
        self.assertEqual(sorted(re.findall(r"^refused: (\S+): ", done.stderr, re.M)), [str(folder / "a.so"), str(folder / "text.so")])

    def test_refused(self):
        (self.dir / "text.so").write_text("no library")
        empty = self.dir / "empty.c"
        empty.write_text("int nothing;\n")
        size = 'sizeof(struct nauha_analyzer)'
        cases = [
            (self.odd("abi", "-DABI=2"), 3, "the analyzer has ABI 2 and this program ABI 1"),
            (self.odd("large", f"-DSIZE={size}+8"), 3, "that this program knows"),
            (self.odd("small", "-DSIZE=16"), 2, "the descriptor of the analyzer has 16 bytes, less than"),
            (self.odd("crooked", f"-DSIZE={size}-1"), 2, "of the first release"),
            (self.odd("nosize", "-DSIZE=0"), 2, "the descriptor of the analyzer has 0 bytes"),
            (self.odd("noname", "-DNAME=0"), 2, "an analyzer needs a name"),
            (self.odd("badname", '-DNAME="a:b"'), 2, "an analyzer needs a name"),
            (self.odd("builtin", '-DNAME="norm"'), 2, 'the analyzer "norm" is built in and cannot be replaced'),
            (self.odd("nocompute", "-DCOMPUTE=0"), 2, 'analyzer "odd" has no compute'),
            (self.odd("flags", "-DFLAGS=0x80"), 2, "flags that this program does not know: 0x80"),
            (self.odd("type", "-DTYPE=99"), 2, 'parameter "n" has the unknown type 99'),
            (self.odd("table", "-DPARAMETERS=100000"), 2, "100000 parameters"),
            (compile_plugin(empty, self.dir / "empty.so"), 2, 'the symbol "nauha_plugin_analyzer" is missing'),
            (self.dir / "text.so", 3, "cannot be loaded"),
            (self.dir / "nowhere.so", 3, "cannot be loaded"),
        ]
        for plugin, code, text in cases:
            with self.subTest(plugin.name):
                for command in (["replay", self.path, "--metric", "loss"], ["check", self.path], ["analyzers"]):
                    done = nauha(*command, "--plugin", plugin, code=code)
                    self.assertIn(f'nauha: plugin "{plugin}": ', done.stderr)
                    self.assertIn(text, done.stderr)
                    self.assertEqual(done.stdout, "")

    def test_cut_short(self):
        whole = compile_plugin(ROOT / "docs/examples/outliers.c", self.dir / "whole.so").read_bytes()
        folder = self.dir / "cut"
        folder.mkdir()
        cut = folder / "cut.so"
        for length in range(64, len(whole), len(whole) // 24):
            with self.subTest(length=length):
                cut.write_bytes(whole[:length])
                # What is cut off past the last segment is not missed.
                nauha("analyzers", "norm", env={**os.environ, "NAUHA_PLUGIN_PATH": str(folder)})
                done = nauha("replay", self.path, "--metric", "loss", "--plugin", cut, code=None)
                self.assertIn(done.returncode, (0, 3))
                if done.returncode:
                    self.assertIn(f'plugin "{cut}": cannot be loaded: ', done.stderr)

    def test_two_of_one_name(self):
        done = nauha("analyzers", "--plugin", self.odd("one"), "--plugin", self.odd("two"), code=2)
        self.assertIn('the analyzer "odd" is already loaded from', done.stderr)

    def test_an_older_descriptor_is_taken(self):
        """As large as ABI 1 was at first: `lost`, which came later, is not looked at."""
        old = self.odd("first", "-DSIZE=__builtin_offsetof(struct nauha_analyzer,lost)", "-DFAIL=FAIL_LOST", '-DWORD="no"')
        lossy = self.lossy()
        self.assertEqual(len(self.replay(old).stdout.splitlines()), 1 + 12)
        self.replay(old, path=lossy)

    def test_each_callback_may_fail(self):
        lossy = self.lossy()
        for where in ("CREATE", "COMPUTE", "STEP_FINISHED", "FINISH", "LOST"):
            with self.subTest(where):
                path = lossy if where == "LOST" else self.path
                code = 2 if where == "CREATE" else 4
                loud = self.replay(self.odd("loud" + where, f"-DFAIL=FAIL_{where}", f'-DWORD="{where} went wrong"'), code=code, path=path)
                self.assertIn(f"{where} went wrong", loud.stderr)
                self.assertIn("odd", loud.stderr.splitlines()[-1])
                silent = self.replay(self.odd("silent" + where, f"-DFAIL=FAIL_{where}"), code=3 if where == "CREATE" else 4, path=path)
                self.assertIn("a subscriber failed", silent.stderr)

    def test_rules_may_be_plugins(self):
        source = (ROOT / "analyzers/rules/tensor_variance.c").read_text()
        (self.dir / "rule.c").write_text(source.replace('.name = "tensor_variance"', '.name = "my_rule"').replace('"inf", 0', '"1e-9", 0'))
        plugin = compile_plugin(self.dir / "rule.c", self.dir / "rule.so")
        found = json.loads(nauha("check", self.path, "--json", "--plugin", plugin, code=1).stdout)
        self.assertEqual({finding["rule"] for finding in found["findings"]}, {"my_rule"})

    def built_in_as_plugins(self):
        """The name of each built-in analyzer, and a plugin of it that is called plugin_NAME."""
        for source in sorted([*(ROOT / "analyzers/metrics").glob("*.c"), *(ROOT / "analyzers/rules").glob("*.c")]):
            text, place = source.read_text(), self.dir / source.name
            own = re.search(r'\.name = "(\w+)"', text)
            if own:
                place.write_text(text.replace(f'.name = "{own[1]}"', f'.name = "plugin_{own[1]}"'))
                yield own[1], compile_plugin(place, self.dir / f"plugin_{own[1]}.so")
                continue
            # A table, of which one row becomes the plugin's.
            for name in re.findall(r"^[A-Z]+\((\w+),", text, re.M):
                place.write_text(text.replace(".name = #ID", '.name = "plugin_" #ID') + "NAUHA_API extern const struct nauha_analyzer "
                                 f'nauha_plugin_analyzer __attribute__((alias("nauha_analyzer_{name}")));\n')
                yield name, compile_plugin(place, self.dir / f"plugin_{name}.so", "-UNAUHA_PLUGIN")

    def test_built_in_analyzers_are_the_same_as_plugins(self):
        """From the same source, under another name: the same output, byte for byte."""
        linked = json.loads(nauha("analyzers", "--json").stdout)
        names = {entry["name"]: entry for entry in linked}
        compared, tried = 0, set()
        # Where the module of linear algebra is, beside the program.
        environment = {**os.environ, "LD_LIBRARY_PATH": str(pathlib.Path(NAUHA).parent)}
        for name, plugin in self.built_in_as_plugins():
            entry = names[name]
            spec = KINDS.get(name, ":weights" if entry["min_kinds"] and not entry["default_kinds"] else "")
            tried.add(name)
            with self.subTest(name):
                if name == "message_mean":
                    extra, spec = ["--metric", "mean:weights"], ":weights_mean"
                else:
                    extra = []
                inside = nauha("replay", self.path, *extra, "--metric", name + spec, code=None)
                outside = nauha("replay", self.path, *extra, "--plugin", plugin, "--metric", f"plugin_{name}{spec}", code=None, env=environment)
                self.assertEqual(inside.stdout, outside.stdout)
                self.assertEqual(inside.returncode, outside.returncode, outside.stderr)
                compared += inside.returncode == 0 and len(inside.stdout.splitlines()) > 1
        self.assertGreater(compared, 20)
        self.assertEqual(names.keys(), tried)

    def test_the_template_builds_against_what_is_installed(self):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE") and key != "MFLAGS"}
        root = self.dir / "root"
        subprocess.run(["make", "-s", "install", f"DESTDIR={root}", "PREFIX=/usr"], cwd=ROOT, check=True, env=environment,
                       stdout=subprocess.DEVNULL)
        work = self.dir / "work"
        work.mkdir()
        shutil.copy(ROOT / "docs/examples/outliers.c", work)
        # The command of docs/writing-analyzers.md and of the source itself.
        command = "cc -O2 $(pkg-config --cflags nauha-plugin) outliers.c -o outliers.so -lm"
        for page in ("docs/writing-analyzers.md", "docs/examples/outliers.c"):
            self.assertIn(command, (ROOT / page).read_text())
        environment.update(PKG_CONFIG_PATH=str(root / "usr/lib/pkgconfig"), PKG_CONFIG_SYSROOT_DIR=str(root))
        subprocess.run(["sh", "-ec", command], cwd=work, check=True, env=environment)
        installed = [str(root / "usr/bin/nauha"), "replay", str(self.path), "--metric", "outliers:weights:sigmas=1", "-o", str(work / "out")]
        subprocess.run([*installed, "--plugin", "./outliers.so", "--sink", "csv"], cwd=work, check=True)
        rows = read_csv(work / "out/weights_outliers.csv")
        trace = h5trace.Trace(self.path)
        weights = [message.values.astype(np.float64) for message in trace.of("weights")]
        trace.file.close()
        self.assertEqual([float(row["value"]) for row in rows], [np.mean(np.abs(w - w.mean()) > w.std()) for w in weights])
        self.assertTrue(any(float(row["value"]) > 0 for row in rows))
        shutil.copy(work / "outliers.so", root / "usr/lib/nauha/plugins")
        subprocess.run([*installed, "--sink", "csv"], cwd=work, check=True)


if __name__ == "__main__":
    unittest.main()
