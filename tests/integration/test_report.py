# SPDX-License-Identifier: MIT
"""nauha report: the page, in a browser, against NumPy on tensors that h5py reads and against other commands."""
import json
import re
import shutil
import struct
import subprocess
import tempfile
import unittest
import zlib
from html.parser import HTMLParser

import numpy as np

from tests.integration.arrays import Arrays
from tests.integration.h5trace import Trace
from tests.integration.program import folder_of, has_training, make_trace, nauha

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Sorts the table of modules twice by its third column, and says what became of it.
SORT = """<script>
addEventListener('load', () => {
  const table = document.getElementById('health-table'), header = table.tHead.rows[0].cells[COLUMN];
  const said = [];
  for (let i = 0; i < 2; i++) {
    header.querySelector('button').click();
    said.push(header.getAttribute('aria-sort'), ...[...table.tBodies[0].rows].map(row => row.cells[COLUMN].dataset.v ?? '-'));
  }
  document.body.dataset.said = JSON.stringify(said);
});
</script>"""


class Page(HTMLParser):
    """Tables as rows of (text, data-v), the text of all, and what the page refers to."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.references, self.text, self.body = {}, [], "", {}
        self.row = self.cell = self.table = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.references += [attributes[name] for name in ("src", "href", "data", "action", "srcset") if attributes.get(name)]
        if tag == "body":
            self.body = attributes
        elif tag == "table":
            self.table = self.tables.setdefault(attributes.get("id", "facts"), [])
        elif tag == "tr" and self.table is not None:
            self.row = []
            self.table.append(self.row)
        elif tag in ("td", "th") and self.row is not None:
            self.cell = [attributes.get("data-v"), ""]
            self.row.append(self.cell)

    def handle_endtag(self, tag):
        if tag == "table":
            self.table = self.row = self.cell = None
        elif tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data):
        self.text += data
        if self.cell is not None:
            self.cell[1] += data

    def column(self, table, name):
        """{first cell: data-v} of a table's column."""
        header = [cell[1] for cell in self.tables[table][0]]
        at = header.index(name)
        return {row[0][1]: row[at][0] for row in self.tables[table][1:]}


def png_size_and_colours(path):
    """Width, height and the number of different bytes in the picture's rows."""
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    at, pixels = 8, b""
    while at < len(data):
        length, = struct.unpack(">I", data[at:at + 4])
        if data[at + 4:at + 8] == b"IDAT":
            pixels += data[at + 8:at + 8 + length]
        at += length + 12
    return width, height, len(set(zlib.decompress(pixels)))


class ReportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = folder_of(cls)
        cls.path = make_trace(cls.place / "run.h5", "--steps", 7, "--modules", 3)

    def report(self, path, *arguments, name="page.html"):
        page = self.place / name
        nauha("report", path, "-o", page, *arguments)
        text = page.read_text(encoding="utf-8")
        self.assertTrue(text.rstrip().endswith("</html>"))
        return Page(text)

    def browse(self, page, *arguments):
        """What a headless browser says of a page, which must not be an error."""
        if not BROWSER:
            self.skipTest("no Chromium")
        with tempfile.TemporaryDirectory() as profile:
            done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                                   f"--user-data-dir={profile}", "--virtual-time-budget=2000", *arguments, f"file://{page}"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        self.assertEqual([line for line in done.stderr.splitlines() if "CONSOLE" in line], [])
        return done.stdout

    # ---- what is on it ----

    def test_one_file_and_no_network(self):
        page = self.report(self.path)
        self.assertTrue(page.references)
        self.assertEqual([each for each in page.references if not each.startswith(("#", "data:"))], [])
        text = (self.place / "page.html").read_text()
        self.assertEqual(re.findall(r"url\((?!#)|@import|\bfetch\(|XMLHttpRequest|<iframe", text), [])
        self.assertIn('name=viewport', text.replace('"', ""))
        self.assertIn("prefers-color-scheme", text)
        self.assertIn("@media print", text)

    def test_values_of_modules(self):
        page = self.report(self.path)
        last = {}
        for message in Trace(self.path).messages:
            if message.kind in ("weights", "weight_gradients", "weight_updates", "activations"):
                last[message.kind, message.module] = message.values.astype(np.float64)
        outputs, zeros = page.column("health-table", "Output"), page.column("health-table", "Zeros")
        ratios = page.column("health-table", "Update / weights")
        self.assertTrue(outputs)
        norms = [(page.column("health-table", f"‖{name}‖"), kind)
                 for name, kind in (("weights", "weights"), ("gradients", "weight_gradients"))]
        compared = 0
        for module, shown in outputs.items():
            if shown is not None:
                values = last["activations", module]
                np.testing.assert_allclose(float(shown), np.sqrt(np.mean(values ** 2)), rtol=1e-9)
                np.testing.assert_allclose(float(zeros[module]), np.mean(values == 0), rtol=1e-9)
                compared += 1
            if ratios[module] is not None:
                expected = np.linalg.norm(last["weight_updates", module]) / np.linalg.norm(last["weights", module])
                np.testing.assert_allclose(float(ratios[module]), expected, rtol=1e-6)
                compared += 1
            for shown, kind in norms:
                if shown[module] is not None:
                    np.testing.assert_allclose(float(shown[module]), np.linalg.norm(last[kind, module]), rtol=1e-6)
                    compared += 1
        self.assertGreater(compared, 10)
        for module, shown in page.column("model-table", "Parameters").items():
            names = [kind for kind, where in last if kind == "weights" and where == module]
            self.assertEqual(shown is None, not names, module)

    def test_facts_are_those_of_info(self):
        page = self.report(self.path)
        facts = {row[0][1]: row[1][1] for row in page.tables["facts"]}
        info = json.loads(nauha("info", self.path, "--json").stdout)
        self.assertEqual(facts["messages"].replace("\u202f", "").replace("\u00a0", "").replace(" ", ""), str(info["messages"]))
        self.assertEqual(facts["state"], "complete")
        for kind, count in page.column("kinds-0", "Messages").items():
            listed = nauha("ls", self.path, "--kinds", kind).stdout.splitlines()
            self.assertEqual(int(count), len(listed) - 1, kind)

    def test_findings_are_those_of_check(self):
        page = self.report(self.path)
        done = nauha("check", self.path, "--json", code=None)
        found = json.loads(done.stdout)["findings"]
        rows = sum(len(rows) - 1 for name, rows in page.tables.items() if name.startswith("finding-"))
        self.assertEqual(rows, len(found))
        for finding in found:
            self.assertIn(finding["rule"], page.text)

    def test_a_training_that_became_nan(self):
        trace, losses = self.place / "nan.h5", [2.5, np.nan, 3.5, 1e9, np.nan, np.nan, np.nan]
        labels = np.zeros(4, np.int64)
        with Arrays(trace) as arrays:
            for loss in losses:
                arrays.step()
                arrays.publish("network_output", None, np.full((4, 3), loss, np.float32))
                arrays.publish("input_labels", None, labels)
                arrays.publish("loss", None, np.float32(loss).reshape(()))
        page = self.report(trace)
        self.assertRegex(page.text, r"Last loss\s*NaN\s*since step 4; from 2.5 at step 0")
        self.assertRegex(page.text, r"Training accuracy\s*\S+\s*the loss is NaN since step 4; from")
        self.assertNotIn("-nan", (self.place / "page.html").read_text())

    def test_losses_of_micro_batches(self):
        trace = self.place / "micro.h5"
        with Arrays(trace) as arrays:
            for loss in (1, 0.5, 0.25):
                arrays.step()
                for call in range(4):
                    arrays.publish("loss", None, np.float32(loss).reshape(()), call_number=call)
        page = self.report(trace)
        self.assertRegex(page.text, r"Last loss\s*1\s*from 4 at step 0")
        text = (self.place / "page.html").read_text()
        self.assertIn('id="c-step_loss"', text)
        self.assertIn('id="c-loss"', text)

    def test_not_finite_values_are_crosses_in_the_overview(self):
        trace, out = self.place / "nan.h5", self.place / "nan"
        with Arrays(trace) as arrays:
            for loss in (2.5, np.nan, 3.5, np.nan):
                arrays.step()
                arrays.publish("activations", "fc", np.full(8, np.nan, np.float32))
                arrays.publish("loss", None, np.float32(loss).reshape(()))
        nauha("replay", trace, "--metric", "loss", "--metric", "mean:activations", "-o", out)
        # One cross is two strokes of one path; the key has one as well.
        picture = (out / "overview.svg").read_text()
        marks = re.findall(r"<use xlink:href='#gpPt1'[^>]*", picture)
        self.assertEqual(len(marks), 2 + 1 + 4 + 1)

    def test_chosen_metrics_and_messages(self):
        page = self.report(self.path, "--metric", "kurtosis:weights", "--kinds", "weights", "--title", "<i>&\"'")
        self.assertIn("<i>&\"'", page.text)
        text = (self.place / "page.html").read_text()
        self.assertNotIn("<i>", text)
        self.assertIn('id="c-weights_kurtosis"', text)
        self.assertNotIn('id="c-loss"', text)

    # ---- traces of every sort ----

    def test_traces_with_little_in_them(self):
        for name, arguments in {"weights": ("--kinds", "weights"), "hashes": ("--keep", "hashes"), "nothing": ("--steps", "0"),
                                "one step": ("--steps", "1"), "many": ("--modules", "100", "--steps", "4")}.items():
            with self.subTest(name):
                path = make_trace(self.place / "some.h5", *arguments)
                self.report(path, name="some.html")
                self.browse(self.place / "some.html", "--dump-dom")

    def test_a_recording_that_was_cut_off(self):
        whole = self.path.read_bytes()
        (self.place / "cut.h5").write_bytes(whole[:len(whole) * 3 // 4])
        done = nauha("report", self.place / "cut.h5", "-o", self.place / "cut.html", code=None)
        if done.returncode == 0:
            self.assertNotIn("complete\n", (self.place / "cut.html").read_text())
        else:
            self.assertEqual(done.returncode, 3)
            self.assertIn("cut", done.stderr)
            self.assertFalse((self.place / "cut.html").exists())

    def test_ranks_make_one_page(self):
        paths = [make_trace(self.place / f"run.rank{rank}.h5", "--rank", rank) for rank in range(2)]
        page = self.place / "ranks.html"
        nauha("report", *paths, "-o", page)
        self.assertTrue({"kinds-0", "kinds-1"} <= Page(page.read_text()).tables.keys())

    @unittest.skipUnless(has_training(), "built without libtorch")
    def test_evaluations_are_curves_of_their_own(self):
        path = self.place / "evaluated.h5"
        nauha("train", "-o", path, "--batch-size", 16, "--max-steps", 6, "--test-steps", 2,
              "--kinds", "loss,network_output,input_labels")
        self.report(path, name="evaluated.html")
        text = (self.place / "evaluated.html").read_text()
        loss = text[text.index('id="c-loss"'):].split("</figure>")[0]
        self.assertEqual(re.findall(r"<title>([^<]*)</title></path></g>", loss), ["training", "testing"])
        last = {}
        for message in Trace(path).messages:
            if message.tag == "testing":
                last.setdefault(message.step, []).append(message)
        batches = last[max(last)]
        right = [np.argmax(output.values, 1) == labels.values for output, labels in
                 zip([m for m in batches if m.kind == "network_output"], [m for m in batches if m.kind == "input_labels"])]
        tile = re.search(r'<dt>Test accuracy</dt><dd><span data-v="([^"]*)"', text)
        self.assertAlmostEqual(float(tile.group(1)), np.mean(np.concatenate(right)), 12)

    def test_refusals(self):
        other = make_trace(self.place / "other.h5", "--steps", 3)
        self.assertIn("shows one training", nauha("report", self.path, other, code=2).stderr)
        self.assertIn("nope", nauha("report", self.path, "--metric", "nope:weights", code=2).stderr)
        self.assertIn("cannot write", nauha("report", self.path, "-o", self.place / "no/page.html", code=3).stderr)
        before = (self.place / "kept.html")
        before.write_text("kept")
        nauha("report", self.place / "none.h5", "-o", before, code=3)
        self.assertEqual(before.read_text(), "kept")

    # ---- in a browser ----

    def test_tables_sort(self):
        page = self.report(self.path)
        column = [cell[1] for cell in page.tables["health-table"][0]].index("Output")
        text = (self.place / "page.html").read_text()
        (self.place / "sorted.html").write_text(text.replace("</body>", SORT.replace("COLUMN", str(column)) + "</body>"))
        said = json.loads(Page(self.browse(self.place / "sorted.html", "--dump-dom")).body["data-said"])
        half = len(said) // 2
        values = [float(value) for value in page.column("health-table", "Output").values() if value is not None]
        for part, order in ((said[:half], "descending"), (said[half:], "ascending")):
            self.assertEqual(part[0], order)
            numbers = [float(value) for value in part[1:] if value != "-"]
            self.assertEqual(numbers, sorted(values, reverse=order == "descending"))
            self.assertEqual(part[1 + len(numbers):], ["-"] * (len(part) - 1 - len(numbers)))

    @unittest.skipUnless(has_training(), "built without libtorch")
    def test_a_real_training_in_pictures(self):
        path = self.place / "net.h5"
        nauha("train", "-o", path, "--batch-size", 16, "--max-steps", 12, "--test-every", 0)
        page = self.report(path, name="net.html")
        losses = [message.values for message in Trace(path).messages if message.kind == "loss"]
        self.assertIn(f"{float(losses[-1]):.4g}"[:5], page.text)
        for name, options in {"wide": ["--window-size=1300,3000"], "phone": ["--window-size=500,3000"],
                              "dark": ["--window-size=1300,3000", "--force-dark-mode"]}.items():
            with self.subTest(name):
                picture = self.place / f"{name}.png"
                self.browse(self.place / "net.html", f"--screenshot={picture}", "--hide-scrollbars", *options)
                width, height, colours = png_size_and_colours(picture)
                self.assertEqual((width, height), (500 if name == "phone" else 1300, 3000))
                self.assertGreater(colours, 50)


if __name__ == "__main__":
    unittest.main()
