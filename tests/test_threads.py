"""Threads: the setting, equal bits for any number of them, forks, several Python threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import einkorn
from einkorn import engines

SETTING = "expected a whole number from 1 to 1024"

# Large enough for several threads, and no multiple of a vector or of a task.
SIZE = 1_000_003


@pytest.fixture
def native():
    if "native" not in engines.available():
        pytest.skip("the native engine was not built")
    einkorn.set_engine("native")
    return engines.cpu()


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own; one that hangs fails the test."""
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def succeeds(script: str, **environment: str) -> str:
    done = run(script, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- the setting ----------------------------------------------------------------------------------


def test_set_and_get(native):
    for n in (1, 3, 1024, np.int64(2)):
        einkorn.set_num_threads(n)
        assert einkorn.get_num_threads() == native.get_num_threads() == n


@pytest.mark.parametrize("n", [0, -1, 1025, 2**40, 1.5, "2", None])
def test_bad_numbers_are_refused(native, n):
    einkorn.set_num_threads(2)
    with pytest.raises(einkorn.ArgumentError, match=f"n is {n!r}, {SETTING}"):
        einkorn.set_num_threads(n)
    with (
        pytest.raises(einkorn.ArgumentError, match=f"n is {n!r}, {SETTING}"),
        einkorn.num_threads(n),
    ):
        pass
    assert einkorn.get_num_threads() == 2


@pytest.mark.parametrize("n", [0, -1, 1025])
def test_the_module_itself_refuses_them(native, n):
    with pytest.raises(ValueError, match=f"number of threads is {n}, {SETTING}"):
        native.set_num_threads(n)


def test_context_manager(native):
    einkorn.set_num_threads(2)
    with einkorn.num_threads(5):
        assert einkorn.get_num_threads() == 5
        with einkorn.num_threads(1):
            assert einkorn.get_num_threads() == 1
        assert einkorn.get_num_threads() == 5
    with pytest.raises(KeyError), einkorn.num_threads(7):
        raise KeyError
    assert einkorn.get_num_threads() == 2

    @einkorn.num_threads(3)
    def inner() -> int:
        return einkorn.get_num_threads()

    assert [inner(), inner(), einkorn.get_num_threads()] == [3, 3, 2]


def test_the_setting_moves_with_the_engine(native):
    pytest.importorskip("numba")
    einkorn.set_num_threads(5)
    einkorn.set_engine("numba")
    assert einkorn.get_num_threads() == 5
    einkorn.set_num_threads(3)
    einkorn.set_engine("native")
    assert einkorn.get_num_threads() == 3


def test_environment_variable(engine):
    show = "import einkorn; print(einkorn.get_num_threads())"
    assert succeeds(show, EINKORN_ENGINE=engine, EINKORN_NUM_THREADS="3") == "3"
    unset = succeeds(show, EINKORN_ENGINE=engine, EINKORN_NUM_THREADS="")
    assert 1 <= int(unset) <= (os.cpu_count() or 1)
    for bad in ("abc", "0", "-2", "1.5", "1025", "2 threads", "99999999999999999999"):
        done = run(show, EINKORN_ENGINE=engine, EINKORN_NUM_THREADS=bad)
        assert done.returncode != 0
        assert f"ArgumentError: EINKORN_NUM_THREADS is '{bad}', {SETTING}" in done.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks on this system")
def test_default_follows_the_affinity_mask(native):
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import einkorn; print(einkorn.get_num_threads())"
    )
    assert succeeds(script, EINKORN_NUM_THREADS="", EINKORN_ENGINE="native") == "1"


# --- control groups, imitated in a directory ------------------------------------------------------

MOUNT_V2 = "30 23 0:26 {mounted} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw"
MOUNT_V1 = "31 23 0:27 {mounted} /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}"


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
@pytest.mark.parametrize(
    ("files", "cpus", "memory"),
    [
        pytest.param({}, 0, 0, id="none"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/user.slice/job",
                "proc/self/mountinfo": MOUNT_V2.format(mounted="/"),
                "sys/fs/cgroup/user.slice/job/cpu.max": "150000 100000",
                "sys/fs/cgroup/user.slice/job/memory.max": "max",
                "sys/fs/cgroup/user.slice/memory.max": "1073741824",
            },
            1.5,
            2**30,
            id="v2, the memory limit one level up",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/",
                "proc/self/mountinfo": MOUNT_V2.format(mounted="/"),
                "sys/fs/cgroup/cpu.max": "max 100000",
                "sys/fs/cgroup/memory.max": "4096",
            },
            0,
            4096,
            id="v2, a container's own namespace",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/docker/12\n3:cpuacct,cpu:/docker/12\n1:name=x:/",
                "proc/self/mountinfo": MOUNT_V1.format(mounted="/docker/12", name="cpu")
                + "\n"
                + MOUNT_V1.format(mounted="/docker/12", name="memory"),
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            },
            4,
            0,
            id="v1, mounted at the container's group, memory unlimited",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "3:cpu:/a/b\n4:memory:/a/b",
                "proc/self/mountinfo": MOUNT_V1.format(mounted="/", name="cpu")
                + "\n"
                + MOUNT_V1.format(mounted="/", name="memory"),
                "sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "5000",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "6000",
            },
            0.5,
            5000,
            id="v1, the tightest of all levels",
        ),
    ],
)
def test_cgroup_limits(native, tmp_path, files, cpus, memory):
    from einkorn import _native

    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert _native._cgroup_limits(f"{tmp_path}") == {"cpus": cpus, "memory": memory}


