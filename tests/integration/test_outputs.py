# SPDX-License-Identifier: MIT
"""What the program writes: nothing that it has not made is destroyed, and what could not be written is told."""
import contextlib
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import threading
import unittest

import numpy as np

from tests.integration import h5trace
from tests.integration.program import NAUHA, folder_of, has_training, make_trace, nauha, read_csv

TEXT = b"import torch  # somebody's own\n"
TRAIN = ("train", "-m", "fc", "--max-steps", 2, "--kinds", "loss", "--test-every", 0)
NOTHING = "import sys\nsys.exit(7)\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = folder_of(self)
        self.trace = make_trace(self.dir / "run.h5")

    def commands(self, target):
        """Every command that writes one file, by name, with what makes a file of its own form."""
        script = self.dir / "program.py"
        script.write_text(NOTHING)
        commands = {
            "report": ("report", self.trace, "-o", target),
            "cat": ("cat", self.trace, "--kinds", "loss", "--steps", 3, "--npy", target),
            "record": ("record", "-o", target, "--", sys.executable, script),
        }
        if has_training():
            commands["train"] = (*TRAIN, "-o", target)
        return commands

    def each(self, *names):
        """Of some commands (all): its name, its words and a target that is not there."""
        target = self.dir / "target"
        for name, words in self.commands(target).items():
            if not names or name in names:
                with self.subTest(name):
                    yield name, words, target
                for path in self.dir.glob("target*"):
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def refused(self, words, reason):
        done = nauha(*words, code=2)
        self.assertIn(reason, done.stderr)
        self.assertEqual(done.stdout, "")


class Targets(Case):
    """What is in the way stays, byte for byte."""

    def test_a_file_of_another_form(self):
        for _, words, target in self.each():
            target.write_bytes(TEXT)
            self.refused(words, "so it is not replaced: choose another name")
            self.assertEqual(target.read_bytes(), TEXT)
            self.assertEqual(list(self.dir.glob("target?*")), [])

    def test_each_others_files(self):
        files = {"report": self.dir / "page.html", "cat": self.dir / "loss.npy", "record": self.trace}
        nauha(*self.commands(files["report"])["report"])
        nauha(*self.commands(files["cat"])["cat"])
        for name, words, target in self.each():
            for other, file in files.items():
                if other != name and {other, name} != {"record", "train"}:
                    shutil.copy(file, target)
                    self.refused(words, "so it is not replaced")
                    self.assertEqual(target.read_bytes(), file.read_bytes())

    def test_overwriting(self):
        for name, words, target in self.each("report", "cat", "train"):
            target.write_bytes(TEXT)
            nauha(words[0], "--overwrite", *words[1:])
            self.assertNotEqual(target.read_bytes()[:10], TEXT[:10])
            self.assertEqual(list(self.dir.glob("target?*")), [])

    def test_a_file_of_the_same_form_and_an_empty_one(self):
        for name, words, target in self.each("report", "cat", "train"):
            target.touch()
            nauha(*words)
            first = target.read_bytes()
            self.assertGreater(len(first), 0)
            nauha(*words)
            older = pathlib.Path(f"{target}.old")
            self.assertEqual(older.exists(), name == "train")
            if older.exists():
                self.assertEqual(older.read_bytes(), first)

    def test_what_is_read(self):
        before = self.trace.read_bytes()
        for name in "report", "cat":
            for path in self.trace, self.dir / "." / "run.h5", self.link_to(self.trace):
                for more in (), ("--overwrite",):
                    words = self.commands(path)[name]
                    self.refused((words[0], *more, *words[1:]), "it is what is read")
                    self.assertEqual(self.trace.read_bytes(), before)

    def link_to(self, path):
        link = self.dir / "link"
        if not link.is_symlink():
            link.symlink_to(path.name)
        return link

    def test_the_program_that_is_recorded(self):
        script = self.dir / "program.py"
        for more in (), ("--overwrite",):
            words = self.commands(script)["record"]
            self.refused((words[0], *more, *words[1:]), "it is what is read")
            self.assertEqual(script.read_text(), NOTHING)

    def test_directories(self):
        for _, words, target in self.each():
            target.mkdir()
            self.refused(words, "it is a directory")
            self.refused((words[0], "--overwrite", *words[1:]), "it is a directory")

    def test_links_to_nothing(self):
        for _, words, target in self.each():
            target.symlink_to("nowhere")
            self.refused(words, "a symbolic link to a file that does not exist")
            self.assertTrue(target.is_symlink())
            self.assertFalse((self.dir / "nowhere").exists())

    def test_links(self):
        """What they point at is replaced; under the same rules."""
        real = self.dir / "real"
        for name, words, target in self.each("report", "cat", "train"):
            real.write_bytes(TEXT)
            target.symlink_to("real")
            self.refused(words, "so it is not replaced")
            self.assertEqual(real.read_bytes(), TEXT)
            nauha(words[0], "--overwrite", *words[1:])
            self.assertTrue(target.is_symlink())
            self.assertNotEqual(real.read_bytes()[:10], TEXT[:10])

    def test_devices_and_fifos(self):
        """Of the device null: written through by what is a stream, refused by a trace."""
        for name, words, target in self.each():
            for make in self.make_device, os.mkfifo:
                if make is self.make_device and os.geteuid() != 0:
                    continue
                make(target)
                kind = stat.S_IFMT(os.lstat(target).st_mode)
                if name in ("record", "train"):
                    self.refused(words, "a trace is a regular file")
                    self.refused((words[0], "--overwrite", *words[1:]), "a trace is a regular file")
                elif make is os.mkfifo:
                    self.assertGreater(len(self.read_fifo(target, words)), 100)
                else:
                    nauha(*words)
                self.assertEqual(stat.S_IFMT(os.lstat(target).st_mode), kind)
                self.assertEqual(list(self.dir.glob("target?*")), [])
                target.unlink()

    @staticmethod
    def make_device(path):
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))

    @staticmethod
    def read_fifo(path, words):
        got = []
        reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
        reader.start()
        nauha(*words)
        reader.join(60)
        return got[0]

    @unittest.skipUnless(os.geteuid() == 0, "makes a device node")
    def test_block_devices(self):
        """Of no device: opening it would fail, and nobody tries."""
        for _, words, target in self.each():
            os.mknod(target, stat.S_IFBLK | 0o600, os.makedev(250, 250))
            done = nauha(*words, code=2)
            self.assertRegex(done.stderr, "it is a (block )?device")
            self.assertTrue(stat.S_ISBLK(os.lstat(target).st_mode))

    def test_standard_output_by_its_name(self):
        done = subprocess.run([NAUHA, "report", "-q", self.trace, "-o", "/dev/stdout"], stdout=subprocess.PIPE, check=True)
        self.assertTrue(done.stdout.startswith(b"<!DOCTYPE html>") and done.stdout.endswith(b"</html>\n"))
        with open(self.dir / "page", "wb") as file:
            subprocess.run([NAUHA, "report", "-q", self.trace, "-o", "/dev/stdout"], stdout=file, check=True)
        self.assertEqual((self.dir / "page").read_bytes()[:15], b"<!DOCTYPE html>")

    def test_permissions_stay(self):
        for _, words, target in self.each("report", "cat"):
            nauha(*words)
            target.chmod(0o600)
            nauha(*words)
            self.assertEqual(stat.S_IMODE(target.stat().st_mode), 0o600)

    def test_the_page_beside_the_trace(self):
        page = self.dir / "run.html"
        page.write_bytes(TEXT)
        self.refused(("report", self.trace), "is not a report of nauha")
        self.assertEqual(page.read_bytes(), TEXT)

    def test_long_names(self):
        for _, words, _ in self.each("record", "train"):
            words = [str(self.dir / ("n" * 252)) if str(word).endswith("/target") else word for word in words]
            self.refused(words, "its name is too long")

    @unittest.skipUnless(has_training(), "no libtorch")
    def test_the_images_that_are_trained_on(self):
        data = self.dir / "data"
        data.mkdir()
        images = data / "train-images-idx3-ubyte"
        images.write_bytes(TEXT)
        self.refused((*TRAIN, "--data-dir", data, "-o", images, "--overwrite"), "it is what is read")
        self.assertEqual(images.read_bytes(), TEXT)


