# SPDX-License-Identifier: MIT
"""Ranks that hold shards of a training's parameters: what is computed from all ranks' traces is what is computed from the
trace of one process, to the last byte."""
import json
import pathlib
import subprocess
import sys
import unittest
import warnings

from tests.integration.program import BUILD, ROOT, folder_of, make_trace, nauha

sys.path.insert(0, str(ROOT / "tools/python"))
import nauha as reading  # noqa: E402

METRICS = ["norm:weights,biases,weight_gradients", "mean:weight_updates", "percentiles:weights", "histogram:biases",
           "cosine:weights", "distance:weights", "spectral_norm:weights", "ratio:weight_updates,weights"]
CHOSEN = ["--kinds", "weights,biases,weight_updates,bias_updates,weight_gradients,bias_gradients"]


def make_shards(layout, ranks, stem, *arguments):
    """STEM.h5, and the traces of the ranks in their order. See tests/tools/make_shards.c."""
    subprocess.run([str(BUILD / "tests/tools/make_shards"), layout, str(ranks), str(stem), *map(str, arguments)],
                   check=True, timeout=600)
    return [pathlib.Path(f"{stem}.rank{rank}.h5") for rank in range(ranks)]


def replay(folder, traces, *options, code=0):
    """The CSV files that a replay writes, by name, and what it says on stderr."""
    metrics = [word for metric in METRICS for word in ("--metric", metric)]
    done = nauha("replay", *traces, *metrics, "--sink", "csv", "-o", folder, *options, code=code)
    return {path.name: path.read_text() for path in sorted(folder.glob("*.csv"))}, done.stderr


class Wholes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)

    def test_metrics_are_those_of_the_whole(self):
        for layout in ("rows", "columns", "mesh", "flat", "hybrid", "partial", "partial_rows", "replicated"):
            for ranks in (2, 4):
                with self.subTest(layout=layout, ranks=ranks):
                    stem = self.folder / f"{layout}{ranks}"
                    traces = make_shards(layout, ranks, stem)
                    whole, _ = replay(self.folder / f"{layout}{ranks}-whole", [f"{stem}.h5"])
                    joined, _ = replay(self.folder / f"{layout}{ranks}-joined", traces)
                    self.assertGreater(len(whole), 8)
                    self.assertEqual(joined, whole)

    def test_threads_and_the_order_of_the_files_change_nothing(self):
        stem = self.folder / "threads"
        traces = make_shards("mesh", 4, stem)
        whole, _ = replay(self.folder / "threads-whole", [f"{stem}.h5"])
        for workers in (1, 3):
            joined, _ = replay(self.folder / f"threads-{workers}", traces[::-1], "--jobs", workers)
            self.assertEqual(joined, whole)

    def test_one_rank_alone_shows_its_shards(self):
        stem = self.folder / "alone"
        traces = make_shards("rows", 2, stem)
        alone, _ = replay(self.folder / "alone-one", traces[1:])
        chosen, _ = replay(self.folder / "alone-chosen", traces, "--rank", "1")
        self.assertEqual(alone, chosen)
        whole, _ = replay(self.folder / "alone-whole", [f"{stem}.h5"])
        self.assertNotEqual(alone, whole)


