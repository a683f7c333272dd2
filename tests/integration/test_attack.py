# SPDX-License-Identifier: MIT
"""A short attack with traces that were made to do harm, the same ones each time; see tests/attack/attack.py.

NAUHA_ATTACK says with how many; `make attack` takes ten minutes of others.
"""
import os
import unittest

from tests.attack import blocks
from tests.attack.attack import attack
from tests.integration.program import ROOT

MUTANTS = int(os.environ.get("NAUHA_ATTACK", "60"))


class Attack(unittest.TestCase):
    def test_checksums_of_hdf5(self):
        # Values of Bob Jenkins' own driver of lookup3.c.
        self.assertEqual(blocks.lookup3(b""), 0xDEADBEEF)
        self.assertEqual(blocks.lookup3(b"Four score and seven years ago"), 0x17770551)

    def test_traces_made_to_do_harm(self):
        made = attack(ROOT / "build/attack", "test", MUTANTS, every=5)
        self.assertEqual(made.failures, [])
        self.assertEqual(made.counts["mutants"], MUTANTS)
        for template in made.templates:
            kinds = {block[0].split()[0] for block in template.blocks}
            self.assertLessEqual({"superblock", "OHDR", "FRHP", "BTHD", "EAHD"}, kinds, "HDF5 writes something else than this looks for")


if __name__ == "__main__":
    unittest.main()