class Series(Case):
    """Files of names that we choose, in a directory."""

    def setUp(self):
        super().setUp()
        self.out = self.dir / "out"
        self.out.mkdir()
        self.victim = self.dir / "victim"
        self.victim.write_bytes(TEXT)

    def replay(self, **options):
        return nauha("replay", self.trace, "--metric", "loss", "-o", self.out, **options)

    def test_nothing_is_written_through_links(self):
        for name in "loss.csv", "loss.csv.partial", "loss.gp.partial", "loss.svg", "loss.png.partial":
            with self.subTest(name):
                (self.out / name).symlink_to(self.victim)
                done = self.replay(code=None)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("it is a link", done.stderr)
                self.assertEqual(self.victim.read_bytes(), TEXT)
                self.assertTrue((self.out / name).is_symlink())
                (self.out / name).unlink()

    def test_a_csv_of_somebody_elses(self):
        (self.out / "loss.csv").write_bytes(TEXT)
        done = self.replay(code=2)
        self.assertIn("is not a series of nauha, so it is not replaced", done.stderr)
        self.assertEqual((self.out / "loss.csv").read_bytes(), TEXT)

    def test_once_more(self):
        self.replay()
        first = {path.name: path.stat().st_ino for path in self.out.iterdir()}
        (self.out / "loss.csv.partial").write_bytes(b"left by an earlier replay")
        self.replay()
        self.assertEqual({path.name for path in self.out.iterdir()}, set(first))
        self.assertEqual([float(row["global_step"]) for row in read_csv(self.out / "loss.csv")], list(range(6)))

    def test_every_edited_script_is_kept(self):
        if not shutil.which("gnuplot"):
            self.skipTest("no gnuplot")
        for text in "one", "two", "three":
            (self.out / "loss.gp").write_text(f"# {text}\n")
            self.replay()
        kept = sorted(path.read_text() for path in self.out.glob("loss.edited*.gp"))
        self.assertEqual(kept, ["# one\n", "# three\n", "# two\n"])


