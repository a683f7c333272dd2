# SPDX-License-Identifier: MIT
"""Several trainings in one replay: what each alone gives, with a column that names the run."""
import os
import shutil
import unittest

import h5py

from tests.integration.program import folder_of, make_trace, nauha, read_csv

METRICS = ["norm:weights", "loss", "ratio:weight_updates,weights", "message_mean:weights_norm2", "histogram:biases:bins=3"]
ARGUMENTS = [word for spec in METRICS for word in ("--metric", spec)]


class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.paths = [make_trace(cls.dir / f"{name}.h5", "--steps", steps, "--modules", modules)
                     for name, steps, modules in (("slow", 5, 2), ("fast", 7, 2), ("wide", 4, 3))]
        # Two trainings of two ranks each.
        cls.ranks = {}
        for name in ("one", "two"):
            for rank in range(2):
                path = make_trace(cls.dir / f"{name}.rank{rank}.h5", "--steps", 3 + len(cls.ranks), "--rank", rank)
                cls.ranks[name, rank] = cls.stamped(path, world_size=2)

    @staticmethod
    def stamped(path, **attributes):
        with h5py.File(path, "r+") as file:
            for name, value in attributes.items():
                file.attrs.modify(name, file.attrs[name].dtype.type(value))
        return path

    def alone(self, name, *paths):
        """The rows of one run by itself, with the column of its name."""
        text = nauha("replay", *paths, *ARGUMENTS).stdout
        self.assertNotIn("run", text.splitlines()[0].split(","))
        return [line + "," + name for line in text.splitlines()[1:]]

    def test_one_after_the_other(self):
        lines = nauha("replay", *self.paths, *ARGUMENTS, "-j", 2).stdout.splitlines()
        header = nauha("replay", self.paths[0], *ARGUMENTS).stdout.splitlines()[0]
        self.assertEqual(lines[0], header + ",run")
        self.assertEqual(lines[1:], self.alone("slow", self.paths[0]) + self.alone("fast", self.paths[1]) +
                         self.alone("wide", self.paths[2]))

    def test_files_and_pictures(self):
        out = self.dir / "series"
        said = nauha("replay", *self.paths, *ARGUMENTS, "-o", out).stderr
        self.assertIn(f"{out}/loss.csv: 16 rows\n", said)
        rows = read_csv(out / "weights_norm2.csv")
        self.assertEqual(list(rows[0])[-2:], ["value", "run"])
        self.assertEqual([row["run"] for row in rows], ["slow"] * 10 + ["fast"] * 14 + ["wide"] * 12)
        self.assertEqual({row["run"] for row in read_csv(out / "biases_histogram.csv")}, {"slow", "fast", "wide"})
        for name in ("loss", "weights_norm2", "biases_histogram"):
            self.assertGreater((out / f"{name}.png").stat().st_size, 5000)
        self.assertIn("10 run", (out / "loss.gp").read_text())
        script = (out / "weights_norm2.gp").read_text()
        modules = {name: {row["module"] for row in rows if row["run"] == name} for name in ("slow", "fast", "wide")}
        self.assertEqual(script.count("set title '"), len(set.union(*modules.values())), "a panel for each module")
        for name, has in modules.items():
            self.assertEqual(script.count(f"title '{name}'"), len(has), "and a line in it for each run that has the module")
        # The pictures can be made anew from the CSV alone.
        before = (out / "weights_norm2.gp").read_text()
        nauha("plot", out / "weights_norm2.csv")
        self.assertEqual((out / "weights_norm2.gp").read_text(), before)

    def test_a_directory(self):
        folder = self.dir / "sweep"
        folder.mkdir()
        for path in self.paths:
            shutil.copy(path, folder)
        (folder / "notes.txt").write_text("not a trace")
        (folder / ".hidden.h5").write_text("not a trace")
        self.assertEqual(nauha("replay", folder, *ARGUMENTS).stdout,
                         nauha("replay", *sorted(folder.glob("[a-z]*.h5")), *ARGUMENTS).stdout)
        (self.dir / "empty").mkdir()
        self.assertIn("contains no traces (*.h5)",
                      nauha("replay", self.dir / "empty", *ARGUMENTS, code=3).stderr)

    def test_names_are_unique(self):
        folder = self.dir / "other"
        folder.mkdir()
        shutil.copy(self.paths[0], folder / "slow.h5")
        paths = [self.paths[0], folder / "slow.h5", self.paths[1], self.paths[1]]
        lines = nauha("replay", *paths, "--metric", "loss").stdout.splitlines()[1:]
        names = list(dict.fromkeys(line.rsplit(",", 1)[1] for line in lines))
        self.assertEqual(names, [f"{self.dir.name}/slow", "other/slow", "fast", "fast (2)"])

    def test_ranks_of_several_trainings(self):
        ranks = self.ranks
        given = [ranks["two", 1], ranks["one", 0], ranks["two", 0], ranks["one", 1]]
        lines = nauha("replay", *given, *ARGUMENTS).stdout.splitlines()[1:]
        self.assertEqual(lines, self.alone("two", ranks["two", 0], ranks["two", 1]) +
                         self.alone("one", ranks["one", 0], ranks["one", 1]))

    def test_ranks_without_telling_names_are_known_by_time(self):
        created = 1_700_000_000_000_000_000
        paths = []
        for i, (rank, minutes) in enumerate(((0, 0), (1, 1), (1, 60), (0, 61))):
            path = self.dir / f"file{i}.h5"
            shutil.copy(self.ranks["one", rank], path)
            paths.append(self.stamped(path, created_ns=created + minutes * 60 * 10 ** 9))
        lines = nauha("replay", *paths, "--metric", "loss").stdout.splitlines()[1:]
        self.assertEqual({tuple(line.split(",")[i] for i in (4, -1)) for line in lines},
                         {("0", "file0"), ("1", "file0"), ("0", "file2"), ("1", "file2")})

    def test_what_is_said_says_of_which(self):
        with h5py.File(self.paths[1], "r") as trace:
            kinds = [row["name"].split(b"\0")[0] for row in trace["kinds"]]
            weights = next(row for row in trace["index"] if kinds[row["kind"]] == b"weights")
            chunk = trace[f"streams/{weights['stream']:04d}"].id.get_chunk_info(0)
        data = bytearray(self.paths[1].read_bytes())
        data[chunk.byte_offset + chunk.size // 2] ^= 1
        damaged = self.dir / "damaged.h5"
        damaged.write_bytes(data)
        said = nauha("replay", damaged, *self.paths, "--metric", "norm:weights", "-o", self.dir / "said", "--sink", "csv").stderr
        self.assertRegex(said, r"(?m)^damaged: [0-9]+ damaged messages were left out:$")
        self.assertNotRegex(said, r"(?m)^[0-9]+ damaged")

    def test_a_run_that_fails_leaves_nothing_under_a_final_name(self):
        out = self.dir / "failed"
        broken = self.dir / "broken.h5"
        broken.write_text("no trace")
        self.assertIn("broken.h5", nauha("replay", self.paths[0], broken, *ARGUMENTS, "-o", out, code=3).stderr)
        self.assertFalse(out.exists())
        only_loss = make_trace(self.dir / "loss_only.h5", "--kinds", "loss")
        nauha("replay", self.paths[0], only_loss, "--metric", "loss", "--metric", "variance:batch_finished", "-o", out,
              "--sink", "csv", "--strict", code=3)
        self.assertEqual([path for path in os.listdir(out) if path.endswith(".csv")], [])


if __name__ == "__main__":
    unittest.main()
