# SPDX-License-Identifier: MIT
"""What people see: in a terminal of a certain width, and what programs get through a pipe."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import unicodedata
import unittest

from tests.integration.program import BUILD, NAUHA, folder_of, has_terminals, has_training, make_trace, nauha

ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # a progress bar, which a slow machine shows, has other ones


def columns(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def on_terminal(*arguments, width=80, **variables):
    """(exit code, all that a terminal is sent) of a command."""
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "CLICOLOR_FORCE", "COLUMNS")}
    environment.update(TERM="xterm", **variables)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen([NAUHA, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    said = b""
    while True:
        try:
            more = os.read(master, 65536)
        except OSError:
            break
        if not more:
            break
        said += more
    os.close(master)
    return process.wait(), said.decode()


def on_screen(said):
    """The lines that stay: what is behind a carriage return takes the place of what was before."""
    lines = [re.split(r"\r(?=.)", line.rstrip("\r"))[-1] for line in said.split("\n")]
    return [ESCAPE.sub("", line) for line in lines]


@unittest.skipUnless(has_terminals(), "skipped: no terminal can be had here (/dev/pts)")
class Terminal(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = folder_of(cls)
        cls.a = make_trace(cls.place / "a.h5", "--steps", 12)
        cls.b = make_trace(cls.place / "b.h5", "--steps", 10, "--modules", 3)
        cls.commands = {"info": ("info", cls.a), "ls": ("ls", cls.a), "check": ("check", cls.a), "diff": ("diff", cls.a, cls.b),
                        "cat": ("cat", cls.a, "--kinds", "loss"), "analyzers": ("analyzers",), "help": ("help",),
                        "help of a command": ("help", "replay"), "verify": ("verify", cls.a)}

    def test_a_bar_while_pictures_are_drawn(self):
        stub = self.place / "bin/gnuplot"
        stub.parent.mkdir()
        stub.write_text("#!/bin/sh\nsleep 1\n")
        stub.chmod(0o755)
        code, said = on_terminal("replay", self.a, "--metric", "loss", "-o", self.place / "drawn",
                                 PATH=f"{stub.parent}:{os.environ['PATH']}")
        self.assertEqual(code, 0, said)
        self.assertRegex(ESCAPE.sub("", said), r"drawing \[\.+\]   0 %")
        self.assertFalse([line for line in on_screen(said) if "drawing" in line])

    def test_lines_fit(self):
        for width in (80, 120):
            for name, arguments in self.commands.items():
                with self.subTest(name, width=width):
                    lines = on_screen(on_terminal(*arguments, width=width)[1])
                    # Commands to copy stay in one piece.
                    longest = max(columns(line) for line in lines if not line.startswith("  nauha "))
                    self.assertLessEqual(longest, width)

    def test_colours_on_a_terminal_only(self):
        for name in ("info", "ls", "cat", "check", "diff", "analyzers", "verify"):
            with self.subTest(name):
                arguments = self.commands[name]
                self.assertRegex(on_terminal(*arguments)[1], COLOUR)
                self.assertNotRegex(on_terminal(*arguments, NO_COLOR="1")[1], COLOUR)
                self.assertNotRegex(on_terminal(*arguments, "--color", "never")[1], COLOUR)
                piped = nauha(*arguments, code=None)
                self.assertNotRegex(piped.stdout + piped.stderr, ESCAPE)
                self.assertRegex(nauha(*arguments, "--color", "always", code=None).stdout, ESCAPE)

    def test_a_pipe_gets_whole_names_in_columns(self):
        rows = nauha("ls", self.a, "--kinds", "weights").stdout.splitlines()
        starts = [[match.start() for match in re.finditer(r"(?<=\s\s)\S|^\s*\S", row)] for row in rows]
        self.assertGreater(len(rows), 10)
        module = rows[0].index("module")
        self.assertEqual({row[module - 1] for row in rows}, {" "})
        self.assertTrue(all(starts))
        for row in rows[1:]:
            self.assertIn(row[module:].split()[0], ("hidden", "output"))

    def test_bars_vanish(self):
        # Nothing is over before its bar appears: each look at the clock is a second later.
        hasty = {"LD_PRELOAD": str(BUILD / "tests/tools/hasty_clock.so")}
        for arguments in (("check", self.a), ("diff", self.a, self.a), ("replay", self.a, "-j", 1, "-m", "norm:weights", "-o",
                                                                     self.place / "series", "--sink", "csv")):
            with self.subTest(arguments[0]):
                said = on_terminal(*arguments, width=70, **hasty)[1]
                self.assertRegex(said, r"\[[#.]+\] +\d+ %")
                self.assertNotRegex("\n".join(on_screen(said)), r"\[[#.]{6,}\]")
                self.assertNotRegex(on_terminal(*arguments, "--quiet", **hasty)[1], r"\[[#.]+\]")
                piped = nauha(*arguments, code=None, env={**os.environ, **hasty})
                self.assertNotRegex(piped.stdout + piped.stderr, r"\[[#.]+\]|\r")

    @unittest.skipUnless(has_training(), "built without libtorch")
    def test_a_loss_that_is_no_number(self):
        done = nauha("train", "--batch-size", 8, "--max-steps", 12, "--learning-rate", "1e30", "--optimizer", "sgd", "--test-every", 0,
                     code=None)
        self.assertIn("nan", done.stdout + done.stderr)
        self.assertNotIn("-nan", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
