# SPDX-License-Identifier: MIT
"""nauha replay --model with the models of `nauha train`: what is recomputed from recorded parameters is what probes
recorded live, byte for byte; and what is said where something does not fit."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import numpy as np

from tests.integration.program import NAUHA, folder_of, has_training, make_trace, nauha

RECOMPUTED = ["test_accuracy:every=3"]
SAMPLES = ["sum:activations:tag=probing:every=2", "absmax:activations:tag=probing:every=2", "loss:tag=probing:every=2",
           "percentiles:network_output:tag=probing:every=2"]


def metrics(specs):
    return [word for spec in specs for word in ("--metric", spec)]


@unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
class RehydrationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.path = cls.train("alexnetmini.h5", "--batch-size", "500", "--max-steps", "5", "--test-steps", "3")

    @classmethod
    def train(cls, name, *options):
        nauha("train", "-q", "-o", cls.dir / name, "--seed", "3", "--test-every", "0", "--probe-every", "2",
              "--probe-samples", "30", "--probe-tag", "probing", *options)
        return cls.dir / name

    def recomputed_equals_recorded(self, path, specs, *options):
        recorded = nauha("replay", "-q", path, *metrics(specs)).stdout
        recomputed = nauha("replay", "-q", path, *metrics(specs), *options).stdout
        self.assertGreater(len(recorded.splitlines()), 2)
        self.assertEqual(recorded, recomputed)

    def test_accuracy(self):
        self.recomputed_equals_recorded(self.path, RECOMPUTED, "--model", "alexnetmini", "--batch-size", "500")

    def test_activations(self):
        self.recomputed_equals_recorded(self.path, SAMPLES, "--model", "alexnetmini", "--samples", "30")

    def test_activations_behind_batch_normalisation(self):
        path = self.train("resnet.h5", "--model", "resnet", "--batch-size", "16", "--max-steps", "3", "--kinds",
                          "weights,biases,buffers,activations,network_output,input_labels,loss,batch_finished")
        self.recomputed_equals_recorded(path, SAMPLES, "--model", "resnet", "--samples", "30")

    def test_recorded_with_gaps(self):
        """Parameters of every second step are enough for these steps."""
        path = self.train("gaps.h5", "--batch-size", "500", "--max-steps", "5", "--steps", "::2", "--kinds",
                          "weights,biases,batch_finished")
        full = nauha("replay", "-q", self.path, *metrics(SAMPLES)).stdout
        self.assertEqual(nauha("replay", "-q", path, *metrics(SAMPLES), "--model", "alexnetmini", "--samples", "30").stdout, full)

    def test_selection_of_modules_is_of_the_metrics(self):
        chosen = nauha("replay", "-q", self.path, "--metric", SAMPLES[0], "--modules", "features.0", "--model", "alexnetmini",
                       "--samples", "30").stdout
        self.assertGreater(len(chosen.splitlines()), 2)

    def test_hessian_converges(self):
        command = ["replay", "-q", self.path, "--model", "alexnetmini", "--samples", "40", "--batch-size", "25", "--steps", "4:5"]
        loose = nauha(*command, "--metric", "hessian_eig:k=2:tolerance=1e-3").stdout
        tight = nauha(*command, "--metric", "hessian_eig:k=2:tolerance=1e-9:products=200").stdout
        values = [[float(line.rsplit(",", 1)[1]) for line in text.splitlines()[1:]] for text in (loose, tight)]
        self.assertEqual(len(values[1]), 2)
        self.assertGreaterEqual(values[1][0], values[1][1])
        np.testing.assert_allclose(values[0], values[1], atol=1e-3 * abs(values[1][0]) + 1e-12)
        self.assertIn("hessian_eig0,4,4,0,0,default,", tight)
        told = nauha(*[word for word in command if word != "-q"], "--metric", "hessian_eig:k=2:tolerance=1e-12:products=3").stderr
        self.assertIn("nauha: step 4: the eigenvalues of the Hessian are known to within ", told)
        self.assertIn("of the largest after 3 products, and one between them may be missing: allow more with products=N", told)

    def test_no_step(self):
        told = nauha("replay", self.path, "--metric", "test_accuracy:every=100", "--steps", "1:4", "--model", "alexnetmini").stderr
        self.assertIn("the model was not run, because no step of the trace was chosen", told)

    # ---- what does not fit ----

    def refused(self, text, path, *arguments, code=2):
        done = nauha("replay", "-q", path, "--metric", "test_accuracy", *arguments, code=code)
        self.assertIn(text, done.stderr)

    def test_another_model(self):
        self.refused('another model was trained: parameter "features.0.weight" has the shape [4, 1, 3, 3] in the trace and '
                     "[16, 1, 3, 3] in the model", self.path, "--model", "vgg", code=3)

    def test_missing_kinds(self):
        path = self.train("narrow.h5", "--model", "resnet", "--batch-size", "16", "--max-steps", "1", "--kinds",
                          "weights,biases,batch_finished")
        self.refused('the trace lacks buffer "features.1.running_mean" of the model: it has no buffers; record with '
                     "--kinds weights,biases,buffers,batch_finished", path, "--model", "resnet", "--samples", "4", code=3)

    def test_steps_without_an_end(self):
        path = self.train("endless.h5", "--batch-size", "500", "--max-steps", "1", "--kinds", "weights,biases,buffers")
        self.refused("the trace has no batch_finished messages, which mark the end of a step: record with --kinds "
                     "weights,biases,buffers,batch_finished", path, "--model", "alexnetmini")

    def test_one_training_at_a_time(self):
        done = nauha("replay", "-q", self.path, self.train("second.h5", "--batch-size", "500", "--max-steps", "1"), "--metric",
                     "test_accuracy", "--model", "alexnetmini", code=2)
        self.assertIn("--model takes the traces of one training only", done.stderr)

    def test_missing_data(self):
        self.refused('cannot open dataset directory "/nowhere"', self.path, "--model", "alexnetmini", "--data", "/nowhere", code=3)
        trace = make_trace(self.dir / "synthetic.h5")
        self.refused("the trace does not name the data of the training: use --data", trace, "--model", "alexnetmini")
        self.refused('directory "/usr" has no inputs.npy, and the trace does not name a dataset: use --dataset',
                     trace, "--model", "alexnetmini", "--data", "/usr")

    def test_options(self):
        self.refused("--data needs --model", self.path, "--data", "/usr")
        self.refused('"gold" is not a value of "split": expected train or test', self.path, "--model", "fc", "--split", "gold")
        self.refused('"hinge" is not a value of "loss": expected one of cross_entropy, nll, mse', self.path, "--model", "fc",
                     "--loss", "hinge")
        self.refused('"0" is not a value of "batch-size"', self.path, "--model", "fc", "--batch-size", "0")
        self.refused('no file "resent", nor a model of that name; models: alexnetmini, fc, vgg, resnet, densenet', self.path, "--model",
                     "resent")
        self.refused('as TorchScript', self.path, "--model", __file__, code=3)


class WithoutLibtorchTest(unittest.TestCase):
    def test_what_is_missing_is_said(self):
        with tempfile.TemporaryDirectory() as folder:
            alone = pathlib.Path(folder) / "nauha"
            shutil.copy(NAUHA, alone)
            trace = make_trace(pathlib.Path(folder) / "run.h5")
            environment = {**os.environ, "LD_LIBRARY_PATH": str(pathlib.Path(NAUHA).parent)}

            def run(*words):
                return subprocess.run([alone, "replay", trace, *words], env=environment, text=True, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE)

            self.assertEqual(run("--metric", "norm:weights").returncode, 0)
            done = run("--metric", "test_accuracy", "--model", "alexnetmini")
            self.assertEqual(done.returncode, 3)
            self.assertIn("nauha: --model is not available: ", done.stderr)
            self.assertIn("Build nauha with libtorch", done.stderr)
            done = run("--metric", "hessian_eig")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn('metric "hessian_eig": it needs the network: replay with --model FILE.pt or --model NAME', done.stderr)


if __name__ == "__main__":
    unittest.main()