# --- work -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_for_any_number_of_threads(native, dtype, threads):
    x = np.random.default_rng(0).standard_normal(SIZE).astype(dtype)

    def compute() -> tuple[np.ndarray, np.ndarray]:
        y, total = native.empty(SIZE, dtype), native.empty(1, dtype)
        native.exp(y, x)
        native.reduce_sum(total, x, 1.0)
        return y, total

    with einkorn.num_threads(1):
        alone = compute()
    with einkorn.num_threads(threads):
        for _ in range(20):
            for a, b in zip(compute(), alone, strict=True):
                assert a.tobytes() == b.tobytes()


def test_workers_take_over_the_callers_denormal_mode():
    pytest.importorskip("torch")
    if "native" not in engines.available():
        pytest.skip("the native engine was not built")
    script = f"""
import numpy as np, torch, einkorn
from einkorn.engines import native
x = np.full({SIZE}, 1e-39, np.float32)
half, y = np.full_like(x, 0.5), np.empty_like(x)
bits = y.view(np.int32)  # comparisons of floats flush as well
for flush in (False, True, False):
    if not torch.set_flush_denormal(flush):
        print("unsupported"); break
    for _ in range(50):
        with einkorn.num_threads(4):
            bits.fill(7)
            native.multiply(y, x, half)
        assert (bits == bits[0]).all() and (bits[0] == 0) == flush, (flush, np.unique(bits))
else:
    print("same")
"""
    said = succeeds(script)
    if said == "unsupported":
        pytest.skip("this CPU cannot flush denormals")
    assert said == "same"


def test_several_python_threads_at_once(native):
    einkorn.set_num_threads(4)
    wrong: list[int] = []

    def work(k: int) -> None:
        x = np.full(SIZE, k, np.float32)
        for _ in range(50):
            y = native.empty(SIZE, np.float32)
            native.add(y, x, x)
            if not (y == 2 * k).all():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_set_num_threads_while_others_compute(native):
    x = np.arange(SIZE, dtype=np.float32)
    want = x + x
    done = threading.Event()

    def change() -> None:
        n = 0
        while not done.is_set():
            n = n % 6 + 1
            einkorn.set_num_threads(n)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(100):
            y = native.empty(SIZE, np.float32)
            native.add(y, x, x)
            assert np.array_equal(y, want)
    finally:
        done.set()
        changer.join()


# --- forks and exits: each in a process of its own ------------------------------------------------

COMPUTE = f"""
import os, signal, sys, threading, time
import numpy as np
import einkorn
from einkorn.engines import native
einkorn.set_num_threads(4)
x = np.arange({SIZE}, dtype=np.float32)
def compute():
    y = native.empty({SIZE}, np.float32)
    native.add(y, x, x)
    return bool((y == 2 * x).all())
def has_workers():
    tasks = "/proc/self/task"
    return not os.path.isdir(tasks) or len(os.listdir(tasks)) > 1
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@needs_fork
def test_fork_while_another_thread_computes(native):
    script = """
assert compute()
stop = threading.Event()
def loop():
    while not stop.is_set():
        assert compute()
busy = [threading.Thread(target=loop) for _ in range(2)]
for t in busy: t.start()
codes = []
for _ in range(40):
    time.sleep(0.002)
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        good = all(compute() for _ in range(5)) and einkorn.get_num_threads() == 4
        os._exit(0 if good and has_workers() else 1)
    codes.append(os.waitpid(child, 0)[1])
stop.set()
for t in busy: t.join()
assert compute()
print(set(codes))
"""
    assert succeeds(COMPUTE + script) == "{0}"


@needs_fork
def test_fork_of_a_fork(native):
    script = """
assert compute()
def descend(depth):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        good = compute() and has_workers() and (depth == 0 or descend(depth - 1) == 0)
        os._exit(0 if good else 1)
    return os.waitpid(child, 0)[1]
print(descend(3), compute())
"""
    assert succeeds(COMPUTE + script) == "0 True"


@needs_fork
def test_multiprocessing_with_fork(native):
    script = """
import multiprocessing
assert compute()
def task(n):
    return n if compute() else -1
with multiprocessing.get_context("fork").Pool(3) as pool:
    print(pool.map(task, range(12)) == list(range(12)), compute())
"""
    assert succeeds(COMPUTE + script) == "True True"


def test_exit_while_daemon_threads_compute(native):
    script = """
def loop():
    while True:
        compute()
for _ in range(3):
    threading.Thread(target=loop, daemon=True).start()
time.sleep(0.2)
print("leaving")
"""
    assert succeeds(COMPUTE + script) == "leaving"