class Missing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)

    def rows_of(self, table, step=None):
        lines = table.splitlines()[1:]
        return [line for line in lines if step is None or line.split(",")[0] == str(step)]

    def test_a_missing_rank_leaves_out_what_it_held(self):
        for layout in ("rows", "flat", "partial", "partial_rows"):
            with self.subTest(layout=layout):
                stem = self.folder / layout
                traces = make_shards(layout, 4, stem)
                joined, said = replay(self.folder / f"{layout}-joined", traces[:2] + traces[3:])
                self.assertEqual(self.rows_of(joined["weights_norm2.csv"]), [])
                self.assertIn('"weights" of module "layer" of step 0, of which 3 ranks have shards, is not whole: shards of '
                              'it are missing', said)
                _, said = replay(self.folder / f"{layout}-strict", traces[:3], "--strict", code=3)
                self.assertIn("is not whole", said)

    def test_a_missing_replica_is_not_missed(self):
        stem = self.folder / "hybrid"
        traces = make_shards("hybrid", 4, stem)
        whole, _ = replay(self.folder / "hybrid-whole", [f"{stem}.h5"])
        joined, said = replay(self.folder / "hybrid-joined", traces[:2])
        self.assertEqual(joined, whole)
        self.assertNotIn("whole", said)

    def test_a_lost_message_leaves_out_one_step(self):
        stem = self.folder / "lost"
        traces = make_shards("columns", 2, stem, "--lose", 1)
        whole, _ = replay(self.folder / "lost-whole", [f"{stem}.h5"])
        joined, said = replay(self.folder / "lost-joined", traces)
        name = "weight_gradients_norm2.csv"
        self.assertEqual(self.rows_of(joined[name], 1), [])
        for step in (0, 2):
            self.assertEqual(self.rows_of(joined[name], step), self.rows_of(whole[name], step))
        self.assertEqual(joined["weights_norm2.csv"], whole["weights_norm2.csv"])
        self.assertIn('"weight_gradients" of module "layer" of step 1, of which 1 rank has shards, is not whole', said)


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.traces = make_shards("mesh", 4, cls.folder / "run")
        cls.whole = cls.folder / "run.h5"

    def listed(self, *arguments):
        return [json.loads(line) for line in nauha("ls", "--json", *arguments).stdout.splitlines()]

    def test_ls_of_several_ranks(self):
        shown = ("step", "kind", "module", "slot", "dtype", "shape", "bytes")
        rows = [[{name: row[name] for name in shown} for row in self.listed(*paths, "--kinds", "weights,bias_gradients")]
                for paths in ([self.whole], self.traces)]
        self.assertEqual(rows[0], rows[1])
        self.assertEqual([row["rank"] for row in self.listed(*self.traces, "--kinds", "loss")], [0, 1, 2, 3] * 3)
        self.assertTrue(all("placement" not in row for row in self.listed(*self.traces)))
        self.assertIn("rank", nauha("ls", *self.traces).stdout.splitlines()[0].split())

    def test_ls_of_one_rank_says_what_its_shards_are(self):
        row = self.listed(self.traces[3], "--kinds", "weights", "--modules", "layer", "--limit", 1)[0]
        self.assertEqual(row["shape"], [2, 33, 7])
        self.assertEqual(row["placement"], {"shape": [5, 67, 7], "offset": [3, 34, 0], "flat": False, "summand": 0,
                                            "summands": 0})
        self.assertIn("[5,67,7] at [3,34,0]", nauha("ls", self.traces[3]).stdout)
        self.assertNotIn("shard", nauha("ls", self.whole).stdout)
        flat = make_shards("flat", 4, self.folder / "flat")
        self.assertIn("[5,67,7] from element 1174", nauha("ls", flat[2]).stdout)
        partial = make_shards("partial", 2, self.folder / "partial")
        self.assertIn("[5] at [0], summand 2 of 2", nauha("ls", partial[1]).stdout)

    def test_cat(self):
        chosen = ["--kinds", "weights", "--modules", "layer", "--steps", 1]
        for name, paths in (("whole", [self.whole]), ("joined", self.traces)):
            nauha("cat", *paths, *chosen, "--npy", self.folder / f"{name}.npy")
        self.assertEqual((self.folder / "joined.npy").read_bytes(), (self.folder / "whole.npy").read_bytes())
        whole, joined, alone = (nauha("cat", *paths, *chosen, "--limit", 5).stdout.splitlines()
                                for paths in ([self.whole], self.traces, self.traces[:1]))
        self.assertEqual(joined[1:], whole[1:])
        self.assertIn("rank 0, f32 [5,67,7]", joined[0])
        self.assertIn("f32 [3,34,7], shard of [5,67,7] at [0,0,0]", alone[0])

    def test_info(self):
        kinds = json.loads(nauha("info", "--json", self.traces[0]).stdout)["kinds"]
        self.assertEqual((kinds["weights"]["shards"], kinds["weight_updates"]["shards"]), (6, 6))
        self.assertNotIn("shards", kinds["loss"])
        self.assertIn("shards", nauha("info", self.traces[0]).stdout)
        self.assertNotIn("shards", nauha("info", self.whole).stdout)

    def test_check_and_report(self):
        words = ["--rule", "tensor_variance:weights,bias_gradients:min=0.6", "--json"]
        found, expected = (json.loads(nauha("check", *paths, *words, code=1).stdout)["findings"]
                           for paths in (self.traces, [self.whole]))
        self.assertGreater(len(found), 2)
        self.assertEqual(found, expected)
        for name, paths in (("whole", [self.whole]), ("joined", self.traces)):
            nauha("report", *paths, "-o", self.folder / f"{name}.html")
            self.assertRegex((self.folder / f"{name}.html").read_text(), r"Parameters</dt><dd>2\s389<")

    def test_following_ranks(self):
        metrics = ["--metric", "norm:weights", "--sink", "csv"]
        nauha("replay", self.whole, *metrics, "-o", self.folder / "followed-whole")
        nauha("replay", *self.traces, *metrics, "--follow", "-o", self.folder / "followed")
        name = "weights_norm2.csv"
        self.assertEqual((self.folder / "followed" / name).read_text(), (self.folder / "followed-whole" / name).read_text())


