# SPDX-License-Identifier: MIT
"""The Python package itself: what it takes to import it, what its names show of themselves, their types, the commands as
functions, and the wheel."""
import ast
import ctypes
import fcntl
import importlib.util
import json
import logging
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
import unittest
import zipfile

import numpy as np

from tests.integration.program import BUILD, NAUHA, ROOT, folder_of, make_trace, nauha as program, read_csv

PACKAGE = ROOT / "tools/python"
sys.path.insert(0, str(PACKAGE))
import nauha  # noqa: E402
from nauha import native  # noqa: E402

BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def has(module):
    return importlib.util.find_spec(module) is not None


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.path = make_trace(cls.dir / "run.h5")

    def python(self, text, *arguments, missing=(), code=0, **environment):
        program = BLOCKER.format(missing=set(missing) or {""}) + textwrap.dedent(text)
        done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(PACKAGE), **environment})
        self.assertEqual(done.returncode, code, done.stderr)
        return done


class Importing(Case):
    def test_reading_needs_no_torch(self):
        done = self.python("""
            import nauha, pydoc, sys
            text = pydoc.plain(pydoc.render_doc(nauha))
            assert all(name in text for name in ("class Trace", "class Exporter", "replay(traces, metrics", nauha.__version__)), text
            assert all(hasattr(nauha, name) for name in dir(nauha))
            with nauha.open(sys.argv[1]) as trace:
                print(trace.info.messages, nauha.replay(sys.argv[1], "loss")["loss"].rows)
            try:
                nauha.Exporter("run.h5")
            except ImportError as error:
                print(error)
        """, self.path, missing=["torch"])
        numbers, error = done.stdout.splitlines()
        self.assertEqual(numbers, "148 6")
        self.assertEqual(error, f'nauha.Exporter needs torch (PyTorch), which "{sys.executable}" does not have: install it there, '
                         "or run the Python that has it")

    def test_help_needs_neither(self):
        said = self.python("import nauha; help(nauha)", missing=["torch", "numpy"]).stdout
        self.assertIn("Needs numpy, which this Python does not have.", said)

    def test_a_name_that_there_is_not(self):
        with self.assertRaisesRegex(AttributeError, "module 'nauha' has no attribute 'opne'"):
            nauha.opne

    @unittest.skipUnless(shutil.which("cc"), "skipped: there is no C compiler")
    def test_a_library_of_the_system_that_is_missing(self):
        for name, text in (("libcjson.so.77", "the package libcjson1 (Debian, Ubuntu) or cjson (Fedora)"),
                           ("libhdf5_serial.so.999", "the package libhdf5-103-1"), ("libstrange.so.1", "the package that has it")):
            there = self.dir / name
            for output, *more in ((there, f"-Wl,-soname,{name}"), (self.dir / "libnauha.so", "-Wl,--no-as-needed", there)):
                subprocess.run(["cc", "-shared", "-o", output, "-x", "c", "/dev/null", "-x", "none", *more], check=True, timeout=60)
            there.unlink()
            error = self.python("import nauha; nauha.Trace", code=1, NAUHA_LIBRARY=str(self.dir / "libnauha.so")).stderr.splitlines()[-1]
            self.assertIn(f'nauha\'s C library needs "{name}", which this system does not have', error)
            self.assertIn(text, error)
        error = self.python("import nauha; nauha.Trace", code=1, NAUHA_LIBRARY=str(self.dir / "none.so")).stderr
        self.assertIn(f'nauha\'s C library "{self.dir}/none.so" was not found: build it with `make`', error)


