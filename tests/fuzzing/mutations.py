"""Seeded damage to files, as disks, transfers, editors and attackers cause it."""

from __future__ import annotations

import copy
import json
import math
from random import Random
from typing import Any

VALUES: list[Any] = [
    None, True, -1, 0, 3, 0.5, -1e-300, 1e308, math.nan, math.inf, 10**30, 10**400, "", "x", "1", "\ud800", "../../x", "<b>", [],
    {}, [[]], [None], {"id": 1}, [1, 2, 3], ["a"],
]  # fmt: skip
DEEP = 100_000
CELLS = ["", "x", "nan", "inf", "-1", "1e999", "1" * 200_000, '"', "\x00", "é"]
YAML = [
    "!!bool x", "!!int x", "!!float x", "!!timestamp x", "!!binary x", "!!python/object:os.system x", "2001-99-99", "*a", ".nan",
    "{[1]: 2}", "1" * 5000, "{a: b}", "[1", "null", "!!set x", "!!omap x", "? x", "&a [*a]", "[" * 20_000,
]  # fmt: skip


def damaged_bytes(data: bytes, random: Random) -> bytes:
    """Truncate or empty the data, flip bits, or drop, repeat or overwrite a piece of it."""
    start = random.randrange(len(data))
    end = min(start + random.choice((1, 2, 4, 64, 1000)), len(data))
    match random.randrange(7):
        case 0:
            return data[:start]
        case 1:
            return b""
        case 2:
            return data[:start] + data[end:]
        case 3:
            return data[:end] + data[start:]
        case 4:
            return data[:start] + random.randbytes(end - start) + data[end:]
        case _:
            flipped = bytearray(data)
            for _ in range(random.choice((1, 3, 12))):
                flipped[random.randrange(len(data))] ^= 1 << random.randrange(8)
            return bytes(flipped)


def damaged_json(data: bytes, random: Random) -> bytes:
    """Mostly still JSON, with one to three entries of another type, missing or renamed; else deep nesting, or damaged bytes."""
    kind = random.randrange(10)
    if kind == 0:
        return damaged_bytes(data, random)
    if kind == 1:
        opened = random.choice((b"[", b'{"a":'))
        return opened * DEEP
    content = json.loads(data)
    for _ in range(random.choice((1, 1, 1, 3))):
        content = changed_entry(content, random)
    return json.dumps(content).encode()


def changed_entry(content: Any, random: Random) -> Any:
    """Change, remove or rename one entry anywhere in the content."""
    content = copy.deepcopy(content)
    places = list(_places(content))
    if not places or random.random() < 0.03:
        return copy.deepcopy(random.choice(VALUES))
    # choose the depth first: the few entries at the top are as likely as the many below
    depth = random.choice(sorted({depth for depth, _, _ in places}))
    _, container, key = random.choice([place for place in places if place[0] == depth])
    match random.randrange(5):
        case 0:
            del container[key]
        case 1 if isinstance(container, dict):
            container[f"{key}_"] = container.pop(key)
        case 2:
            text = json.dumps(container[key])
            container[key] = text
        case _:
            container[key] = copy.deepcopy(random.choice(VALUES))
    return content


def _places(content: Any, depth: int = 0) -> Any:
    """Yield (depth, container, key) of every entry."""
    keys = content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in list(keys):
        yield depth, content, key
        yield from _places(content[key], depth + 1)


def damaged_csv(data: bytes, random: Random) -> bytes:
    """Replace a cell, or damage bytes."""
    if random.random() < 0.4:
        return damaged_bytes(data, random)
    rows = [line.split(",") for line in data.decode().splitlines()]
    row = random.choice(rows)
    row[random.randrange(len(row))] = random.choice(CELLS)
    return "\n".join(map(",".join, rows)).encode()


def damaged_yaml(data: bytes, random: Random) -> bytes:
    """Replace a value, or damage bytes."""
    if random.random() < 0.3:
        return damaged_bytes(data, random)
    lines = data.decode().splitlines()
    number = random.randrange(len(lines))
    lines[number] = f"{lines[number].split(':')[0]}: {random.choice(YAML)}"
    return "\n".join(lines).encode()
