# SPDX-License-Identifier: MIT
"""The Makefile: what it finds to build with is what is there now, and its own flags stay whatever is added.

The sources are copied; the compilers leave empty files, and what they are given is in a log. What the system has is hidden
from pkg-config and from the finder of libtorch, and put in place between two makes.
"""
import os
import shutil
import subprocess
import textwrap
import unittest

from tests.integration.program import ROOT, folder_of

COMPILER = """\
#!/bin/sh
for word; do
    case $last in -o) : >"$word" ;; esac
    last=$word
done
case " $* " in *" -print-multiarch "*) exit ;; esac
echo "${0##*/} $*" >>"$BUILD_LOG"
"""
PROTOC = """\
#!/bin/sh
for word; do
    case $word in --c_out=*) to=${word#--c_out=} ;; esac
done
mkdir -p "$to/${word%/*}"
: >"$to/${word%.proto}.pb-c.c"
"""
NEEDED = ("hdf5", "libzstd", "liblz4", "libxxhash", "libcjson", "libprotobuf-c")


def package(folder, name, version="1"):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.pc").write_text(f"Name: {name}\nDescription: {name}\nVersion: {version}\n"
                                       f"Cflags: -I/there/{name}\nLibs: -lthere_{name}\n")


def libtorch(folder, size=1):
    for path, text in (("include/torch/csrc/api/include/torch/torch.h", ""), ("lib/libc10.so", "_ZN3c105ErrorC1ENSt7__cxx1112x"),
                       ("lib/libtorch_cpu.so", "x" * size)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


@unittest.skipUnless(shutil.which("pkg-config"), "skipped: no pkg-config")
class Build(unittest.TestCase):
    def setUp(self):
        self.dir = folder_of(self)
        self.tree, self.found, self.log = self.dir / "tree", self.dir / "found", self.dir / "log"
        self.tree.mkdir()
        for name in ("Makefile", "VERSION", "README.md", "CHANGELOG.md", "LICENSE"):
            shutil.copy(ROOT / name, self.tree)
        for name in ("include", "recorder", "replay", "analyzers", "tools", "tests", "docs"):
            shutil.copytree(ROOT / name, self.tree / name, ignore=shutil.ignore_patterns("__pycache__", "corpus"))
        programs = self.dir / "bin"
        programs.mkdir()
        for name, text in (("cc", COMPILER), ("c++", COMPILER), ("protoc-c", PROTOC), ("python3", "#!/bin/sh\nexit 1\n")):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith((
            "MAKE", "MFLAGS", "NAUHA", "LIBTORCH", "CPPFLAGS", "CFLAGS", "CXXFLAGS", "LDFLAGS", "LDLIBS", "OPENBLAS_"))}
        self.environment.update(PATH=f"{programs}:{os.environ['PATH']}", PKG_CONFIG_LIBDIR=str(self.found), BUILD_LOG=str(self.log),
                                CC="cc", CXX="c++", LC_ALL="C")
        self.environment.pop("PKG_CONFIG_PATH", None)
        # The distribution's libtorch is put into a folder of ours.
        finder = self.tree / "tools/dev/find-libtorch.sh"
        self.torch = self.dir / "torch"
        finder.rename(finder.with_suffix(".own"))
        finder.write_text(textwrap.dedent(f"""\
            #!/bin/sh
            if [ $# -gt 0 ] || [ -e "{self.torch}" ]; then
                exec "${{0%.sh}}.own" "${{1-{self.torch}}}"
            fi
            """))
        finder.chmod(0o755)
        for name in NEEDED:
            package(self.found, name)

    def make(self, *arguments, code=0, **variables):
        """(what it said, the compilers' calls)."""
        self.log.write_text("")
        done = subprocess.run(["make", "-j4", *arguments], cwd=self.tree, env={**self.environment, **variables}, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        self.assertEqual(done.returncode, code, done.stdout[-3000:])
        return done.stdout, self.log.read_text().splitlines()

    def modules(self):
        return {path.name for path in (self.tree / "build").glob("nauha_*.so")}

    def compiled(self, calls):
        """The folders of what was compiled."""
        return {word.rpartition("/")[0] for call in calls if " -c " in call for word in call.split()
                if word.endswith((".c", ".cpp")) and not word.startswith("build/")}

    def test_what_comes_later_and_what_goes(self):
        said, _ = self.make()
        self.assertEqual(self.modules(), set())
        for word in ("libtorch-dev", "libopenmpi-dev", "libopenblas-pthread-dev", "libpython3-dev", "make deps"):
            self.assertIn(word, said)
        libtorch(self.torch)
        said, calls = self.make()
        self.assertEqual(self.modules(), {"nauha_train.so", "nauha_model.so"})
        self.assertEqual(self.compiled(calls), {"tools/train", "tools/model"})
        self.assertNotIn("libtorch-dev", said)
        package(self.found, "ompi-c")
        package(self.found, "openblas")
        package(self.found, "python3")
        _, calls = self.make()
        self.assertEqual(self.modules(), {"nauha_train.so", "nauha_model.so", "nauha_mpi.so", "nauha_linalg.so", "nauha_fast.so"})
        self.assertEqual(self.compiled(calls), {"tools/mpi", "analyzers/linalg", "tools/python/fast"})
        self.assertEqual(self.make()[1], [])
        # Installing looks as well.
        self.make("install", f"DESTDIR={self.dir}/stage", "PREFIX=/usr")
        self.assertTrue((self.dir / "stage/usr/lib/nauha/nauha_train.so").exists())
        shutil.rmtree(self.torch)
        (self.found / "ompi-c.pc").unlink()
        (self.found / "openblas.pc").unlink()
        (self.found / "python3.pc").unlink()
        said, _ = self.make()
        self.assertEqual(self.modules(), set())
        self.assertIn("libtorch-dev", said)
        shutil.rmtree(self.dir / "stage")
        self.make("install", f"DESTDIR={self.dir}/stage", "PREFIX=/usr")
        self.assertFalse((self.dir / "stage/usr/lib/nauha/nauha_train.so").exists())

    def test_another_version_rebuilds(self):
        libtorch(self.torch)
        package(self.found, "ompi-c")
        self.make()
        libtorch(self.torch, size=2)
        self.assertEqual(self.compiled(self.make()[1]), {"tools/train", "tools/model"})
        package(self.found, "ompi-c", version="2")
        self.assertEqual(self.compiled(self.make()[1]), {"tools/mpi"})
        package(self.found, "hdf5", version="2")
        self.assertLess({"recorder", "replay/trace", "tools/cli"}, self.compiled(self.make()[1]))

    def test_what_is_missing_is_named(self):
        (self.found / "hdf5.pc").unlink()
        (self.found / "libcjson.pc").unlink()
        said, calls = self.make(code=2)
        self.assertIn("hdf5 libcjson", said)
        self.assertIn("make deps", said)
        self.assertEqual(calls, [])
        package(self.found, "hdf5")
        package(self.found, "libcjson")
        self.make()
        self.assertTrue((self.tree / "build/nauha").exists())

    def test_a_libtorch_that_is_named_has_to_be_there(self):
        there = self.dir / "mine"
        for _ in range(2):
            self.assertIn("mine", self.make(f"LIBTORCH={there}", code=2)[0])
        libtorch(there)
        self.make(f"LIBTORCH={there}")
        self.assertEqual(self.modules(), {"nauha_train.so", "nauha_model.so"})

    def test_flags_are_added(self):
        libtorch(self.torch)
        given = {"CPPFLAGS": "-DGIVEN_CPP", "CFLAGS": "-DGIVEN_C", "CXXFLAGS": "-DGIVEN_CXX", "LDFLAGS": "-Wl,-given", "LDLIBS": "-lgiven"}
        for name, (arguments, variables) in {"environment": ((), given),
                                             "command line": ([f"{name}={text}" for name, text in given.items()], {})}.items():
            with self.subTest(name):
                shutil.rmtree(self.tree / "build", ignore_errors=True)
                _, calls = self.make(*arguments, **variables)
                for call in calls:
                    compiles, cxx = " -c " in call, call.startswith("c++")
                    wanted = ["-fPIC", "-DGIVEN_CPP", *(("-std=c++17", "-DGIVEN_CXX") if cxx else ("-std=c11", "-DGIVEN_C"))]
                    for word in wanted if compiles else ["-Wl,-z,relro,-z,now", "-Wl,-given"]:
                        self.assertIn(word, call.split())
                    self.assertNotIn("-DGIVEN_C" if cxx else "-DGIVEN_CXX", call.split())
                version = [call for call in calls if "core/version.c " in call]
                self.assertIn("-DNAUHA_LIBRARY_VERSION", version[0])
                self.assertIn("-lgiven", [call for call in calls if "-o build/nauha " in call][0])
                self.assertEqual(self.make(*arguments, **variables)[1], [])
        self.assertNotEqual(self.make()[1], [])  # without them, all is made again


if __name__ == "__main__":
    unittest.main()