class Structures(unittest.TestCase):
    """What the package declares a second time is what the headers say."""

    @staticmethod
    def of_the_library():
        sizes, size = {}, ctypes.c_size_t()
        while (name := native.library.nauha_struct_at(len(sizes), ctypes.byref(size))) is not None:
            sizes[name.decode()] = size.value
        return sizes

    def test_none_is_forgotten(self):
        sources = "".join(path.read_text() for path in (PACKAGE / "nauha").rglob("*.py"))
        classes = re.findall(r"^class \w+\(.*(?:Structure|Union)\):$", sources, re.M)
        declared = re.findall(r'^class \w+\(.*(?:Structure|Union)\):\n    """((?:struct|union) \w+)', sources, re.M)
        self.assertEqual(len(classes), len(declared), "each says in its first line which struct it is")
        for module in ("__main__", "pipeline", "trace"):
            importlib.import_module(f"nauha.{module}")
        self.assertEqual(sorted(declared), sorted(native.MIRRORS))
        self.assertEqual(sorted(declared), sorted(self.of_the_library()))

    @unittest.skipUnless(shutil.which("cc"), "skipped: there is no C compiler")
    def test_members_are_where_c_has_them(self):
        for module in ("__main__", "pipeline", "trace"):
            importlib.import_module(f"nauha.{module}")
        members = [(name, member, getattr(mirror, member)) for name, mirror in native.MIRRORS.items() for member, _ in mirror._fields_]
        self.assertGreater(len(members), 100)
        folder = folder_of(self)
        source = folder / "members.c"
        source.write_text("#include <stdio.h>\n" + "".join(f'#include "{header}"\n' for header in (
            "nauha/finding.h", "nauha/fingerprint.h", "nauha/option.h", "nauha/recorder.h", "nauha/trace.h", "tools/cli/program.h")) + "int main(void) {\n" + "".join(
            f'printf("%zu %zu\\n", offsetof({name}, {member}), sizeof((({name} *)0)->{member}));\n' for name, member, _ in members) + "}\n")
        subprocess.run(["cc", "-std=c11", "-I", ROOT / "include", "-I", ROOT, source, "-o", source.with_suffix("")], check=True, timeout=60)
        lines = subprocess.run([source.with_suffix("")], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
        for (name, member, here), line in zip(members, lines):
            self.assertEqual(f"{here.offset} {here.size}", line, f"{name}, {member}")

    def test_a_structure_of_another_size(self):
        class Longer(native.Tensor):
            _fields_ = [("more", ctypes.c_uint64)]
        with self.assertRaisesRegex(ImportError, r"of different versions \(struct nauha_tensor has (\d+) bytes there and \d+ here\): build both from"):
            native.mirror(native.library, {"struct nauha_tensor": Longer})
        with self.assertRaisesRegex(ImportError, "struct nauha_nothing has no bytes there"):
            native.mirror(native.library, {"struct nauha_nothing": Longer})

    @unittest.skipUnless(shutil.which("cc"), "skipped: there is no C compiler")
    def test_a_library_of_another_version(self):
        folder = folder_of(self)
        library = folder / "libnauha.so"
        subprocess.run(["cc", "-shared", "-o", library, "-x", "c", "/dev/null"], check=True, timeout=60)
        done = subprocess.run([sys.executable, "-c", "import nauha; nauha.Trace"], stderr=subprocess.PIPE, text=True, timeout=120,
                              env={**os.environ, "PYTHONPATH": str(PACKAGE), "NAUHA_LIBRARY": str(library)})
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.splitlines()[-1], r'"\S+/libnauha.so" and its Python package are of different versions \(it has no function nauha_\w+\)')


class Shown(Case):
    def test_a_trace(self):
        with nauha.open(self.path) as trace:
            self.assertEqual(repr(trace), f"<trace '{self.path}': 6 steps, 148 messages, 3 modules>")
            self.assertIn("<tr><td>weights</td><td>12</td>", trace._repr_html_())
        self.assertEqual(repr(trace), f"<trace '{self.path}', closed>")
        self.assertIn("closed", trace._repr_html_())

    def test_a_message_also_when_its_trace_is_closed(self):
        with nauha.open(self.path) as trace:
            messages = list(trace.messages(kinds="weights", steps=2))
        self.assertEqual([repr(message) for message in messages],
                         ["<weights of hidden.weight, step 2 f32[5, 3]>", "<weights of output.weight, step 2 f32[5, 3]>"])
        self.assertLessEqual({"kind", "module", "global_step", "shape", "tensor", "hash", "fingerprint"}, set(dir(messages[0])))
        self.assertTrue(all(hasattr(messages[0], name) for name in dir(messages[0]) if name not in ("tensor", "data", "hash", "fingerprint")))
        self.assertIn("<tr><td>module</td><td>hidden</td></tr>", messages[0]._repr_html_())
        # The same of what a metric keeps.
        kept = []
        nauha.replay(self.path, nauha.callback(kept.append, ["weights", "weight_updates"]))
        self.assertRegex(repr(kept[0]), r"^<bundle of <weights of hidden\.weight, step 0 .*>, <weight_updates of hidden\.weight, step 0 .*>>$")
        self.assertIn("module", dir(kept[0]))

    def test_a_series(self):
        series = nauha.replay(self.path, ["loss", "histogram:weights:bins=4"])
        lines = repr(series["loss"]).splitlines()
        self.assertEqual((lines[0].split()[-1], lines[-1], len(lines)), ("value", "<series, 6 rows>", 8))
        lines = repr(series["weights_histogram"]).splitlines()
        self.assertEqual((lines[11], lines[-1], len(lines)), ("...", "<series, 48 rows>", 23))
        self.assertEqual(series["weights_histogram"]._repr_html_().count("<tr>"), 22)
        self.assertEqual(repr(nauha.Series()), "<series, empty>")


