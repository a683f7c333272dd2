# SPDX-License-Identifier: MIT
"""nauha record on programs of tests/programs that divide one model among processes. What must be in each trace was written
down by hand, or is what a program on one process computes that trains the same model on the same batches.

Run once for each PyTorch there is; see tests/run.py.
"""
import csv
import sys
import unittest

import numpy as np
import torch

from tests.integration.program import NAUHA
from tests.integration.test_pytorch_programs import PROGRAMS
from tests.integration.test_pytorch_record import ENVIRONMENT, TORCH, Case

PARAMETERS = ("weights", "biases", "weight_updates", "bias_updates", "weight_gradients", "bias_gradients")


def key(message):
    return message.kind, message.module, message.slot, message.step, message.call


class Ranks(Case):
    def recorded(self, name, *arguments, ranks=2, options=(), bare=True):
        """Records a program, which has to print the same as without, if bare; returns the traces of its ranks."""
        command = [sys.executable, PROGRAMS / f"{name}.py", *arguments]
        if ranks > 1:
            command[1:1] = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        environment = {**ENVIRONMENT, "OMP_NUM_THREADS": "1"}
        done = self.record(*command, options=["--overwrite", *options], env=environment)
        self.printed = [line.split() for line in done.stdout.splitlines()]
        if ranks > 1 and bare:
            without = self.run_program(command, env=environment)
            self.assertEqual(without.returncode, 0, without.stderr)
            self.assertEqual(sorted(self.printed), sorted(line.split() for line in without.stdout.splitlines()))
        self.notices = [line for line in done.stderr.splitlines() if line.startswith("nauha: ") and "messages of" not in line]
        return [self.trace(f"run.rank{rank}.h5") for rank in range(ranks)] if ranks > 1 else [self.trace()]

    def numbers(self, name):
        """What the program printed on lines that begin with this word."""
        return [float(words[-1]) for words in self.printed if words[0] == name]

    def steps_of(self, trace, steps, losses, micro_batches=1):
        """Every step ends with an update; losses are those that the program printed."""
        self.assertEqual([m.step for m in trace.of("batch_finished")], list(range(steps)))
        found = [m for m in trace.of("loss") if m.tag == "default"]
        self.assertEqual([(m.step, m.call, m.slot) for m in found],
                         [(step, call, "") for step in range(steps) for call in range(micro_batches)])
        np.testing.assert_allclose([float(m.values) for m in found], losses, rtol=1e-6)

    def whole(self, plain, ranks, join, kinds):
        """The parts that the ranks hold together are the tensors of a training on one process."""
        for kind in kinds:
            expected = {key(m): m for m in plain.of(kind)}
            parts = [{key(m): m for m in trace.of(kind)} for trace in ranks]
            for part in parts:
                self.assertEqual(sorted(part), sorted(expected), kind)
            for place, message in expected.items():
                joined = join(message, [part[place].values for part in parts])
                self.assertEqual(joined.shape, message.shape, place)
                np.testing.assert_allclose(joined, message.values, rtol=2e-4, atol=1e-6, err_msg=str(place))

    def joined(self, plain, ranks):
        """Replayed together, the ranks give the norms of the whole tensors."""
        metrics = [word for kind in PARAMETERS for word in ("--metric", f"norm:{kind}")]
        done = self.run_program([NAUHA, "replay", *[f"run.rank{rank}.h5" for rank in range(ranks)], *metrics])
        self.assertEqual(done.returncode, 0, done.stderr)
        found = {(row["metric"], row["module"], row["slot"], int(row["global_step"]), int(row["call"])): float(row["value"])
                 for row in csv.DictReader(done.stdout.splitlines())}
        expected = {(f"{m.kind}_norm2", *key(m)[1:]): np.linalg.norm(m.values.ravel().astype(float))
                    for kind in PARAMETERS for m in plain.of(kind)}
        self.assertEqual(sorted(found), sorted(expected))
        for place, norm in expected.items():
            self.assertAlmostEqual(found[place], norm, delta=1e-6 + 2e-4 * norm, msg=place)

    def sharded(self, how, *arguments, join, ranks=2, bare=True):
        plain, = self.recorded("fully_sharded", "plain", *arguments, ranks=1)
        modules, classes = plain.modules, plain.classes
        traces = self.recorded("fully_sharded", how, *arguments, ranks=ranks, bare=bare)
        micro_batches = 1 + bool(arguments and arguments[0] in ("accumulate", "deferred"))
        for rank, trace in enumerate(traces):
            self.assertEqual((trace.modules, trace.classes), (modules, classes))
            self.steps_of(trace, 4, self.numbers(f"loss{rank}"), micro_batches)
            for kind in "activations", "layer_gradients", "input_data":
                self.assertEqual({key(m): (m.shape[0] * ranks, *m.shape[1:]) for m in trace.of(kind)},
                                 {key(m): m.shape for m in plain.of(kind)})
        self.assertEqual(self.notices, [])
        reduced = [kind for kind in PARAMETERS if "gradients" in kind]
        self.whole(plain, traces, join, set(PARAMETERS) - set(reduced if "deferred" in arguments else ()))
        if "deferred" not in arguments:
            self.joined(plain, ranks)
        return plain, traces


def rows(message, parts):
    """Of fully_shard, a part is some of the rows."""
    return np.concatenate(parts)


