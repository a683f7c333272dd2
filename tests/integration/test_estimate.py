# SPDX-License-Identifier: MIT
"""--estimate: what a recording would cost, against what it does cost."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest

from tests.integration import h5trace
from tests.integration.program import NAUHA, folder_of, has_training, nauha

UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
TRAINING = ["--model", "alexnetmini", "--batch-size", "16"]

PROGRAM = """
import sys, threading, torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(40, 80), torch.nn.ReLU(), torch.nn.Linear(80, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
data = torch.randn(32, 40), torch.randint(2, (32,))
def train():
    for step in range(int(sys.argv[1])):
        print("step", step, flush=True)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(data[0]), data[1]).backward()
        optimizer.step()
"""


def size(text):
    number, unit = text.split()
    return float(number) * UNITS[unit]


def table(text):
    """{kind: (messages, bytes published, bytes stored)} of a step."""
    rows = re.findall(r"^(\S+(?: of it)?) +(\d+) +([\d.]+ \wB|\d+ B) +([\d.]+ \wB|\d+ B)$", text, re.M)
    return {kind: (int(messages), size(published), size(stored)) for kind, messages, published, stored in rows}


def options(text):
    """{option: bytes of 1000 steps}."""
    return {option: size(bytes) for bytes, option in re.findall(r"^  ([\d.]+ \wB) +(--.*)$", text, re.M)}


@unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
class Train(unittest.TestCase):
    def setUp(self):
        self.dir = folder_of(self)
        self.environment = {**os.environ, "TMPDIR": str(self.dir)}

    def recorded(self, *more):
        """Bytes of the elements of eight recorded steps, for each step."""
        path = self.dir / "run.h5"
        nauha("train", "-o", path, *TRAINING, "--max-steps", "8", *more)
        trace = h5trace.Trace(path)
        stored = int(trace.file["chunks"]["stored"].sum())
        trace.file.close()
        path.unlink()
        return stored / 8

    def test_it_is_what_recording_costs(self):
        done = nauha("train", *TRAINING, "--estimate", "4", env=self.environment)
        self.assertEqual(list(self.dir.iterdir()), [])
        kinds, choices = table(done.stdout), options(done.stdout)
        all_messages, all_published, all_stored = kinds.pop("all of it")
        self.assertAlmostEqual(all_stored, sum(row[2] for row in kinds.values()), delta=0.05 * all_stored)
        self.assertAlmostEqual(all_published, sum(row[1] for row in kinds.values()), delta=0.05 * all_published)
        self.assertEqual(kinds["weight_updates"][2], 0)
        self.assertAlmostEqual(all_stored, self.recorded(), delta=0.1 * all_stored)
        self.assertAlmostEqual(choices["--steps ::10"], 100 * all_stored, delta=3 * all_stored)
        self.assertAlmostEqual(choices["--precision bf16"] / 1000, self.recorded("--precision", "bf16"),
                               delta=0.1 * choices["--precision bf16"] / 1000)
        few = "weights,weight_updates,biases,bias_updates,loss"
        self.assertAlmostEqual(choices[f"--kinds {few}"] / 1000, self.recorded("--kinds", few),
                               delta=0.2 * choices[f"--kinds {few}"] / 1000)

    def test_with_options_of_its_own(self):
        done = nauha("train", *TRAINING, "--estimate", "3", "--kinds", "weights,loss", env=self.environment)
        kinds = table(done.stdout)
        self.assertEqual(set(kinds), {"weights", "loss", "all of it"})
        self.assertEqual(kinds["loss"][:2], (1, 4))
        self.assertFalse([choice for choice in options(done.stdout) if choice.startswith("--kinds")])
        # For as many steps as the training will have.
        self.assertRegex(done.stdout, r"\n1000 steps of this, from a sample of 3: ")
        done = nauha("train", *TRAINING, "--estimate", "3", "--kinds", "weights,loss", "--max-steps", "200", env=self.environment)
        self.assertRegex(done.stdout, r"\n200 steps of this, from a sample of 3: ")
        self.assertAlmostEqual(options(done.stdout)["--steps ::10"], 20 * kinds["all of it"][2], delta=1.5 * kinds["all of it"][2])

    def test_wrong_usage(self):
        for given, text in ((["--estimate", "0"], "above 0"), (["--estimate", "x"], "--estimate"),
                            (["--estimate", "2", "-o", "x.h5"], "leave out --output"),
                            (["--estimate", "2", "--steps", "::2"], "leave out --steps")):
            with self.subTest(given):
                self.assertIn(text, nauha("train", *given, code=2).stderr)


def has_torch():
    return subprocess.run([sys.executable, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0


@unittest.skipUnless(has_torch(), "skipped: no PyTorch")
class Record(unittest.TestCase):
    def record(self, text, *arguments, code=0):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "train.py").write_text(PROGRAM + textwrap.dedent(text))
            done = subprocess.run([NAUHA, "record", "--estimate", "3", "--", sys.executable, "train.py", *arguments], cwd=folder,
                                  env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=300)
            self.assertEqual(done.returncode, code, done.stderr)
            # torch.distributed, which some versions load, leaves a folder where a program ends at once.
            left = [path.name for path in folder.iterdir() if not path.name.startswith(("tmp", "torchinductor_"))]  # of torch itself
            self.assertEqual(left, ["train.py"])
        return done

    def check(self, done):
        kinds = table(done.stdout)
        for kind, messages, published in (("weights", 2, 4 * (40 * 80 + 80 * 2)), ("input_data", 1, 4 * 32 * 40)):
            self.assertEqual(kinds[kind][0], messages)
            self.assertAlmostEqual(kinds[kind][1], published, delta=0.02 * published)  # as it is printed
        self.assertIn("from a sample of 3", done.stdout)

    def test_the_program_ends_after_the_sample(self):
        done = self.record("train()\nprint('done')", "1000")
        self.check(done)
        self.assertIn("the program ends here", done.stderr)
        self.assertNotIn("step 5", done.stdout)
        self.assertNotIn("done", done.stdout)

    def test_from_another_thread(self):
        self.check(self.record("thread = threading.Thread(target=train)\nthread.start()\nthread.join()", "1000"))

    def test_a_program_that_ends_sooner(self):
        done = self.record("train()\nprint('done')", "2")
        self.assertIn("done", done.stdout)
        self.assertIn("from a sample of 2", done.stdout)

    def test_a_program_that_does_not_train(self):
        self.assertIn("no model was trained", self.record("print('done')", "1", code=3).stderr)


if __name__ == "__main__":
    unittest.main()
