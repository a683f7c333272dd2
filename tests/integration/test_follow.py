# SPDX-License-Identifier: MIT
"""replay --follow: the results of a replay after the end, while the recording goes on."""
import os
import signal
import subprocess
import threading
import time
import unittest

from tests.integration.program import BUILD, NAUHA, folder_of, make_trace, nauha

METRICS = ["--metric", "loss", "--metric", "ratio:weight_updates,weights", "--metric", "norm:activations"]


class Follow(unittest.TestCase):
    def setUp(self):
        self.dir = folder_of(self)

    def start(self, *command, **options):
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   stdin=subprocess.DEVNULL, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        return process

    def record(self, path, *options, **environment):
        """A recording that goes on; it has begun."""
        process = self.start(BUILD / "tests/tools/make_trace", "--tell", 10, "--pause-us", 2000, "--flush", "0.05",
                             *options, path, env={**os.environ, **environment})
        self.assertEqual(process.stdout.readline(), "10\n")
        return process

    def follow(self, *arguments):
        return self.start(NAUHA, "replay", "--follow", *arguments)

    def end(self, process, code=0):
        """What a follower wrote that was not read yet, and what it said."""
        with process.stdout, process.stderr:
            out, err = process.stdout.read(), process.stderr.read()
        self.assertEqual(process.wait(60), code, err)
        return out, err

    def replayed(self, *arguments):
        return nauha("replay", *arguments).stdout

    def test_same_bytes_as_a_replay_after_the_end(self):
        path = self.dir / "run.h5"
        writer = self.record(path, "--steps", 600)
        follower = self.follow(path, *METRICS)
        chosen = self.follow(path, *METRICS, "--steps", "7:500:10", "--modules", "hidden", "-o", self.dir / "series",
                             "--sink", "csv")
        self.assertIsNone(writer.poll())
        out, err = self.end(follower)
        self.end(chosen)
        self.assertEqual(writer.wait(60), 0)
        self.assertEqual(err, "")
        self.assertEqual(out, self.replayed(path, *METRICS))
        self.replayed(path, *METRICS, "--steps", "7:500:10", "--modules", "hidden", "-o", self.dir / "after",
                      "--sink", "csv")
        for csv in sorted((self.dir / "after").iterdir()):
            self.assertEqual((self.dir / "series" / csv.name).read_bytes(), csv.read_bytes(), csv.name)

    def test_results_come_while_the_recording_goes_on(self):
        path = self.dir / "run.h5"
        writer = self.record(path, "--steps", 100000)
        follower = self.follow(path, "--metric", "loss")
        rows = [follower.stdout.readline() for _ in range(100)]
        self.assertIsNone(writer.poll())
        self.assertTrue(rows[99].startswith("loss,98,"), rows[99])
        follower.send_signal(signal.SIGINT)
        out, err = self.end(follower)
        self.assertEqual(err, "")
        steps = len(rows) - 1 + out.count("\n")
        self.assertEqual("".join(rows) + out,
                         self.replayed("-q", path, "--metric", "loss", "--steps", f":{steps}"))

    def test_interrupted_it_puts_its_files_in_place(self):
        path, series = self.dir / "run.h5", self.dir / "series"
        self.record(path, "--steps", 100000)
        follower = self.follow(path, "--metric", "loss", "-o", series, "--sink", "csv")
        deadline = time.monotonic() + 60
        while not (series / "loss.csv.partial").exists() or (series / "loss.csv.partial").stat().st_size < 100:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        follower.send_signal(signal.SIGINT)
        self.end(follower)
        self.assertEqual([file.name for file in series.iterdir()], ["loss.csv"])

    def test_recording_that_was_cut_off(self):
        path = self.dir / "run.h5"
        # Chunks that are written past the page cache, through which the follower reads.
        writer = self.record(path, "--steps", 100000, "--codec", "none", LD_PRELOAD=str(BUILD / "tests/tools/power_loss.so"))
        follower = self.follow(path, *METRICS)
        head = follower.stdout.readline() + follower.stdout.readline()
        writer.kill()
        writer.wait()
        out, err = self.end(follower)
        self.assertRegex(err, "run.h5: the recording was cut off after step [0-9]+\n")
        self.assertEqual(head + out, self.replayed("-q", path, *METRICS))

    def test_ranks_wait_for_each_other(self):
        paths = [self.dir / f"run.rank{rank}.h5" for rank in range(2)]
        writers = [self.record(path, "--steps", 200, "--rank", rank, "--pause-us", 3000 * rank + 500)
                   for rank, path in enumerate(paths)]
        follower = self.follow(*paths, *METRICS)
        out, _ = self.end(follower)
        self.assertEqual([writer.wait(60) for writer in writers], [0, 0])
        self.assertEqual(out, self.replayed(*paths, *METRICS))

    def test_follower_of_a_recording_that_begins(self):
        path = self.dir / "run.h5"
        begun = threading.Event()

        def record():
            begun.wait()
            make_trace(path, "--steps", 100, "--pause-us", 1000, "--flush", "0.3")
        writer = threading.Thread(target=record)
        writer.start()
        begun.set()
        while not path.exists():
            pass
        follower = self.follow(path, "--metric", "norm:weights", "--modules", "hidden")
        out, _ = self.end(follower)
        writer.join()
        self.assertEqual(out, self.replayed(path, "--metric", "norm:weights", "--modules", "hidden"))

    def test_finished_trace(self):
        path = make_trace(self.dir / "run.h5")
        out, err = self.end(self.follow(path, *METRICS))
        self.assertEqual((out, err), (self.replayed(path, *METRICS), ""))

    def test_no_trace(self):
        _, err = self.end(self.follow(self.dir / "none.h5", "--metric", "loss"), code=3)
        self.assertIn('none.h5": No such file or directory', err)
        (self.dir / "text.h5").write_text("not a trace" * 10)
        _, err = self.end(self.follow(self.dir / "text.h5", "--metric", "loss"), code=3)
        self.assertIn("is not an HDF5 file", err)


if __name__ == "__main__":
    unittest.main()
