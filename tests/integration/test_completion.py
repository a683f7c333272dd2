# SPDX-License-Identifier: MIT
"""Completion: what `nauha complete` offers, and what bash and zsh make of it."""
import contextlib
import itertools
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time
import unittest

import numpy as np

from tests.integration.arrays import Arrays
from tests.integration.program import NAUHA, ROOT, folder_of, has_terminals, make_trace, nauha, offered

# Placeholders of numbers and texts that nobody can know beforehand.
FREE = {"N", "X", "K", "A:B", "A:B[:EVERY]", "RANK", "SIZE", "STEPS", "SECONDS[,sync]", "OLD=NEW", "TEXT", "NAME", "COLUMNSxLINES"}


# Names that a shell would expand, run, or take for more than one word; PWNED is what some of them make.
HOSTILE = ["fa$(touch${IFS}PWNED)", "fb`touch${IFS}PWNED`", "fd;touch PWNED;", "fe'$(touch PWNED)'", 'ff"$(touch PWNED)"', "fg\\",
           "fh&touch PWNED&", "fi|touch PWNED", "fj*", "fk x", "fl>PWNED", "fm{a,b}", "fn!!", "fo[0-9]", "~root", "=ls", "#fc"]


def hostile_trace(path):
    with Arrays(path) as arrays:
        arrays.step()
        for name in [*HOSTILE, "", "fc0", "encoder.0.größe"]:
            arrays.publish("activations", name, np.zeros(2, np.float32))
        for name in HOSTILE:
            arrays.publish("activations", "fc0", np.zeros(2, np.float32), tag=name)
    return path


class Offers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.trace = str(make_trace(cls.folder / "run.h5", "--steps", 2))

    def test_every_command(self):
        commands = nauha("help", "--commands").stdout.split()
        self.assertGreater(len(commands), 8)
        self.assertNotIn("complete", commands)
        self.assertEqual(offered(""), commands)
        self.assertEqual(offered("re"), [each for each in commands if each.startswith("re")])

    def test_every_option_of_every_command(self):
        for command in nauha("help", "--commands").stdout.split():
            said = set(re.findall(r"^\s+(?:-\w, )?(--[\w-]+)", nauha("help", command).stdout, re.M))
            self.assertIn("--help", said)
            self.assertEqual(set(offered(command, "--")), said, command)

    def test_values_of_every_option(self):
        known = 0
        for command in nauha("help", "--commands").stdout.split():
            page = nauha("help", command, "--man").stdout if command != "help" else ""
            for option, value in re.findall(r"^\\fB(?:\\-\w\\fR, \\fB)?\\-\\-([\w\\-]+)\\fR[ =]\\fI([^\n]*)\\fR$", page, re.M):
                option, value = option.replace("\\", ""), value.replace("\\-", "-")
                words = offered(command, self.trace, f"--{option}", "")
                if value in FREE:
                    self.assertEqual(words, [], (command, option, value))
                    continue
                known += 1
                self.assertTrue(words, (command, option, value))
                if "|" in value and value != "FILE.pt|NAME":
                    self.assertEqual(words, value.split("|"))
                self.assertEqual(offered(command, self.trace, f"--{option}="), [word if word[0] == ":" else f"--{option}={word}"
                                                                               for word in words])
        self.assertGreater(known, 40)

    def test_out_of_the_trace(self):
        self.assertEqual(offered("ls", self.trace, "--kinds", "loss,weight_u"), ["loss,weight_updates"])
        self.assertEqual(offered("replay", self.trace, "--modules", "hid"), ["hidden"])
        self.assertEqual(offered("replay", self.trace, "--modules", "hidden,out"), ["hidden,output"])
        # The line's other words do not have to make sense, nor does the trace.
        self.assertEqual(offered("replay", "none.h5", "--modules", "hid"), [])
        self.assertIn("weights", offered("replay", "none.h5", "--kinds", "wei"))

    def test_names_that_mean_something_to_shells_are_not_offered(self):
        path = hostile_trace(self.folder / "hostile.h5")
        self.assertEqual(offered("ls", path, "--modules", "f"), ["fc0"])
        self.assertEqual(offered("ls", path, "--modules", "fc0,f"), ["fc0,fc0"])
        self.assertEqual(sorted(offered("ls", path, "--modules", "")), ["(root)", "encoder.0.größe", "fc0"])
        self.assertEqual(offered("ls", path, "--tag", ""), ["default"])

    def test_specs(self):
        self.assertEqual(offered("replay", self.trace, "-m", "nor"), ["norm:"])
        self.assertIn("norm:weights", offered("replay", self.trace, "-m", "norm:"))
        self.assertIn("ratio:weight_updates,weights", offered("replay", self.trace, "-m", "ratio:weight_updates,we"))
        self.assertEqual(offered("replay", self.trace, "-m", "norm:weights:or"), ["norm:weights:order="])
        self.assertIn("vanishing_gradient:", offered("check", self.trace, "--rule", ""))
        self.assertNotIn("norm:", offered("check", self.trace, "--rule", ""))
        self.assertEqual(offered("train", "--stop-on", "exploding_tensor,dead"), ["exploding_tensor,dead_relu"])

    def test_arguments(self):
        self.assertEqual(offered("info", ""), [":files h5"])
        self.assertEqual(offered("info", self.trace, ""), [])
        self.assertEqual(offered("help", "repl"), ["replay"])
        self.assertEqual(offered("analyzers", "spectral"), ["spectral_norm"])

    def test_never_complains(self):
        for words in (["nope", ""], ["replay", "--nope"], ["replay", self.trace, "--metric", "nope:"], ["ls", "/", "--kinds", "x"]):
            done = nauha("complete", "--", *words)
            self.assertEqual((done.stdout, done.stderr), ("", ""), words)


