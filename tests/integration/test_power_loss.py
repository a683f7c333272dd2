# SPDX-License-Identifier: MIT
"""Recordings with `flush SECONDS,sync` cut off by a loss of power: of what was written after the last fdatasync any
part may be on the disk. Every such file opens, and holds what was flushed, each message equal to that of the recording.

tests/tools/power_loss.c notes what the recorder does to its file; the states are made from that. NAUHA_POWER_LOSS says
how many; `make power-loss` makes 250.
"""
import collections
import json
import os
import random
import struct
import subprocess
import sys
import unittest
import warnings

from tests.integration.program import BUILD, ROOT, folder_of, nauha as program

sys.path.insert(0, str(ROOT / "tools/python"))
import nauha  # noqa: E402

LOSSES = int(os.environ.get("NAUHA_POWER_LOSS", "20"))
STEPS, TELL = 150, 15
OPTIONS = (["--codec", "zstd"], ["--codec", "none", "--kinds", "weights,weight_updates,loss"])
# What reaches the disk whole or not at all: a write, a page, a sector.
UNITS = {"write": None, "page": 4096, "sector": 512}
# With more flushes, each a chunk in every stream, HDF5's lists of chunks are longer than a sector; see docs/format.md.
SECTOR_FLUSHES = 20

Event = collections.namedtuple("Event", "kind offset data")


def read_log(path):
    log, at, events = path.read_bytes(), 0, []
    while at < len(log):
        kind, offset, size = struct.unpack_from("<cQQ", log, at)
        at += 17
        events.append(Event(kind.decode(), offset, log[at:at + size]))
        at += size
    return events


def apply(image, event):
    if event.kind == "w":
        if len(image) < event.offset:
            image.extend(bytes(event.offset - len(image)))
        image[event.offset:event.offset + len(event.data)] = event.data
    elif event.kind == "t":
        del image[event.offset:]
        image.extend(bytes(event.offset - len(image)))


def pieces(event, unit):
    """The parts of a write that lie in one unit each, as (number of the unit, part)."""
    if not unit:
        return [(object(), event)]
    parts, at = [], event.offset
    while at < event.offset + len(event.data):
        end = min(at - at % unit + unit, event.offset + len(event.data))
        parts.append((at // unit, Event("w", at, event.data[at - event.offset:end - event.offset])))
        at = end
    return parts


def image_after_loss(events, moment, unit, rng):
    """A file as it may be when the power went after `moment` events: what was synced, and of each unit written since
    then one of the states that it had."""
    synced = max((i + 1 for i in range(moment) if events[i].kind == "s"), default=0)
    image = bytearray()
    for event in events[:synced]:
        apply(image, event)
    writes = collections.defaultdict(list)
    for event in events[synced:moment]:
        if event.kind == "w":
            for number, part in pieces(event, unit):
                writes[number].append(part)
        elif event.kind == "t":
            writes[object()].append(event)
    share = rng.choice([0.1, 0.5, 0.9])
    for parts in writes.values():
        if rng.random() < share:
            for part in parts[:rng.randint(1, len(parts))]:
                apply(image, part)
    return image


class PowerLoss(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.random = random.Random(int(os.environ.get("NAUHA_POWER_LOSS_SEED", "1")))

    @staticmethod
    def messages(path):
        """By seq. By nauha's own reader: HDF5's would read metadata that do not match their checksum a hundred times,
        each time after twice the pause."""
        with warnings.catch_warnings(), nauha.open(path) as trace:
            warnings.simplefilter("ignore")  # rows of the index that are not whole
            return {m.seq: (m.global_step, m.kind, m.module, m.slot, m.tensor.tobytes() if m.nbytes else None)
                    for m in trace}

    def record(self, options):
        """(what was done to the file, its messages) of a recording that nothing disturbed."""
        path, log = self.dir / "whole.h5", self.dir / "log"
        command = [BUILD / "tests/tools/make_trace", "--steps", STEPS, "--pause-us", 3000, "--tell", TELL, "--flush",
                   "0.2,sync", *options, path]
        environment = dict(os.environ, LD_PRELOAD=str(BUILD / "tests/tools/power_loss.so"),
                           NAUHA_POWER_LOSS_FILE=str(path), NAUHA_POWER_LOSS_LOG=str(log))
        subprocess.run(list(map(str, command)), check=True, env=environment, stdout=subprocess.DEVNULL, timeout=600)
        events = read_log(log)
        image = bytearray()
        for event in events:
            apply(image, event)
        self.assertEqual(bytes(image), path.read_bytes())
        self.assertEqual(events[-1].kind, "s")
        return events, self.messages(path)

    def check(self, path, expected, flushed):
        survived = self.messages(path)
        self.assertEqual(survived, {seq: expected[seq] for seq in survived})
        # A step is complete with what begins the next: of the last one flushed only its end may be missing.
        self.assertLessEqual({seq for seq in expected if expected[seq][0] < flushed - 1}, survived.keys())
        self.assertGreaterEqual(max(step for step, *_ in survived.values()), flushed - 1)
        self.assertEqual(json.loads(program("info", "--json", path).stdout)["messages"], len(survived))
        # What was being written may be damaged, and no more than that.
        self.assertIn(program("verify", path, code=None).returncode, (0, 1))

    def moment(self, events, told):
        """Any after the first flush, and more often while the trace is closed."""
        if self.random.random() < 0.2:
            return self.random.randint(told[-1] + 1, len(events))
        return self.random.randint(told[0] + 1, len(events))

    def test_what_was_synced_survives(self):
        for options in OPTIONS:
            events, expected = self.record(options)
            told = [i for i, event in enumerate(events) if event.kind == "o"]
            few = sum(event.kind == "s" for event in events) // 2 < SECTOR_FLUSHES
            units = [unit for unit in UNITS if few or unit != "sector"]
            for number in range(LOSSES // len(OPTIONS)):
                moment = self.moment(events, told)
                flushed = int(events[max(i for i in told if i < moment)].data)
                unit = self.random.choice(units)
                with self.subTest(options=options, number=number, moment=moment, unit=unit):
                    path = self.dir / "cut.h5"
                    path.write_bytes(image_after_loss(events, moment, UNITS[unit], self.random))
                    self.check(path, expected, flushed)


if __name__ == "__main__":
    unittest.main()
