"""The cache of output memory: accounting, the limit, arrays that outlive what they came from."""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import einkorn
from einkorn import engines, memory, runtime

pytestmark = pytest.mark.skipif("native" not in engines.available(), reason="the native engine was not built")

MIB = 1 << 20


@pytest.fixture(autouse=True, scope="module")
def frozen():
    """What other tests imported is left out of the collections that follow, which then take no time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def clean():
    """A cache that starts empty and without a limit of an earlier test."""
    einkorn.set_engine("native")
    gc.collect()
    memory.set_limit(None)
    memory.empty_cache()
    yield
    memory.set_limit(None)


def grown(before: dict[str, int]) -> dict[str, int]:
    now = memory.stats()
    return {key: now[key] - before[key] for key in now}


# --- arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, "float64", np.dtype("int32"), np.int64, bool, "f2"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (0,), (4, 0, 2), (1, 2, 3, 4, 5, 6), (700, 1001)])
def test_empty_is_an_ordinary_array(shape, dtype):
    x = runtime.empty(shape, dtype)
    assert type(x) is np.ndarray
    assert x.shape == shape
    assert x.dtype == np.dtype(dtype)
    assert x.flags.carray
    assert x.ctypes.data % 64 == 0
    x[...] = 1
    assert (x == 1).all()


def test_shape_may_be_an_int_or_a_list():
    native = engines.cpu()
    assert native.empty(3, np.float32).shape == (3,)
    assert native.empty([2, np.int64(3)], np.float32).shape == (2, 3)
    assert native.empty(shape=(2,), dtype=np.float32).shape == (2,)
    assert runtime.empty(4).dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((3, -1), "has a negative size"),
        ((-(2**70),), "has a negative size"),
        ((2**40, 2**40), "is larger than the address space"),
        ((2**70,), "is larger than the address space"),
        ((2**62,), "is larger than the address space"),
        ((1,) * 65, "has more than 64 dimensions"),
    ],
)
def test_bad_shapes_are_refused(shape, reason):
    before = memory.stats()
    with pytest.raises(einkorn.ShapeError) as refusal:
        runtime.empty(shape, np.float32)
    assert str(refusal.value) == f"empty: shape {shape} {reason}"
    assert memory.stats() == before


@pytest.mark.parametrize("arguments", [((1.5,), "f4"), ("12", "f4"), (None, "f4"), ((1,),), (1, 2, 3)])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(TypeError):
        engines.cpu().empty(*arguments)


@pytest.mark.parametrize("dtype", [object, "U3", ">f4", "V8", "M8[s]", [("a", "f4")], None])
def test_bad_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match="expected a number type in native byte order"):
        engines.cpu().empty((3,), dtype)


def test_blocks_cannot_be_made_from_python():
    block = type(runtime.empty((3,)).base)
    with pytest.raises(TypeError):
        block()


# --- accounting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("megabytes", [1, 2, 8, 64])
def test_stats_go_up_and_down(megabytes):
    before = memory.stats()
    x = runtime.empty((megabytes * MIB,), np.uint8)
    held = grown(before)
    assert held["allocated"] == megabytes * MIB
    assert held["misses"] == 1
    assert memory.stats()["peak"] >= memory.stats()["allocated"]
    view = x[5:]
    del x
    assert grown(before) == held  # the view keeps it
    del view
    freed = grown(before)
    assert freed["allocated"] == 0
    assert freed["cached"] == megabytes * MIB
    again = runtime.empty((megabytes * MIB,), np.uint8)
    reused = grown(before)
    assert (reused["hits"], reused["misses"], reused["cached"]) == (1, 1, 0)
    del again
    memory.empty_cache()
    assert grown(before)["allocated"] == 0
    assert memory.stats()["cached"] == 0


def test_blocks_are_at_most_a_quarter_larger():
    rng = np.random.default_rng(0)
    for size in [*range(1, 2000), *rng.integers(2000, 64 * MIB, 200).tolist()]:
        before = memory.stats()["allocated"]
        x = runtime.empty((size,), np.uint8)
        block = memory.stats()["allocated"] - before
        assert x.nbytes <= block <= max(64, x.nbytes * 5 // 4 + 64)
        assert block % 64 == 0
        del x


def pages(which: int) -> int:
    """Bytes of address space (0) or of memory (1) that this process has."""
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[which]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system does not say what it gave")
def test_blocks_between_others_go_back_to_the_system_and_come_again():
    """Those from 64 KiB to 2 MiB share regions, and a neighbour that is in use stays whole."""
    sizes = [64 * 1024, 100_000, 400_000, MIB, 1_500_000]
    kept = [runtime.empty((size,), np.uint8) for size in sizes]
    for n, x in enumerate(kept):
        x[...] = n
    before = space = 0
    for turn in range(6):
        others = [runtime.empty((size,), np.uint8) for size in sizes * 20]
        for n, x in enumerate(others):
            x[...] = n % 251
        assert all((x == n % 251).all() for n, x in enumerate(others))
        held = pages(1)
        del x, others
        memory.empty_cache()
        assert held - pages(1) > 40 * MIB  # of 58
        space = pages(0)
        before = before or space
        assert turn == 0 or space - before < 40 * MIB
        assert all((x == n).all() for n, x in enumerate(kept))


def test_peak_is_the_largest_sum():
    before = memory.stats()
    extra = before["peak"] - before["allocated"] + 8 * MIB
    x = runtime.empty((extra,), np.uint8)
    peak = memory.stats()["peak"]
    assert peak == memory.stats()["allocated"] > before["peak"]
    del x
    assert memory.stats()["peak"] == peak


def test_the_last_freed_block_comes_first():
    a, b = runtime.empty((5000,)), runtime.empty((5000,))
    at = b.ctypes.data
    del a
    del b
    assert runtime.empty((5000,)).ctypes.data == at


def test_live_arrays_never_share_memory():
    rng = np.random.default_rng(1)
    live: list[tuple[int, np.ndarray]] = []
    for k in range(3000):
        if len(live) > 40 or (live and rng.random() < 0.4):
            tag, x = live.pop(int(rng.integers(len(live))))
            assert (x == tag).all()
        else:
            x = runtime.empty((int(2 ** rng.uniform(0, 21)),), np.int32)
            x.fill(k)
            live.append((k, x))
        if k % 500 == 0:
            memory.empty_cache()
    assert all((x == tag).all() for tag, x in live)


def test_arrays_survive_empty_cache():
    arrays = [runtime.empty((n,), np.float64) for n in (1, 1000, 10**6)]
    for k, x in enumerate(arrays):
        x.fill(k)
    runtime.empty((10**6,))  # dies at once: something to empty
    assert memory.stats()["cached"] > 0
    memory.empty_cache()
    assert memory.stats()["cached"] == 0
    for k, x in enumerate(arrays):
        assert (x == k).all()


# --- the limit ------------------------------------------------------------------------------------


def test_limit_is_respected_and_named():
    limit = memory.stats()["allocated"] + 10 * MIB
    memory.set_limit(limit)
    x = runtime.empty((6 * MIB,), np.uint8)
    before = memory.stats()
    with pytest.raises(MemoryError) as refusal:
        runtime.empty((5 * MIB,), np.uint8)
    for words in ("cannot allocate 5.00 MiB (5242880 bytes)", "the limit is", "set_limit"):
        assert words in str(refusal.value)
    assert memory.stats() == before
    x.fill(3)
    memory.set_limit(limit + MIB)
    assert runtime.empty((5 * MIB,), np.uint8).nbytes == 5 * MIB
    assert (x == 3).all()


def test_the_cache_makes_room_before_a_request_fails():
    memory.set_limit(memory.stats()["allocated"] + 16 * MIB)
    x = runtime.empty((7 * MIB,), np.uint8)
    del x
    assert memory.stats()["cached"] == 7 * MIB
    y = runtime.empty((14 * MIB,), np.uint8)
    y.fill(0)
    assert memory.stats()["cached"] == 0


def test_cache_keeps_at_most_half_of_the_limit_and_drops_the_oldest():
    memory.set_limit(64 * MIB)
    assert memory.stats()["cache_limit"] == 32 * MIB
    sizes = [3 * MIB, 5 * MIB, 6 * MIB, 7 * MIB, 8 * MIB, 10 * MIB]
    for size in sizes:
        del_me = runtime.empty((size,), np.uint8)
        del del_me
        assert memory.stats()["cached"] <= 32 * MIB
    before = memory.stats()
    arrays = [runtime.empty((size,), np.uint8) for size in reversed(sizes)]
    # 10 + 8 + 7 + 6 MiB fit into 32: these were kept, the two used before them were not.
    assert grown(before)["hits"] == 4
    assert grown(before)["misses"] == 2
    del arrays


def test_a_lower_limit_drops_cached_blocks_at_once():
    x = runtime.empty((16 * MIB,), np.uint8)
    y = runtime.empty((8 * MIB,), np.uint8)
    del x
    memory.set_limit(memory.stats()["allocated"] + MIB)
    assert memory.stats()["cached"] == 0
    memory.set_limit(1)  # below what is in use: arrays stay
    y.fill(2)
    assert (y == 2).all()
    with pytest.raises(MemoryError):
        runtime.empty((1,))


def test_more_than_the_machine_has_is_a_memory_error():
    for size in (2**44, 2**50):
        with pytest.raises(MemoryError, match=rf"cannot allocate .*\({size} bytes\)"):
            runtime.empty((size,), np.uint8)


def test_what_the_system_refuses_is_a_memory_error():
    resource = pytest.importorskip("resource")
    assert resource
    script = """
