# SPDX-License-Identifier: MIT
"""Which parameters are frozen on purpose: they need no gradients, and no optimizer has them.

The trace names them by patterns, so that a model with many layers has few: layers.*.attention.weight.

Threads: any.
"""
import fnmatch
import json
import re

from nauha import registry

_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")  # of a layer
MOST = 16000  # characters: HDF5 has no attributes beyond 64 KiB


def facts(model, optimized):
    """The fact about the frozen parameters of a model; none if all are trained. optimized: the ids of the parameters of all
    optimizers."""
    names = {True: [], False: []}
    for name, parameter in model.named_parameters():
        names[not parameter.requires_grad and id(parameter) not in optimized].append(registry.plain_name(name))
    text = json.dumps(_patterns(names[True], names[False]))
    return {"frozen": text} if names[True] and len(text) <= MOST else {}


def _patterns(frozen, trained):
    """Patterns that match all of these names and none of the others."""
    patterns = {}
    for name in frozen:
        patterns.setdefault(_NUMBER.sub("*", name), []).append(name)
    found = []
    for pattern, names in patterns.items():
        matches = re.compile(fnmatch.translate(pattern)).match
        found += names if any(map(matches, trained)) else [pattern]
    return found