class Errors(Case):
    def test_they_are_what_python_raises_too(self):
        with self.assertRaisesRegex(FileNotFoundError, r'^cannot open trace "\S+none\.h5": No such file or directory$') as caught:
            nauha.open(self.dir / "none.h5")
        self.assertIsInstance(caught.exception, nauha.Error)
        self.assertEqual((caught.exception.errno, caught.exception.status), (2, native.Status.IO))
        for call in (lambda path: nauha.replay(path, "loss"), lambda path: nauha.replay([self.path, path], "loss"), nauha.check,
                     lambda path: nauha.diff(self.path, path)):
            self.assertRaises(FileNotFoundError, call, self.dir / "none.h5")
        (self.dir / "noise.h5").write_bytes(b"noise")
        with self.assertRaises(nauha.Error) as caught:
            nauha.open(self.dir / "noise.h5")
        self.assertNotIsInstance(caught.exception, OSError)
        self.assertIsInstance(native.error_of("x", native.Status.IO, 13), PermissionError)

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_permission(self):
        path = make_trace(self.dir / "locked.h5")
        path.chmod(0)
        self.assertRaises(PermissionError, nauha.open, path)


class Trainings(Case):
    def test_several_are_replayed_as_by_the_program(self):
        folder = self.dir / "sweep"
        folder.mkdir()
        paths = [make_trace(folder / f"{name}.h5", "--steps", steps) for name, steps in (("fast", 4), ("slow", 7))]
        metrics = ["loss", "norm:weights", "histogram:weights:bins=3"]
        for given in (paths, folder, [folder]):
            ours, theirs = self.dir / "ours", self.dir / "theirs"
            tables = nauha.replay(given, metrics, output=ours, sinks="csv")
            program("replay", *([given] if given is folder else given), *(word for spec in metrics for word in ("--metric", spec)),
                    "-o", theirs, "--sink", "csv")
            self.assertEqual(set(tables), {path.stem for path in theirs.glob("*.csv")})
            for name, series in tables.items():
                self.assertEqual((ours / f"{name}.csv").read_bytes(), (theirs / f"{name}.csv").read_bytes())
                rows = read_csv(theirs / f"{name}.csv")
                self.assertEqual(list(series), list(rows[0]))
                self.assertEqual(list(series["run"]), [row["run"] for row in rows])
                self.assertEqual(list(series["global_step"]), [int(row["global_step"]) for row in rows])
        ranks = [make_trace(self.dir / f"run.rank{rank}.h5", "--rank", rank) for rank in (0, 1)]
        self.assertNotIn("run", nauha.replay(ranks, "loss")["loss"])

    def test_a_subscriber_sees_one_after_the_other(self):
        class Count(nauha.Subscriber):
            count, counts = 0, ()

            def compute(self, message):
                self.count += 1

            def finish(self):
                self.counts += self.count,
                self.count = 0

        count = Count("loss")
        nauha.replay([self.path, make_trace(self.dir / "other.h5", "--steps", 3)], count)
        self.assertEqual(count.counts, (6, 3))

    def test_an_empty_directory_and_nothing_at_all(self):
        (self.dir / "empty").mkdir()
        with self.assertRaisesRegex(nauha.Error, "contains no traces"):
            nauha.replay(self.dir / "empty", "loss")
        for nothing in ((self.path, []), ([], "loss")):
            with self.assertRaisesRegex(nauha.Error, "at least one trace and one metric"):
                nauha.replay(*nothing)