import resource
import einkorn
from einkorn import memory, runtime
cached = runtime.empty((1 << 24,), "u1")
del cached
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, resource.RLIM_INFINITY))
memory.set_limit(1 << 40)
before = memory.stats()
try:
    runtime.empty((1 << 36,), "u1")
except MemoryError as error:
    print(error, memory.stats()["cached"], memory.stats()["allocated"] - before["allocated"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("cannot allocate 64.00 GiB (68719476736 bytes): the system has no more")
    assert done.stdout.endswith("in use 0 0\n")


@pytest.mark.parametrize("limit", [0, -5, 2**63, 1.5, "1G", True])
def test_bad_limits_are_refused(limit):
    before = memory.stats()["limit"]
    with pytest.raises(einkorn.ArgumentError, match=f"limit is {limit!r}"):
        memory.set_limit(limit)
    assert memory.stats()["limit"] == before


def test_default_limit_is_the_memory_this_process_may_use():
    info = runtime.cpu_info()
    assert memory.stats()["limit"] == info["usable_memory"] <= info["memory"]


# --- lifetimes ------------------------------------------------------------------------------------


def test_threads_allocate_and_free_for_each_other():
    before = memory.stats()["allocated"]
    box: list[np.ndarray] = []
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(2000):
            x = runtime.empty((int(rng.integers(1, 50_000)),), np.int32)
            x.fill(seed)
            if not (x == seed).all():
                wrong.append(seed)
            box.append(x)
            if len(box) > 20:
                box.pop(0)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    box.clear()
    assert memory.stats()["allocated"] == before


def test_arrays_may_die_late_at_exit():
    script = """
import sys, threading
import numpy as np
from einkorn import runtime
keep = runtime.empty((1000, 1000))
class Late:
    def __init__(self): self.x = runtime.empty((100,)); self.me = self
    def __del__(self): self.x.fill(1)
late = Late()
sys.einkorn_array = runtime.empty((10,))
threading.local().x = runtime.empty((5,))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_the_native_engine_the_error_says_so(monkeypatch):
    real = importlib.import_module

    def absent(name: str, package: str | None = None):
        if name == "einkorn._native":
            raise ModuleNotFoundError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    for call in (memory.stats, memory.empty_cache, lambda: memory.set_limit(None)):
        with pytest.raises(einkorn.EngineError, match="without its native engine"):
            call()
    monkeypatch.undo()


def test_native_only_questions_under_numba():
    pytest.importorskip("numba")
    einkorn.set_engine("numba")
    for call in (runtime.isas, runtime.get_isa, runtime.cpu_info, lambda: runtime.set_isa("avx2")):
        with pytest.raises(einkorn.EngineError, match="numba engine is active"):
            call()


def test_instruction_sets():
    available = runtime.isas()
    assert available[0] == "baseline" or "neon" in available
    before = runtime.get_isa()
    for name in available:
        runtime.set_isa(name)
        assert runtime.get_isa() == name
    runtime.set_isa(before)
    with pytest.raises(einkorn.ArgumentError, match="name is 'sse9', expected one of"):
        runtime.set_isa("sse9")


def test_cpu_info_agrees_with_the_kernel():
    info = runtime.cpu_info()
    assert 1 <= info["usable_cores"] <= info["usable_cpus"]
    assert info["brand"]
    try:
        with open("/proc/cpuinfo") as file:
            flags = next(line for line in file if line.startswith("flags")).split()
    except (OSError, StopIteration):
        pytest.skip("the kernel lists no x86 flags here")
    assert info["avx2"] == {"avx2", "fma", "f16c", "bmi2"}.issubset(flags)
    wanted = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}
    assert info["avx512"] == (info["avx2"] and wanted.issubset(flags))
    narrow = {"avx512_bf16", "avx512_vnni"}
    assert info["avx512_bf16"] == (info["avx512"] and narrow.issubset(flags))
    if not {"amx_tile", "amx_bf16", "amx_int8"}.issubset(flags):
        assert not info["amx"]