def flat(message, parts):
    """Of FullyShardedDataParallel, a part is a range of the elements."""
    return np.concatenate(parts).reshape(message.shape)


@unittest.skipUnless(torch.distributed.is_available() and TORCH >= (2, 6), "skipped: fully_shard came with torch 2.6")
class FullyShard(Ranks):
    def test_ranks_without_elements(self):
        self.sharded("fully_shard", join=rows, ranks=4)

    def test_gradients_of_each_micro_batch(self):
        self.sharded("fully_shard", "accumulate", join=rows, bare=False)

    def test_gradients_that_are_reduced_once(self):
        plain, ranks = self.sharded("fully_shard", "deferred", "mse", join=rows, bare=False)
        reduced_once(self, plain, ranks, rows)


def reduced_once(case, plain, ranks, join):
    for kind in "weight_gradients", "bias_gradients":
        for i, message in enumerate(ranks[0].of(kind)):
            parts = [trace.of(kind)[i].values for trace in ranks]
            sums = [m for m in plain.of(kind) if (m.module, m.slot, m.step) == (message.module, message.slot, message.step)]
            case.assertEqual((message.call, len(sums)), (0, 2))
            np.testing.assert_allclose(join(sums[0], parts), sums[0].values + sums[1].values, rtol=2e-4, atol=1e-6)


@unittest.skipUnless(torch.distributed.is_available() and TORCH >= (2, 1), "skipped: needs a gloo that can scatter")
class FullyShardedDataParallel(Ranks):
    def test_original_parameters(self):
        self.sharded("fsdp", "accumulate", join=flat)

    def test_flat_parameters(self):
        plain, ranks = self.sharded("fsdp_flat", "deferred", "mse", join=flat)
        reduced_once(self, plain, ranks, flat)


@unittest.skipUnless(torch.distributed.is_available() and TORCH >= (2, 6), "skipped: needs a gloo that knows functional collectives")
class TensorParallel(Ranks):
    def test_columns_and_rows(self):
        plain, = self.recorded("tensor_parallel", "plain", ranks=1)
        ranks = self.recorded("tensor_parallel")
        for rank, trace in enumerate(ranks):
            self.assertEqual(trace.of_network, ["", "up", "down", "scale"])
            self.steps_of(trace, 4, self.numbers(f"loss{rank}"))
            for kind, up in ("activations", (8, 4)), ("layer_gradients", (8, 4)):
                shapes = {m.module: m.shape for m in trace.of(kind) if m.step == 2}
                self.assertEqual(shapes, {"up": up, "down": (8, 3), "scale": (8, 3), "": (8, 3)})
        self.assertEqual(self.notices, [])
        self.whole(plain, ranks, self.join, PARAMETERS)
        placed = [ranks[1].shapes[row["shape"]]["dims"][:2].tolist() + row["offset"][:2].tolist()
                  for row in ranks[1].file["placements"][...]]
        self.assertIn([4, 4, 4, 0], placed)  # up.weight: the lower half
        self.assertIn([3, 4, 0, 4], placed)  # down.weight: the right half

    def join(self, message, parts):
        if message.module == "up":
            return np.concatenate(parts)
        if (message.module, message.slot) == ("down", "weight"):
            return np.concatenate(parts, axis=1)
        self.assertEqual(parts[0].tobytes(), parts[1].tobytes())
        return parts[0]


@unittest.skipUnless(torch.distributed.is_available() and TORCH >= (2, 6), "skipped: torch.distributed.pipelining came with 2.5")
class Pipeline(Ranks):
    def schedule(self, name, bare=True):
        first, last = self.recorded("pipelined", name, bare=bare)
        self.assertEqual(self.notices, [])
        self.assertEqual((first.of_network, last.of_network), (["", "0", "1"], ["", "0", "1", "2"]))
        self.steps_of(last, 4, self.numbers("loss1"), micro_batches=4)
        self.assertEqual([m.step for m in first.of("batch_finished")], [0, 1, 2, 3])
        self.assertEqual(first.of("loss"), [])
        calls = [(step, call) for step in range(4) for call in range(4)]
        for trace, kind, module, shape in ((first, "network_output", "", (8, 8)), (last, "network_output", "", (8, 3)),
                                           (last, "input_labels", "", (8,)), (first, "input_data", "", (8, 4)),
                                           (last, "input_data", "", (8, 8)), (first, "activations", "1", (8, 8)),
                                           (first, "layer_gradients", "0", (8, 8)), (last, "layer_gradients", "", (8, 3)),
                                           (first, "weight_gradients", "0", (8, 4)), (last, "bias_gradients", "2", (3,))):
            found = [m for m in trace.of(kind) if m.module == module]
            self.assertEqual(sorted((m.step, m.call) for m in found), calls, (kind, module))
            self.assertEqual({m.shape for m in found}, {shape}, (kind, module))
        for output, received in zip(first.of("network_output"), last.of("input_data")):
            self.assertEqual(output.values.tobytes(), received.values.tobytes())
        self.assertEqual([m.step for m in first.of("weight_updates") if m.values.any()], [0, 1, 2, 3])

    def test_gpipe(self):
        self.schedule("gpipe")

    def test_1f1b(self):
        self.schedule("1f1b", bare=False)


if __name__ == "__main__":
    unittest.main()
