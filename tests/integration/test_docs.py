# SPDX-License-Identifier: MIT
"""What the documentation takes from the program's tables is what they say now."""
import subprocess
import sys
import unittest

from tests.integration.program import ROOT


class Docs(unittest.TestCase):
    def test_lists_of_metrics_and_rules_are_up_to_date(self):
        done = subprocess.run([sys.executable, ROOT / "tools/dev/update-docs.py", "--check"], stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()