class Commands(Case):
    def test_check(self):
        rule, steps = "tensor_variance:weights:max=0.01", slice(2, 4)
        found = nauha.check(self.path, rule=[rule, "all_zero"], steps=steps)
        self.assertEqual(found, json.loads(program("check", self.path, "--json", "--rule", rule, "--rule", "all_zero", "--steps", "2:4",
                                                   code=1).stdout))
        self.assertEqual(len(found["findings"]), 2)
        self.assertEqual(nauha.check(str(self.path))["findings"], [])
        for options, text in (({"steps": "1000:"}, "chooses no message"), ({"rule": "nope"}, 'no rule "nope"'),
                              ({"colour": 1}, 'no option "--colour"')):
            with self.assertRaisesRegex(nauha.Error, text):
                nauha.check(self.path, **options)

    def test_numbers_that_json_has_none_for(self):
        from nauha.commands import _numbers
        found = json.loads('[{"value": "nan", "worst": "-inf", "rule": "inf"}]', object_hook=_numbers)[0]
        self.assertTrue(np.isnan(found["value"]))
        self.assertEqual((found["worst"], found["rule"]), (-np.inf, "inf"))

    def test_diff(self):
        other = make_trace(self.dir / "other.h5", "--steps", "4")
        self.assertFalse(nauha.diff(self.path, self.path)["differ"])
        self.assertFalse(nauha.diff(self.path, other, common=True)["differ"])
        self.assertEqual(nauha.diff(self.path, other, kinds=["weights", "loss"])["b"]["steps"], 4)

    def test_report(self):
        page = nauha.report(self.path, self.dir / "page.html", title="A title of its own", metric=["norm:weights", "loss"])
        self.assertEqual(page, self.dir / "page.html")
        self.assertIn("A title of its own", page.read_text())


class Notices(Case):
    def test_on_stderr_where_logging_is_not_set_up(self):
        text = "from nauha import native; native.notice('something')"
        self.assertEqual(self.python(text).stderr, "nauha: something\n")
        said = self.python("import logging; logging.basicConfig(format='%(name)s %(levelname)s %(message)s')\n" + text).stderr
        self.assertEqual(said, "nauha WARNING something\n")

    def test_through_logging(self):
        with self.assertLogs("nauha", logging.WARNING) as logs:
            native.notice("100 % of it")
        self.assertEqual(logs.output, ["WARNING:nauha:100 % of it"])


STUB = PACKAGE / "nauha/__init__.pyi"
USER = '''
from typing import Any
import nauha

class Sparsity(nauha.Subscriber):
    def compute(self, message: nauha.Message) -> float:
        return float((message.tensor == 0).mean())

def look(path: str) -> int:
    with nauha.open(path) as trace:
        for message in trace.messages(kinds="weights", steps=slice(0, 10)):
            name: str | None = message.module
            print(name, message.shape[0], message.tensor.mean())
        series: nauha.Series = trace.series("norm:weights")
    tables = nauha.replay([path], [Sparsity("weights"), "loss"], jobs=2, kinds=["weights"])
    found: list[dict[str, Any]] = nauha.check(path)["findings"]
    return series.rows + tables["loss"].rows + len(found) + len(nauha.__version__)

def record(model: list[int]) -> list[int]:
    with nauha.Exporter("run.h5", step="optimizer", kinds=["loss"]) as exporter:
        return exporter.set_model(model)
'''


