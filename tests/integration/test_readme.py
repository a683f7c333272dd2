# SPDX-License-Identifier: MIT
"""What a newcomer types: the commands of README.md and docs/writing-analyzers.md as they stand, in a folder that looks like
a checkout in which make has run."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from tests.integration.program import NAUHA, ROOT, folder_of, has_training, make_trace


def commands(page, heading):
    """The lines of the indented blocks below a heading."""
    text = (ROOT / page).read_text()
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.M | re.S) if heading else re.match(r"(.*?)(?=^## )", text, re.M | re.S)
    prose = re.sub(r"^```.*?^```", "", section[1], flags=re.M | re.S)
    return re.findall(r"^    (\S.*)$", prose, re.M)


@unittest.skipUnless(pathlib.Path(NAUHA) == ROOT / "build/nauha", "skipped: the commands name build/nauha")
class Typed(unittest.TestCase):
    def setUp(self):
        self.dir = folder_of(self)
        for name in ("build", "docs", "include"):
            (self.dir / name).symlink_to(ROOT / name)

    def run_all(self, lines, codes=(0,)):
        path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
        for line in lines:
            done = subprocess.run(["sh", "-c", line], cwd=self.dir, env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
            self.assertIn(done.returncode, codes, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")

    @unittest.skipUnless(has_training() and shutil.which("gnuplot"), "skipped: this build has no libtorch, or there is no gnuplot")
    def test_a_first_session(self):
        lines = commands("README.md", "A first session without Python")
        self.assertIn("--max-steps 200", lines[0])
        self.run_all([lines[0].replace("--max-steps 200", "--max-steps 4"), *lines[1:]])
        self.assertTrue((self.dir / "series/weight_updates_weights_ratio.png").exists())

    @unittest.skipIf(subprocess.run([sys.executable, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode, "skipped: no PyTorch")
    def test_recording_a_training(self):
        (self.dir / "train.py").write_text(
            "import torch\n"
            "torch.manual_seed(0)\n"
            "model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))\n"
            "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
            "for _ in range(5):\n"
            "    optimizer.zero_grad()\n"
            "    torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), torch.randint(2, (8,))).backward()\n"
            "    optimizer.step()\n")
        self.run_all(commands("README.md", "Record your own PyTorch training"), codes=(0, 1))
        self.assertTrue((self.dir / "series/loss.csv").exists())
        self.assertTrue((self.dir / "gan/loss.csv").exists())
        self.run_all(commands("README.md", "If recording slows your training"))

    def test_health_and_report(self):
        make_trace(self.dir / "run.h5")
        for heading in ("Is my training healthy?", "Show it to somebody"):
            self.run_all(line.replace("nauha", "build/nauha", 1) for line in commands("README.md", heading))
        self.assertTrue((self.dir / "report.html").exists())

    @unittest.skipUnless(shutil.which("cc"), "skipped: there is no C compiler")
    def test_an_analyzer_of_ones_own(self):
        make_trace(self.dir / "run.h5")
        self.run_all(line for line in commands("docs/writing-analyzers.md", None) if "pkg-config" not in line)
        self.assertTrue((self.dir / "series/weights_outliers.csv").exists())