class Shells(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = folder_of(cls)
        make_trace(cls.place / "run.h5", "--steps", 2)
        hostile_trace(cls.place / "hostile.h5")
        (cls.place / "text.txt").write_text("")
        (cls.place / "deeper").mkdir()
        cls.environment = dict(os.environ, PATH=f"{pathlib.Path(NAUHA).resolve().parent}:{os.environ['PATH']}", TERM="dumb")

    def bash(self, line):
        """COMPREPLY after a line whose last word is completed; words as bash breaks them."""
        words = re.findall(r"[^\s:=]+|[:=]+", line)
        if line[-1] in " :=":
            words.append("")
        script = (f"source {ROOT}/tools/packaging/completion/nauha.bash; COMP_LINE=\"$1\"; COMP_POINT=${{#COMP_LINE}}; shift; "
                  "COMP_WORDS=(\"$@\"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _nauha; printf '%s\\n' \"${COMPREPLY[@]}\"")
        done = subprocess.run(["bash", "-c", script, "bash", line, *words], cwd=self.place, env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.stderr, "")
        return sorted(done.stdout.split())

    @unittest.skipUnless(shutil.which("bash"), "no bash")
    def test_bash(self):
        self.assertEqual(self.bash("nauha rep"), ["replay", "report"])
        self.assertEqual(self.bash("nauha info "), ["deeper", "hostile.h5", "run.h5"])
        self.assertEqual(self.bash("nauha replay run.h5 --modules hid"), ["hidden"])
        self.assertEqual(self.bash("nauha replay run.h5 --kinds loss,weight_u"), ["loss,weight_updates"])
        # What stands before a colon or an equals sign is another word to bash.
        self.assertEqual(self.bash("nauha replay run.h5 --metric norm:weight_u"), ["weight_updates"])
        self.assertEqual(self.bash("nauha replay run.h5 --modules=hid"), ["hidden"])
        self.assertEqual(self.bash("nauha replay run.h5 --metric norm:weights:or"), ["order="])
        self.assertEqual(self.bash("nauha replay hostile.h5 --modules (ro"), ["\\(root\\)"])

    @contextlib.contextmanager
    def interactive(self, shell):
        """type(bytes, text) types into an interactive shell and returns what it says until it has said text."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.place)
            os.execvpe(shell[0], shell, dict(self.environment, PS1="$ ", HOME=str(self.place), HISTFILE="/dev/null"))

        def type_in(what, text, seconds=60):
            os.write(terminal, what)
            said, end = "", time.monotonic() + seconds
            while text not in said and time.monotonic() < end:
                if select.select([terminal], [], [], 0.2)[0]:
                    said += os.read(terminal, 4096).decode(errors="replace")
            self.assertIn(text, said)
            return said

        try:
            yield type_in
        finally:
            os.close(terminal)
            os.waitpid(child, 0)

    BASH = ["bash", "--norc", "--noprofile", "-i"], f"source {ROOT}/tools/packaging/completion/nauha.bash"
    ZSH = ["zsh", "-f", "-i"], f"fpath=({ROOT}/tools/packaging/completion $fpath); autoload -Uz compinit; compinit -u -D; unsetopt beep"

    def zsh(self, typed):
        """What an interactive zsh makes of a line and a tab."""
        with self.interactive(self.ZSH[0]) as type_in:
            type_in(f"{self.ZSH[1]}; print rea''dy\n".encode(), "ready")
            # Control-A and a word in front make a comment of it, printed whole by Return.
            said = type_in(typed.encode() + b"\t\x01print -r -- 'line: \x05'; print do''ne\n", "\ndone")
        return said.replace("\r", "").rsplit("\nline: ", 1)[-1].split("\n")[0].strip("' ")

    def run_completed(self, shell, set_up):
        """Completes each of the hostile names in a shell, in quotes and without, and runs what comes of it."""
        pwned = self.place / "PWNED"
        with self.interactive(shell) as type_in:
            type_in(f"{set_up}; echo rea''dy\n".encode(), "ready")
            # That this way of running what is completed works.
            self.assertIn("größe", type_in(b"nauha ls hostile.h5 --modules enc\t; echo do''ne\n", "\ndone"))
            for number, (name, quote) in enumerate(itertools.product(HOSTILE, ("", "'", '"'))):
                if name[0] == "f":
                    line = f"nauha ls hostile.h5 --modules {quote}{name[:2]}\t\t{quote}; echo do''ne{number}\n"
                    type_in(line.encode(), f"\ndone{number}")
        self.assertFalse(pwned.exists())

    @unittest.skipUnless(shutil.which("bash") and has_terminals(), "skipped: no bash, or no terminal to be had (/dev/pts)")
    def test_bash_runs_nothing_of_a_name(self):
        self.run_completed(*self.BASH)

    @unittest.skipUnless(shutil.which("zsh") and has_terminals(), "skipped: no zsh, or no terminal to be had (/dev/pts)")
    def test_zsh_runs_nothing_of_a_name(self):
        self.run_completed(*self.ZSH)

    @unittest.skipUnless(shutil.which("zsh") and has_terminals(), "skipped: no zsh, or no terminal to be had (/dev/pts)")
    def test_zsh(self):
        self.assertEqual(self.zsh("nauha repl"), "nauha replay")
        self.assertEqual(self.zsh("nauha replay run.h5 --modules hid"), "nauha replay run.h5 --modules hidden")
        self.assertEqual(self.zsh("nauha replay run.h5 --metric norm:weight_u"), "nauha replay run.h5 --metric norm:weight_updates")
        self.assertEqual(self.zsh("nauha info ru"), "nauha info run.h5")


if __name__ == "__main__":
    unittest.main()