class Python(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)

    def stamps(self, message):
        return (message.global_step, message.kind, message.module, message.slot, message.dtype, message.shape)

    def test_several_ranks_opened_together(self):
        stem = self.folder / "open"
        for layout in ("mesh", "flat", "partial"):
            traces = make_shards(layout, 4, stem)
            with reading.open(f"{stem}.h5") as whole, reading.open(traces[::-1]) as ranks:
                self.assertEqual(ranks.path, str(traces[0]))
                self.assertIn("with 3 other ranks", repr(ranks))
                kinds = ["weights", "biases", "weight_updates", "weight_gradients"]
                self.assertEqual(len(list(ranks.messages(kinds=kinds))), len(list(whole.messages(kinds=kinds))))
                for one, other in zip(whole.messages(kinds=kinds), ranks.messages(kinds=kinds)):
                    self.assertEqual(self.stamps(one), self.stamps(other))
                    self.assertEqual((other.rank, other.placement), (0, None))
                    self.assertTrue((one.tensor == other.tensor).all())
                    self.assertEqual(one.hash, other.hash)
                tensor = ranks.tensor("weights", "layer", step=1)
                self.assertTrue((tensor == whole.tensor("weights", "layer", step=1)).all())
                with self.assertRaisesRegex(reading.Error, "there are 4 messages .*step 1 rank 0, step 1 rank 1"):
                    ranks.tensor("loss", step=1)
                self.assertEqual(ranks.tensor("loss", step=1, rank=2), whole.tensor("loss", step=1))
                self.assertEqual(ranks.series("norm:weights")["value"].tolist(),
                                 whole.series("norm:weights")["value"].tolist())

    def test_placements(self):
        traces = make_shards("mesh", 4, self.folder / "placements")
        with reading.open(traces[3]) as trace:
            message = next(trace.messages(kinds="weights", modules="layer"))
            self.assertEqual((message.shape, message.placement), ((2, 33, 7), ((5, 67, 7), (3, 34, 0), False, 0, 0)))
            self.assertIsNone(next(trace.messages(kinds="loss")).placement)
        traces = make_shards("flat", 4, self.folder / "placements")
        with reading.open(traces) as ranks:
            message = next(ranks.messages(kinds="biases", rank=3))
            self.assertEqual((message.shape, message.placement), ((0,), ((5,), (5,), True, 0, 0)))

    def test_missing_shards_are_a_warning(self):
        traces = make_shards("rows", 2, self.folder / "missing", "--lose", 1)
        with reading.open(traces) as ranks, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            steps = [message.global_step for message in ranks.messages(kinds="bias_gradients")]
        self.assertEqual(steps, [0, 2])
        self.assertEqual(len(caught), 1)
        self.assertIn("is not whole: shards of it are missing", str(caught[0].message))

    def test_traces_that_do_not_belong_together(self):
        stem = self.folder / "strangers"
        traces = make_shards("rows", 2, stem)
        with reading.open([traces[0], f"{stem}.h5"]) as both, self.assertRaisesRegex(reading.Error, "both have rank 0"):
            both.messages()
        with self.assertRaisesRegex(reading.Error, "at least one trace"):
            reading.open([])
        with self.assertRaises(FileNotFoundError):
            reading.open([traces[0], stem])


