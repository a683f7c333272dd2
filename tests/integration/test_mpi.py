# SPDX-License-Identifier: MIT
"""Replays on several processes under mpirun: byte for byte what one process writes and says."""
import os
import pathlib
import shutil
import subprocess
import unittest

from tests.integration import test_failures
from tests.integration.program import NAUHA, folder_of, make_trace, nauha

METRICS = ["loss", "train_accuracy", "ratio:weight_updates,weights", "norm:layer_gradients", "norm:weight_gradients:order=1",
           "mean:activations", "variance:weights", "histogram:weights:bins=5", "histogram:layer_gradients:subsample=3",
           "message_mean:weight_updates_weights_ratio", "message_mean:activations_mean"]
ARGUMENTS = [word for spec in METRICS for word in ("--metric", spec)]
MODULE = pathlib.Path(NAUHA).parent / "nauha_mpi.so"
MPIRUN = shutil.which("mpirun")
# As many processes as asked for, whoever runs the tests and however few processors there are, by shared memory: there may
# be no network. Nor may there be /sys, which hwloc would say.
FLAGS = ["--oversubscribe", "--allow-run-as-root", "--mca", "pml", "ob1", "--mca", "btl", "self,vader"]
ENVIRONMENT = {"OMPI_MCA_rmaps_base_oversubscribe": "1", "HWLOC_HIDE_ERRORS": "2"}


@unittest.skipUnless(MPIRUN and MODULE.exists(), "skipped: there is no MPI")
class Processes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Open MPI's processes find each other by a network interface, if only the loopback one.
        trial = subprocess.run([MPIRUN, *FLAGS, "-n", "2", "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               stdin=subprocess.DEVNULL, timeout=300, env={**os.environ, **ENVIRONMENT})
        if trial.returncode != 0 and "network interface" in trial.stdout:
            raise unittest.SkipTest("skipped: mpirun finds no network interface")
        cls.dir = folder_of(cls)
        cls.paths = [make_trace(cls.dir / f"run.rank{rank}.h5", "--rank", rank, "--steps", 20 + rank, "--modules", 7)
                     for rank in range(3)]

    def mpirun(self, count, *command, code=0):
        done = subprocess.run([MPIRUN, *FLAGS, "-n", str(count), *map(str, command)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, timeout=300,
                              env={**os.environ, **ENVIRONMENT})
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def same(self, *arguments):
        alone = nauha("replay", *arguments, "-j", 1)
        for count in (2, 4):
            done = self.mpirun(count, NAUHA, "replay", *arguments)
            self.assertEqual((done.stdout, done.stderr), (alone.stdout, alone.stderr), f"{count} processes")
        return alone.stdout

    def test_one_trace(self):
        self.assertGreater(len(self.same(self.paths[0], *ARGUMENTS).splitlines()), 500)

    def test_the_ranks_of_a_training(self):
        self.same(*self.paths, *ARGUMENTS)

    def test_nothing_to_share_out(self):
        self.same(self.paths[0], "--metric", "loss")

    def test_files_of_several_trainings(self):
        runs = self.dir / "sweep"
        runs.mkdir()
        for name, steps in (("a", 4), ("b", 6)):
            make_trace(runs / f"{name}.h5", "--steps", steps)
        nauha("replay", runs, *ARGUMENTS, "-o", self.dir / "alone", "--sink", "csv", "-j", 1)
        self.mpirun(2, NAUHA, "replay", runs, *ARGUMENTS, "-o", self.dir / "together", "--sink", "csv")
        names = sorted(path.name for path in (self.dir / "alone").iterdir())
        self.assertEqual(names, sorted(path.name for path in (self.dir / "together").iterdir()))
        for name in names:
            self.assertEqual((self.dir / "alone" / name).read_bytes(), (self.dir / "together" / name).read_bytes(), name)

    def complaint(self, done):
        lines = [line for line in done.stderr.splitlines() if line.startswith("nauha: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertLessEqual(len(done.stdout.splitlines()), 1, "a header at most")
        return lines[0]

    def test_wrong_usage_is_said_once(self):
        replay = (NAUHA, "replay", self.paths[0], "--metric")
        for arguments, words in ((("nrm:weights",), 'no metric "nrm"'), (("loss", "-j", "2"), "mpirun -n sets their number"),
                                 (("loss", "--follow"), "--follow cannot be used with several processes"),
                                 (("loss", "--model", "fc"), "--model cannot be used with several processes"),
                                 (("x.py:Mine:weights",), "metrics in Python cannot be computed by several processes"),
                                 (("loss", "--kinds", "foo"), 'kind "foo" is unknown')):
            with self.subTest(words):
                self.assertIn(words, self.complaint(self.mpirun(3, *replay, *arguments, code=2)))

    def one_differs(self, trace):
        """Two processes, of which the second replays another trace."""
        script = f'[ "$OMPI_COMM_WORLD_RANK" = 1 ] && set -- "{trace}"; exec "{NAUHA}" replay "$1" --metric norm:weights'
        return self.complaint(self.mpirun(2, "sh", "-c", script, "sh", self.paths[0], code=3))

    def test_an_error_of_one_ends_all(self):
        self.assertEqual(self.one_differs(self.dir / "none.h5"),
                         f'nauha: process 1 of 2: cannot open trace "{self.dir}/none.h5": No such file or directory')
        self.assertIn("process 1 does not replay the same traces", self.one_differs(self.paths[1]))

    def test_a_failure_under_way_ends_all(self):
        damaged = self.dir / "damaged.h5"
        data = bytearray(self.paths[0].read_bytes())
        places = [place for place in range(len(data) // 2, len(data), 5000)]
        for place in places:
            data[place] ^= 1
        damaged.write_bytes(data)
        alone = nauha("replay", damaged, *ARGUMENTS, "--strict", "-j", 1, code=3)
        done = self.mpirun(3, NAUHA, "replay", damaged, *ARGUMENTS, "--strict", code=3)
        said = [line for line in done.stderr.splitlines() if line.startswith("nauha: ")]
        self.assertEqual(said, alone.stderr.splitlines())

    def test_a_metric_that_fails_ends_alone(self):
        trace = test_failures.write(self.dir / "failing.h5")
        metrics = [word for spec in (*test_failures.WHY, *test_failures.GOOD) for word in ("--metric", spec)]
        alone = nauha("replay", trace, *metrics, "-o", self.dir / "failing1", "--sink", "csv", "-j", 1, code=4)
        done = self.mpirun(3, NAUHA, "replay", trace, *metrics, "-o", self.dir / "failing3", "--sink", "csv", code=4)
        for path in (self.dir / "failing1").iterdir():
            self.assertEqual((self.dir / "failing3" / path.name).read_bytes(), path.read_bytes(), path.name)
        said = [line for line in done.stderr.splitlines() if line.startswith("nauha: ")]
        self.assertEqual(said, [line for line in alone.stderr.splitlines() if line.startswith("nauha: ")])
        self.assertEqual(len(said), len(test_failures.WHY))

    def test_a_program_without_the_module_says_so(self):
        program = self.dir / "elsewhere/bin/nauha"
        program.parent.mkdir(parents=True)
        shutil.copy(NAUHA, program)
        done = self.mpirun(2, program, "replay", self.paths[0], "--metric", "loss", code=3)
        self.assertIn("cannot join the others", self.complaint(done))
        # Alone it needs none.
        self.assertEqual(self.mpirun(1, program, "replay", self.paths[0], "--metric", "loss").stdout,
                         nauha("replay", self.paths[0], "--metric", "loss").stdout)


if __name__ == "__main__":
    unittest.main()
