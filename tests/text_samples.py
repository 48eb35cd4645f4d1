"""Texts that tokenisers are tried on."""

import os
import random
from pathlib import Path

SENTENCES = (
    "The low tower, the lower tower's newest wires: 12 345 of 'em.\n\n  We'll see\tit   again; DÉJÀ vu! "
)


def random_texts(count: int, seed: int = 0) -> list[str]:
    """Texts of characters that patterns tell apart, and of whatever else Unicode has had for long."""
    rng = random.Random(seed)
    pools = [
        range(0x20, 0x7F),
        range(0x20),
        (0x200D, 0x1F468, 0x1F469, 0x1F3FD, 0xFE0F, 0x1F600),
        range(0x5D0, 0x5EA),
        range(0x620, 0x64A),
        range(0x3041, 0x3097),
        range(0x300, 0x340),
        (0x20, 0x20, 0x0A, 0x0D, 0x09, 0xA0, 0x85, 0x2003, 0x2028, 0x3000),
        range(0x2150, 0x2189),
        range(0xAC00, 0xAD00),
        [ord(c) for c in "'sdmtrevlSDMTRVEL \u017f\u2581"],
        range(0x4E00, 0x4F00),
        range(0x1D400, 0x1D420),
    ]
    sizes = (0, 1, 2, 3, 5, 10, 30, 90)
    return [
        "".join(chr(rng.choice(rng.choice(pools))) for _ in range(rng.choice(sizes))) for _ in range(count)
    ]


SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def published(folder: str, name: str) -> Path:
    """A published file, under EINKORN_DATA or beside the repository."""
    import pytest

    for root in (os.environ.get("EINKORN_DATA"), SHARED):
        if root and (file := Path(root) / folder / name).is_file():
            return file
    pytest.skip(f"{folder}/{name} is neither under EINKORN_DATA nor in {SHARED}")
