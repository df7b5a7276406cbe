"""Seeded damage to files, as disks, editors and attackers cause it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

DEEP = 5000
JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    2**63,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "text",
    "\x1b[31m[bold]",
    "\ud800",
    [],
    [[]],
    {},
    {"a": None},
)


def damaged_bytes(content: bytes, draw: random.Random) -> bytes:
    """Return the content with some bytes changed, removed, repeated or overwritten."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        if not changed:
            break
        at = draw.randrange(len(changed))
        length = draw.choice((1, 4, 64, len(changed)))
        way = draw.randrange(5)
        if way == 0:
            changed[at] = draw.randrange(256)
        elif way == 1:
            del changed[at : at + length]
        elif way == 2:
            changed[at:at] = changed[at : at + min(length, 64)]
        elif way == 3:
            changed[at : at + min(length, 64)] = draw.randbytes(min(length, 64))
        else:
            changed[at : at + 4] = draw.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\n\n", b"\r\n", b"null", b"1e999"))
    return bytes(changed)


def damaged_journal(lines: list[bytes], draw: random.Random) -> bytes:
    """Return a journal with one to three wrong entries, and sometimes wrong bytes."""
    changed = list(lines)
    for _ in range(draw.choice((1, 1, 2, 3))):
        _WAYS[draw.randrange(len(_WAYS))](changed, draw)
    text = b"".join(changed)
    return damaged_bytes(text, draw) if draw.random() < 0.2 else text


def _value(lines: list[bytes], draw: random.Random) -> None:
    """Change a value somewhere in an entry, also inside a string that is itself JSON."""
    at = draw.randrange(len(lines))
    try:
        entry = json.loads(lines[at])
    except (ValueError, RecursionError):
        return
    lines[at] = _line(_changed(entry, draw))


def _changed(value: Any, draw: random.Random) -> Any:
    if isinstance(value, dict | list) and value and draw.random() < 0.9:
        key = draw.choice(list(value) if isinstance(value, dict) else range(len(value)))
        copied = copy.copy(value)
        way = draw.random()
        if way < 0.15:
            del copied[key]
        elif way < 0.2 and isinstance(copied, dict):
            copied[draw.choice(("x", "", "config", "epoch 0001", "failure 0001", "segment 0001", "first"))] = junk(draw)
        else:
            copied[key] = _changed(value[key], draw)
        return copied
    if isinstance(value, str) and value.startswith("{") and draw.random() < 0.9:
        with suppress(ValueError):
            return json.dumps(_changed(json.loads(value), draw))
    return junk(draw)


def junk(draw: random.Random) -> Any:
    return draw.choice(JUNK)


def _drop(lines: list[bytes], draw: random.Random) -> None:
    del lines[draw.randrange(len(lines))]
    lines or lines.append(b"\n")


def _exchange(lines: list[bytes], draw: random.Random) -> None:
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def _double(lines: list[bytes], draw: random.Random) -> None:
    lines.insert(draw.randrange(len(lines)), draw.choice(lines))


def _foreign(lines: list[bytes], draw: random.Random) -> None:
    """Insert an entry that this software never writes."""
    nested = b"[" * DEEP + b"]" * DEEP
    entry = draw.choice(
        (
            b"null\n",
            b"[]\n",
            b"3\n",
            b"{}\n",
            b'{"op_code": 99, "worker_id": "w"}\n',
            b'{"op_code": 10, "worker_id": "w"}\n',
            b'{"op_code": 1, "worker_id": "w", "study_id": 0}\n',
            b'{"op_code": 0, "worker_id": "w", "study_name": "other", "directions": [1, 2]}\n',
            b'{"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": null}\n',
            b'{"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": null, "state": 4, '
            b'"system_attrs": {"fixed_params": {"x": 1}}, "user_attrs": {}}\n',
            b'{"op_code": 8, "worker_id": "w", "trial_id": 0, "user_attr": {"config": null}}\n',
            b'{"op_code": 8, "worker_id": "w", "trial_id": 1, "user_attr": {"deep": ' + nested + b"}}\n",
            b'{"op_code": 8, "worker_id": "w", "trial_id": 1, "user_attr": {"epoch 0009": "' + nested + b'"}}\n',
            nested + b"\n",
            b"\xff\xfe\n",
        )
    )
    lines.insert(draw.randrange(len(lines) + 1), entry)


_WAYS: tuple[Callable[[list[bytes], random.Random], None], ...] = (
    _value,
    _value,
    _value,
    _value,
    _drop,
    _exchange,
    _double,
    _foreign,
)


def _line(entry: Any) -> bytes:
    return (json.dumps(entry) + "\n").encode(errors="surrogatepass")
