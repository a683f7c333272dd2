# SPDX-License-Identifier: MIT
"""make install, uninstall, dist and deb: what they make works where it is put, with nothing but that.

Nothing is installed on the system: everything happens in a folder.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import unittest

from tests.integration.program import NAUHA, ROOT, folder_of, has_training, make_trace

VERSION = (ROOT / "VERSION").read_text().strip()
RELEASE = pathlib.Path(NAUHA) == ROOT / "build/nauha"


def environment(**more):
    """As from a shell: of the make that runs the tests only the variables are left that it was given."""
    given = os.environ.get("MAKEFLAGS", "").partition(" -- ")[2]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "NAUHA", "PYTHONPATH"))}
    return {**kept, **({"MAKEFLAGS": f" -- {given}"} if given else {}), **more}


def run(*arguments, code=0, **options):
    done = subprocess.run(list(map(str, arguments)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=900,
                          stdin=subprocess.DEVNULL, env=environment(**options.pop("env", {})), **options)
    if done.returncode != code:
        raise AssertionError(f"{arguments}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done


def files(folder):
    return {str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*") if not path.is_dir() or path.is_symlink()}


@unittest.skipUnless(RELEASE, "the release build alone is installed")
class InFolder(unittest.TestCase):
    def setUp(self):
        self.dir = folder_of(self)


class Install(InFolder):
    def test_into_a_prefix_and_out_again(self):
        prefix = self.dir / "opt"
        where = [f"PREFIX={prefix}", f"LIBDIR={prefix}/lib64"]
        run("make", "install", f"DESTDIR={self.dir}/stage", *where, cwd=ROOT)
        staged = self.dir / "stage" / str(prefix).lstrip("/")
        shutil.move(staged, prefix)
        self.assertEqual(run(prefix / "bin/nauha", "--version").stdout, run(NAUHA, "--version").stdout)
        trace = make_trace(self.dir / "run.h5")
        self.assertIn("spectral_norm", run(prefix / "bin/nauha", "replay", "-q", trace, "--metric",
                                           "spectral_norm:weights").stdout)
        found = {"PKG_CONFIG_PATH": f"{prefix}/lib64/pkgconfig"}
        self.assertEqual(run("pkg-config", "--variable=libdir", "nauha-replay", env=found).stdout, f"{prefix}/lib64\n")
        own = prefix / "lib/nauha/plugins/mine.so"
        own.write_text("of the user")
        run("make", "uninstall", *where, cwd=ROOT)
        self.assertEqual(files(prefix), {"lib/nauha/plugins/mine.so"})


@unittest.skipUnless(shutil.which("git") and (ROOT / ".git").exists(), "what is committed is known to git alone")
class Dist(InFolder):
    def test_tarball_holds_what_installing_takes(self):
        name = run("make", "-s", "dist", cwd=ROOT).stdout.strip()
        self.assertEqual(name, f"build/nauha-{VERSION}.tar.gz")
        with tarfile.open(ROOT / name) as tar:
            tar.extractall(self.dir, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        tree = self.dir / f"nauha-{VERSION}"
        committed = run("git", "ls-tree", "-r", "--name-only", "-z", "HEAD", cwd=ROOT).stdout.split("\0")
        self.assertEqual(files(tree), set(committed) - {""})
        if run("git", "status", "--porcelain", cwd=ROOT).stdout:
            return  # what was built is something else
        run("make", "install", f"DESTDIR={self.dir}/here", "PREFIX=/usr", cwd=ROOT)  # also after pip built it with other flags
        # As if it had been built there: everything older than what came of it.
        for path in tree.rglob("*"):
            os.utime(path, (1, 1))
        elsewhere = shutil.ignore_patterns("tests", "fuzz")
        ignored = shutil.ignore_patterns("venv", "debian", "python", "tests", "fuzz", "demo*", "smdebug", "asan", "tsan", "werror*",
                                         "uninstall")
        shutil.copytree(ROOT / "build", tree / "build", ignore=lambda folder, names: (
            ignored if pathlib.Path(folder) == ROOT / "build" else elsewhere)(folder, names))
        nowhere = {"GIT_DIR": "/nonexistent"}
        made = run("make", "install", f"DESTDIR={self.dir}/there", "PREFIX=/usr", cwd=tree, env=nowhere)
        self.assertNotIn("  CC ", made.stdout)
        self.assertEqual(files(self.dir / "there"), files(self.dir / "here"))
        self.assertIn("git repository", run("make", "dist", cwd=tree, env=nowhere, code=2).stderr)


@unittest.skipUnless(RELEASE and shutil.which("dh") and shutil.which("dpkg-buildpackage"), "needs debhelper and dpkg-dev")
class Debian(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        made = run("make", "-s", "deb", cwd=ROOT).stdout.split()
        cls.packages = {path.split("/")[-1].split("_")[0]: ROOT / path for path in made if path.endswith(".deb")}
        cls.root = cls.dir / "root"
        for package in cls.packages.values():
            run("dpkg-deb", "-x", package, cls.root)
        cls.lib = next(cls.root.glob("usr/lib/*/pkgconfig")).parent
        cls.program = cls.root / "usr/bin/nauha"
        cls.trace = make_trace(cls.dir / "run.h5")
        cls.found = {"PKG_CONFIG_SYSROOT_DIR": str(cls.root), "PKG_CONFIG_LIBDIR": f"{cls.lib}/pkgconfig"}
        # Half a minute of libtorch's headers, while the others run.
        cls.compiling = cls.compile_example() if has_training() else None

    @classmethod
    def tearDownClass(cls):
        if cls.compiling and cls.compiling.poll() is None:
            cls.compiling.kill()
            cls.compiling.wait()

    @classmethod
    def flags(cls, package):
        return run("pkg-config", "--cflags", "--libs", package, env=cls.found).stdout.split()

    @classmethod
    def compile_example(cls):
        """README's command, with flags of the same build's libtorch where it is not the system's."""
        torch = run("make", "-s", "torch-flags", cwd=ROOT).stdout.split()
        return subprocess.Popen(["g++", "-std=c++17", str(ROOT / "docs/examples/record.cpp"), "-o", str(cls.dir / "record"),
                                 *cls.flags("nauha-recorder"), *torch],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def field(self, package, name):
        return run("dpkg-deb", "-f", self.packages[package], name).stdout.strip()

    def test_packages_and_what_they_depend_on(self):
        number = ".".join(VERSION.split(".")[:2 if VERSION.startswith("0.") else 1])
        self.assertEqual(set(self.packages), {"nauha", "libnauha-dev", f"libnauha-recorder{number}", f"libnauha-replay{number}"})
        for name in set(self.packages) - {"libnauha-dev"}:
            depends = self.field(name, "Depends")
            for library in ("libc6", "libhdf5-", "libzstd1", "liblz4-1"):
                self.assertIn(library, depends, name)
            self.assertNotRegex(depends, "torch|mpi|stdc")
        self.assertEqual(self.field("libnauha-dev", "Depends"),
                         f"libnauha-recorder{number} (= {VERSION}-1), libnauha-replay{number} (= {VERSION}-1)")
        if has_training():
            self.assertIn("libtorch", self.field("nauha", "Recommends"))
        for package in self.packages.values():
            self.assertNotIn("conffiles", run("dpkg-deb", "-I", package).stdout)

    def test_the_program(self):
        self.assertEqual(run(self.program, "--version").stdout, run(NAUHA, "--version").stdout)
        self.assertIn("148", run(self.program, "info", self.trace).stdout)
        self.assertEqual(run(self.program, "replay", "-q", self.trace, "--metric", "spectral_norm:weights").stdout,
                         run(NAUHA, "replay", "-q", self.trace, "--metric", "spectral_norm:weights").stdout)
        self.assertIn("nauha record", run(self.program, "record", "--help").stdout)

    @unittest.skipUnless(has_training(), "a build without libtorch")
    def test_the_training_module(self):
        run(self.program, "train", "-q", "-o", self.dir / "train.h5", "--model", "fc", "--max-steps", 2, "--kinds", "loss")
        self.assertRegex(run(self.program, "info", self.dir / "train.h5").stdout, r"steps +2 in")

    def test_the_python_package(self):
        said = run(sys.executable, "-c", "import sys, nauha; t = nauha.open(sys.argv[1]); print(nauha.__file__, t.info.messages)",
                   self.trace, env={"PYTHONPATH": f"{self.root}/usr/lib/python3/dist-packages"}, cwd=self.dir).stdout
        self.assertEqual(said.split()[1], "148")
        self.assertTrue(said.startswith(str(self.root)))

    def test_a_plugin(self):
        plugins = run("pkg-config", "--variable=plugindir", "nauha-plugin", env=self.found).stdout.strip()
        plugins = plugins if plugins.startswith(str(self.root)) else f"{self.root}{plugins}"
        self.assertEqual(pathlib.Path(plugins), self.root / "usr/lib/nauha/plugins")
        run("gcc", *self.flags("nauha-plugin"), ROOT / "docs/examples/outliers.c", "-o", f"{plugins}/outliers.so", "-lm")
        self.assertIn("outliers.so", run(self.program, "analyzers").stdout)

    def test_a_program_that_replays(self):
        (self.dir / "open.c").write_text('#include <nauha/trace.h>\n'
                                         'int main(int argc, char **argv) {\n'
                                         '    struct nauha_trace *trace;\n'
                                         '    return argc - 2 + (int)nauha_trace_open(argv[1], nauha_names_new(), &trace, 0);\n'
                                         '}\n')
        run("gcc", self.dir / "open.c", "-o", self.dir / "open", *self.flags("nauha-replay"))
        run(self.dir / "open", self.trace, env={"LD_LIBRARY_PATH": str(self.lib)})
        self.assertRegex(run("readelf", "-d", self.dir / "open").stdout, r"NEEDED.*libnauha-replay\.so\.\d")

    @unittest.skipUnless(has_training(), "a build without libtorch")
    def test_training_that_records_itself(self):
        errors = self.compiling.communicate(timeout=600)[1]
        self.assertEqual(self.compiling.returncode, 0, errors)
        folder = self.dir / "recorded"
        folder.mkdir()
        run(self.dir / "record", env={"LD_LIBRARY_PATH": str(self.lib)}, cwd=folder)
        self.assertRegex(run(self.program, "info", folder / "run.h5").stdout, r"steps +100 in")

    @unittest.skipUnless(shutil.which("man"), "needs man")
    def test_man_pages(self):
        pages = sorted((self.root / "usr/share/man/man1").glob("*.gz"))
        self.assertEqual({page.name for page in pages},
                         {"nauha.1.gz", *(f"nauha-{name}.1.gz" for name in run(NAUHA, "help", "--commands").stdout.split())})
        for page in pages:
            done = run("man", "--warnings", "-l", page, env={"MANWIDTH": "80", "MAN_KEEP_FORMATTING": ""})
            self.assertEqual(done.stderr, "", page.name)
            self.assertIn(f"nauha {VERSION}", done.stdout)

    @unittest.skipUnless(os.geteuid() == 0, "dpkg takes root, also for a root folder of its own")
    def test_installed_and_removed(self):
        root = self.dir / "system"
        for folder in ("info", "updates", "triggers"):
            (root / "var/lib/dpkg" / folder).mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()
        dpkg = ["dpkg", f"--root={root}", "--force-depends", "--force-script-chrootless", "--log=/dev/null"]
        run(*dpkg, "--install", *self.packages.values())
        self.assertEqual(files(root / "usr"), {name for name in files(self.root / "usr") if "plugins/outliers.so" not in name})
        (root / "usr/lib/nauha/python/nauha/__pycache__").mkdir()
        (root / "usr/lib/nauha/python/nauha/__pycache__/native.pyc").touch()
        run(*dpkg, "--purge", *self.packages)
        self.assertEqual(files(root / "usr"), set())
        self.assertEqual(list(root.rglob("*nauha*")), [])