class Diff(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)

    def compare(self, *arguments, code=0):
        return json.loads(nauha("diff", *arguments, "--json", code=code).stdout)

    def test_whole_tensors_are_compared_with_a_single_process(self):
        for layout in ("rows", "columns", "mesh", "flat", "hybrid", "partial"):
            with self.subTest(layout=layout):
                stem = self.folder / layout
                traces = make_shards(layout, 4, stem)
                for arguments in ([f"{stem}.h5", *traces], [*traces[::-1], f"{stem}.h5"]):
                    found = self.compare(*arguments)
                    self.assertEqual((found["compared"], found["within_tolerance"]), (18, 0))
                    self.assertEqual({track["kind"] for track in found["kinds"]},
                                     {"weights", "biases", "weight_gradients", "bias_gradients"})
                chosen = self.compare(f"{stem}.h5", *traces, "--kinds", "weight_updates,loss")
                self.assertEqual((chosen["compared"], chosen["damaged"]), (9, 0))

    def test_trainings_with_other_shards(self):
        rows, columns = (make_shards(layout, ranks, self.folder / f"other_{layout}")
                         for layout, ranks in (("rows", 2), ("columns", 4)))
        found = self.compare(*rows, *columns)
        self.assertEqual((found["compared"], found["differing"]), (18, 0))
        self.assertEqual(nauha("diff", *rows, *columns).stdout.splitlines()[0],
                         f"a  {rows[0]}: 2 of 2 ranks together, of which this one has 3 steps, 37 messages")

    def test_rounding_is_no_difference(self):
        stem = self.folder / "rounding"
        traces = make_shards("rows", 2, stem, "--noise", "1e-6")
        found = self.compare(f"{stem}.h5", *traces)
        self.assertEqual((found["differing"], found["within_tolerance"]), (0, 18))
        self.assertEqual(self.compare(f"{stem}.h5", *traces, "--ulp", 0, code=1)["differing"], 18)
        self.assertEqual(self.compare(f"{stem}.h5", *traces, "--rounding")["differing"], 0)
        # 256 and 4 times the last bit of f32
        for noise, code in ((3.09e-5, 0), (3.11e-5, 1)):
            traces = make_shards("rows", 2, stem, "--noise", noise)
            self.compare(f"{stem}.h5", *traces, "--kinds", "weights", code=code)

    def test_what_is_missing_is_not_equal(self):
        stem = self.folder / "missing"
        traces = make_shards("rows", 3, stem)
        done = nauha("diff", f"{stem}.h5", *traces[:2], code=1)
        self.assertIn("18 could not be compared", done.stdout)
        self.assertIn("is not whole", done.stdout)
        # only what was chosen
        traces = make_shards("rows", 3, stem, "--lose", 2)
        self.assertEqual(self.compare(f"{stem}.h5", *traces, code=1)["damaged"], 3)
        self.assertEqual(self.compare(f"{stem}.h5", *traces, "--kinds", "weights")["damaged"], 0)
        self.assertEqual(self.compare(f"{stem}.h5", *traces, "--steps", "2:")["damaged"], 0)

    def test_shards_are_no_replicas(self):
        traces = make_shards("rows", 2, self.folder / "ranks")
        done = nauha("diff", *traces, code=2)
        self.assertIn("18 are different shards of a tensor, which were not compared", done.stdout)
        self.assertIn("nothing was compared: each rank holds other shards of the same tensors", done.stderr)
        # rank 2 has the same rows as rank 0, rank 1 others
        traces = make_shards("hybrid", 4, self.folder / "replicas")
        found = self.compare(*traces)
        self.assertEqual([(pair["compared"], pair["shards"]) for pair in found], [(0, 18), (18, 0), (0, 18)])

    def test_ranks_without_shards_are_not_a_side(self):
        paths = [make_trace(self.folder / f"plain.rank{rank}.h5", "--rank", rank) for rank in range(2)]
        done = nauha("diff", make_trace(self.folder / "single.h5"), *paths, code=2)
        self.assertIn("these 3 traces are not the ranks of one training", done.stderr)


if __name__ == "__main__":
    unittest.main()