@contextlib.contextmanager
def small_disk(folder, bytes_):
    """A file system of its own, of so many bytes."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={bytes_}", "nauha-test", folder], stderr=subprocess.DEVNULL)
    if done.returncode != 0:
        raise unittest.SkipTest("no file system can be mounted")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


class FullDisks(Case):
    def test_standard_output(self):
        other = make_trace(self.dir / "other.h5")
        for words in (["cat", self.trace], ["ls", self.trace], ["info", self.trace], ["info", self.trace, "--json"],
                      ["verify", self.trace], ["check", self.trace], ["check", self.trace, "--json"],
                      ["diff", self.trace, other], ["analyzers"], ["help"], ["help", "replay"], ["--version"], ["--help"],
                      ["replay", self.trace, "--metric", "loss"], ["report", self.trace, "-o", "-"],
                      ["cat", self.trace, "--limit", "100000000"]):
            with self.subTest(words), open("/dev/full", "w") as full:
                done = subprocess.run([NAUHA, *map(str, words)], stdout=full, stderr=subprocess.PIPE, text=True)
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertRegex(done.stderr, 'cannot write (to )?"?standard output"?: No space left on device\n$')

    def test_files(self):
        for _, words, target in self.each("report", "cat"):
            target.symlink_to("/dev/full")
            self.assertIn("No space left on device", nauha(*words, code=3).stderr)

    def test_a_file_that_does_not_fit(self):
        disk = self.dir / "disk"
        disk.mkdir()
        with small_disk(disk, 8192):
            for name in "report", "train":
                if name in self.commands(disk / "run"):
                    done = nauha(*self.commands(disk / "run")[name], code=3)
                    self.assertIn("No space left on device", done.stderr)
                    self.assertEqual(list(disk.iterdir()), [])

    def test_pictures(self):
        if not shutil.which("gnuplot"):
            self.skipTest("no gnuplot")
        disk = self.dir / "disk"
        disk.mkdir()
        nauha("replay", self.trace, "--metric", "loss", "-o", self.dir / "out", "--sink", "csv")
        with small_disk(disk, 16384):
            shutil.copy(self.dir / "out/loss.csv", disk)
            done = nauha("plot", disk / "loss.csv", code=3)
            self.assertIn("gnuplot has not written all of it; is the disk full?", done.stderr)
            for name in "loss.svg", "loss.svg.partial", "loss.png.partial":
                self.assertFalse((disk / name).exists(), name)

    def test_a_reader_that_has_seen_enough(self):
        metric = self.dir / "own.py"
        metric.write_text("import nauha\nclass Sum(nauha.Subscriber):\n    def compute(self, message):\n"
                          "        return message.tensor.sum()\n")
        big = make_trace(self.dir / "big.h5", "--steps", 20000)
        for words in (["ls", big], ["cat", big], ["replay", big, "--metric", "norm:weights"],
                      ["replay", big, "--metric", f"{metric}:Sum:loss"]):
            with self.subTest(words):
                process = subprocess.Popen([NAUHA, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                process.stdout.readline()
                process.stdout.close()
                self.assertEqual(process.stderr.read(), b"")
                process.stderr.close()
                self.assertEqual(process.wait(60), 0)


class ClosedStreams(Case):
    def without(self, streams, *words):
        """Runs the program with these of its standard streams closed."""
        script = f'exec "$@" {" ".join(streams)}'
        return subprocess.run(["sh", "-c", script, "sh", NAUHA, *map(str, words)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=600)

    @unittest.skipUnless(has_training(), "no libtorch")
    def test_train(self):
        """Without standard output the trace would have its number, and live series would go there."""
        for streams in [">&-"], ["2>&-"], ["<&-", ">&-", "2>&-"]:
            with self.subTest(streams):
                path = self.dir / f"live{len(streams)}{streams[0][0]}.h5"
                done = self.without(streams, *TRAIN, "-o", path, "--metric", "loss", "--metric", "norm:weights")
                self.assertEqual(done.returncode, 0)
                nauha("verify", path)
                self.assertEqual(len(h5trace.Trace(path).of("loss")), 2)

    def test_files(self):
        for _, words, target in self.each("report", "cat"):
            self.assertEqual(self.without(["<&-", ">&-", "2>&-"], *words).returncode, 0)
            if words[0] == "cat":
                self.assertEqual(np.load(target).shape, ())
            else:
                self.assertTrue(target.read_bytes().endswith(b"</html>\n"))

    def test_a_program_that_is_run_finds_them_closed(self):
        program = "import os, sys\ntry:\n    os.fstat(2)\nexcept OSError:\n    sys.exit(7)\n"
        done = self.without(["2>&-"], "record", "-o", self.dir / "new.h5", "--", sys.executable, "-c", program)
        self.assertEqual(done.returncode, 7)


if __name__ == "__main__":
    unittest.main()
