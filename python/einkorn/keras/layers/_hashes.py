"""Numbers of texts that are the same everywhere: FarmHash's fingerprint and SipHash-2-4, of 64 bits.

Sources: Pike and Alakuijala's FarmHash (2014), its portable form; Aumasson and Bernstein, "SipHash: a fast
short-input PRF", 2012.
"""

from __future__ import annotations

__all__ = ["crossed", "fingerprint", "siphash"]

_WORD = (1 << 64) - 1
_A, _B, _C = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def _turned(v: int, by: int) -> int:
    """To the right."""
    return (v >> by | v << (64 - by)) & _WORD


def _turned_left(v: int, by: int) -> int:
    return _turned(v, 64 - by)


def _folded(v: int) -> int:
    return v ^ v >> 47


def _two(u: int, v: int, times: int) -> int:
    """One number of two."""
    a = _folded((u ^ v) * times & _WORD)
    return _folded((v ^ a) * times & _WORD) * times & _WORD


def _short(s: bytes) -> int:
    size = len(s)
    times = _C + 2 * size & _WORD
    if size >= 8:
        a, b = int.from_bytes(s[:8], "little") + _C & _WORD, int.from_bytes(s[-8:], "little")
        c, d = _turned(b, 37) * times + a & _WORD, (_turned(a, 25) + b) * times & _WORD
        return _two(c, d, times)
    if size >= 4:
        a = int.from_bytes(s[:4], "little")
        return _two(size + (a << 3), int.from_bytes(s[-4:], "little"), times)
    if size:
        y, z = s[0] + (s[size // 2] << 8), size + (s[-1] << 2)
        return _folded((y * _C ^ z * _A) & _WORD) * _C & _WORD
    return _C


def _mixed(a: int, b: int, c: int, d: int, more: int) -> tuple[int, int]:
    return (_turned(a + b & _WORD, 43) + _turned(c, 30) + d) & _WORD, (
        a + _turned(b + more & _WORD, 18) + c
    ) & _WORD


def _medium(s: bytes) -> int:
    """Of 17 to 64 bytes."""
    size = len(s)

    def at(place: int) -> int:
        place = place if place >= 0 else size + place
        return int.from_bytes(s[place : place + 8], "little")

    times = _C + 2 * size & _WORD
    first = at(0) * (_B if size <= 32 else _C) & _WORD
    y, rest = _mixed(first, at(8), at(-8) * times & _WORD, at(-16) * _C & _WORD, _C)
    if size <= 32:
        return _two(y, rest, times)
    z = _two(y, rest, times)
    e, g, h = at(16) * times & _WORD, (y + at(-32)) * times & _WORD, (z + at(-24)) * times & _WORD
    return _two(*_mixed(e, at(24), g, h, first), times)


def _block(w: tuple[int, ...], a: int, b: int) -> tuple[int, int]:
    """Two numbers of four words and two seeds."""
    a = a + w[0] & _WORD
    b = _turned(b + a + w[3] & _WORD, 21)
    c = a
    a = a + w[1] + w[2] & _WORD
    b = b + _turned(a, 44) & _WORD
    return a + w[3] & _WORD, b + c & _WORD


def fingerprint(s: bytes) -> int:
    """FarmHash's fingerprint of 64 bits.

    Parameters
    ----------
    s : bytes

    Returns
    -------
    int
        From 0 to 2**64 - 1.
    """
    size = len(s)
    if size <= 16:
        return _short(s)
    if size <= 64:
        return _medium(s)
    x, y = 81, 81 * _B + 113 & _WORD
    z = _folded(y * _C + 113 & _WORD) * _C & _WORD
    v, w = (0, 0), (0, 0)
    x = x * _C + int.from_bytes(s[:8], "little") & _WORD

    def walked(block: bytes, times: int, state: tuple[int, ...], more: int) -> tuple[int, ...]:
        x, y, z, v0, v1, w0, w1 = state
        words = tuple(int.from_bytes(block[i : i + 8], "little") for i in range(0, 64, 8))
        x = _turned(x + y + v0 + words[1] & _WORD, 37) * times & _WORD
        y = _turned(y + v1 + words[6] & _WORD, 42) * times & _WORD
        x ^= w1 * more & _WORD
        y = y + v0 * more + words[5] & _WORD
        z = _turned(z + w0 & _WORD, 33) * times & _WORD
        v0, v1 = _block(words[:4], v1 * times & _WORD, x + w0 & _WORD)
        w0, w1 = _block(words[4:], z + w1 & _WORD, y + words[2] & _WORD)
        return z, y, x, v0, v1, w0, w1

    state: tuple[int, ...] = (x, y, z, *v, *w)
    for first in range(0, (size - 1) // 64 * 64, 64):
        state = walked(s[first : first + 64], _B, state, 1)
    x, y, z, v0, v1, w0, w1 = state
    times = _B + ((z & 255) << 1)
    w0 = w0 + (size - 1 & 63) & _WORD
    v0 = v0 + w0 & _WORD
    w0 = w0 + v0 & _WORD
    x, y, z, v0, v1, w0, w1 = walked(s[-64:], times, (x, y, z, v0, v1, w0, w1), 9)
    left = _two(v0, w0, times) + _folded(y) * _A + z & _WORD
    return _two(left, _two(v1, w1, times) + x & _WORD, times)


def siphash(s: bytes, key: tuple[int, int]) -> int:
    """SipHash-2-4 with a key of two numbers.

    Parameters
    ----------
    s : bytes
    key : (int, int)

    Returns
    -------
    int
        From 0 to 2**64 - 1.
    """
    k0, k1 = (k & _WORD for k in key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = v[0] + v[1] & _WORD
            v[2] = v[2] + v[3] & _WORD
            v[1] = _turned_left(v[1], 13) ^ v[0]
            v[3] = _turned_left(v[3], 16) ^ v[2]
            v[0] = _turned_left(v[0], 32)
            v[2] = v[2] + v[1] & _WORD
            v[0] = v[0] + v[3] & _WORD
            v[1] = _turned_left(v[1], 17) ^ v[2]
            v[3] = _turned_left(v[3], 21) ^ v[0]
            v[2] = _turned_left(v[2], 32)

    whole = s + bytes(-(len(s) + 1) % 8) + bytes([len(s) & 255])
    for first in range(0, len(whole), 8):
        word = int.from_bytes(whole[first : first + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 255
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def crossed(numbers: list[int]) -> int:
    """One number of several in order, as TensorFlow's crossing of columns has it."""
    times, out = 0xC6A4A7935BD1E995, 0xDECAFCAFFE
    for number in numbers:
        out ^= times
        out ^= _folded(number * times & _WORD) * times & _WORD
        out = _folded(out * times & _WORD) * times & _WORD
        out = _folded(out)
    return out