class Types(Case):
    def test_the_stub_says_what_there_is(self):
        """Names, and the parameters with their defaults, of what is public; Exporter as its source has it."""
        tree = ast.parse(STUB.read_text())
        names = {node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
        self.assertEqual(names, set(nauha.__all__))
        self.assertTrue((PACKAGE / "nauha/py.typed").exists())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.decorator_list:
                self.assertEqual(parameters(node), parameters(source_of(node.name)), node.name)
            for method in node.body if isinstance(node, ast.ClassDef) else ():
                if not isinstance(method, ast.FunctionDef) or (node.name, method.name) in {("Error", "__init__"), ("Trace", "messages")}:
                    continue
                there = [m for m in source_of(node.name).body if isinstance(m, ast.FunctionDef) and m.name == method.name]
                self.assertEqual([parameters(m) for m in there], [parameters(method)], f"{node.name}.{method.name}")

    @unittest.skipUnless(has("mypy"), "skipped: this Python has no mypy")
    def test_a_program_of_a_user(self):
        (self.dir / "user.py").write_text(USER)
        done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--python-version", "3.10", "--cache-dir", self.dir / "cache",
                               self.dir / "user.py"], stdout=subprocess.PIPE, text=True, timeout=300,
                              env={**os.environ, "MYPYPATH": str(PACKAGE)})
        self.assertEqual(done.returncode, 0, done.stdout)
        (self.dir / "wrong.py").write_text("import nauha\nnauha.open(3)\nnauha.opne('x')\n")
        done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", self.dir / "cache", self.dir / "wrong.py"],
                              stdout=subprocess.PIPE, text=True, timeout=300, env={**os.environ, "MYPYPATH": str(PACKAGE)})
        self.assertIn("Found 2 errors", done.stdout)


def source_of(name):
    path = PACKAGE / f"nauha/{nauha._HOME[name]}.py"
    return next(node for node in ast.parse(path.read_text()).body if getattr(node, "name", None) == name)


def parameters(function):
    """[(name, whether it has a default)]"""
    given = function.args
    first = len(given.args) - len(given.defaults)
    return ([(argument.arg, position >= first) for position, argument in enumerate(given.args)]
            + [(given.vararg and given.vararg.arg, given.kwarg and given.kwarg.arg)]
            + [(argument.arg, default is not None) for argument, default in zip(given.kwonlyargs, given.kw_defaults)])


class WithoutTorch(Case):
    def test_record_says_which_python_it_was(self):
        script = self.dir / "train.py"
        script.write_text("import sys\nsys.path[:] = [path for path in sys.path if 'packages' not in path]\n"
                          "try:\n    import torch\nexcept ImportError:\n    print('none')\n")
        done = program("record", "-o", self.dir / "none.h5", "--", sys.executable, script)
        self.assertEqual(done.stdout, "none\n")
        self.assertRegex(done.stderr, rf'^nauha: nothing was recorded: the program ran under "{re.escape(sys.executable)}", which has '
                         r'no torch \(PyTorch\): use a Python that has it, as in "nauha record -o run\.h5 -- ')


@unittest.skipUnless(pathlib.Path(NAUHA) == ROOT / "build/nauha", "the release build alone is packed")
@unittest.skipUnless(all(map(has, ("pip", "setuptools", "wheel"))), "skipped: this Python has no pip, setuptools and wheel")
class Wheel(Case):
    def test_it_is_of_its_platform_and_typed(self):
        with open(BUILD / "pip.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", self.dir, ROOT],
                                  stderr=subprocess.PIPE, text=True, timeout=900)
        self.assertEqual(done.returncode, 0, done.stderr)
        wheel, = self.dir.glob("nauha-*.whl")
        self.assertRegex(wheel.name, r"^nauha-[\d.]+-py3-none-linux_\w+\.whl$")
        with zipfile.ZipFile(wheel) as packed:
            files = {name for name in packed.namelist() if ".dist-info/" not in name}
            about = {name.split("/")[-1]: packed.read(name).decode() for name in packed.namelist() if ".dist-info/" in name}
        self.assertLessEqual({"nauha/libnauha.so", "nauha/bin/nauha", "nauha/py.typed", "nauha/__init__.pyi"}, files)
        self.assertFalse([name for name in files if not name.startswith("nauha/")])
        self.assertIn("Root-Is-Purelib: false", about["WHEEL"])
        self.assertRegex(about["METADATA"], r"(?m)^Classifier: Typing :: Typed$")
        self.assertRegex(about["METADATA"], rf"(?m)^Version: {re.escape(nauha.__version__)}$")
        self.assertEqual(nauha.__version__, (ROOT / "VERSION").read_text().strip())
