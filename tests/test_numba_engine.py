"""The Numba engine: what only it needs. Results are checked with the other engines'."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("numba")

from einkorn.engines import numba as engine
from einkorn.engines.numba import _compile, _threads
from einkorn.engines.numba.random import philox


def run(script: str, **environment: str) -> str:
    """Run a script in a process of its own; one that hangs or crashes fails the test."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def threads():
    before = engine.get_num_threads()
    yield engine.set_num_threads
    engine.set_num_threads(before)


def numbers(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(shape).astype(dtype)


def results() -> list[np.ndarray]:
    """Outputs of kernels of every kind of parallel loop, large enough for several tasks."""
    x, y = numbers(1_000_003), numbers(300, 1001)
    images, weights = numbers(6, 8, 40, 40), numbers(16, 8, 3, 3)
    out = {
        name: np.empty(shape, np.float32)
        for name, shape in {
            "gelu": x.shape,
            "transposed": y.shape[::-1],
            "sum": (1,),
            "row sums": (300, 1),
            "column sums": (1, 1001),
            "tall": (1, 10),
            "softmax": (300, 1001, 1),
            "conv": (6, 16, 40, 40),
            "input gradient": images.shape,
            "weight gradient": weights.shape,
            "pool": (6, 8, 20, 20),
            "normal": x.shape,
            "mse": (),
        }.items()
    }
    engine.gelu(out["gelu"], x)
    engine.exp(out["transposed"], y.T)
    engine.reduce_sum(out["sum"], x, 1.0)
    engine.reduce_sum(out["row sums"], y, 1.0)
    engine.reduce_sum(out["column sums"], y, 1.0)
    engine.reduce_sum(out["tall"], x[:1_000_000].reshape(-1, 10), 1.0)
    engine.softmax_forward(out["softmax"], y[:, :, None])
    window = (1, 1, 1, 1, 1, 1, 1)
    engine.conv2d_forward(out["conv"], images, weights, None, *window, 0)
    engine.conv2d_input_grad(out["input gradient"], out["conv"], weights, *window)
    engine.conv2d_weight_grad(out["weight gradient"], None, images, out["conv"], *window)
    engine.avg_pool2d_forward(out["pool"], images, 2, 2, 2, 2, 0, 0, False)
    engine.normal(out["normal"], 5, 0, 0.0, 1.0)
    engine.mse_forward(out["mse"], x, out["normal"], 1.0)
    return list(out.values())


def test_same_bits_for_any_number_of_threads(threads):
    threads(1)
    expected = results()
    for n in (2, 3, 8):
        threads(n)
        for got, want in zip(results(), expected, strict=True):
            np.testing.assert_array_equal(got, want)


def test_several_python_threads_at_once(threads):
    threads(3)
    expected = results()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(3):
                for got, want in zip(results(), expected, strict=True):
                    np.testing.assert_array_equal(got, want)
        except BaseException as error:
            failures.append(error)

    callers = [threading.Thread(target=work) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not failures


def test_first_calls_from_several_python_threads_compile_once():
    @_compile.Loop
    def double(out: _compile.Out1, x: _compile.In1) -> None:
        for i in range(out.shape[0]):
            out[i] = 2 * x[i]

    x = numbers(100)
    outs = [np.empty_like(x) for _ in range(8)]
    callers = [threading.Thread(target=double, args=(out, x)) for out in outs]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all(np.array_equal(out, 2 * x) for out in outs)
    assert len(double._compiled) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_child_of_a_fork_has_threads_of_its_own():
    assert (
        run("""
import os
import numpy as np
from einkorn.engines import numba as engine
from einkorn.engines.numba import _threads
engine.set_num_threads(3)
x = np.ones(1_000_000, np.float32)
total = np.empty(1, np.float32)
engine.reduce_sum(total, x, 1.0)
assert _threads._workers.count == 2
child = os.fork()
if child == 0:
    total[:] = 0
    idle = _threads._workers.count == 0
    engine.reduce_sum(total, x, 1.0)
    os._exit(0 if idle and _threads._workers.count == 2 and total[0] == 1e6 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("done")
""")
        == "done"
    )


def test_caller_gets_done_without_workers(threads, monkeypatch):
    def no_threads(*_: object, **__: object) -> threading.Thread:
        raise RuntimeError("can't start new thread")

    threads(4)
    monkeypatch.setattr(_threads, "_workers", _threads._Workers())
    monkeypatch.setattr(_threads.threading, "Thread", no_threads)
    seen: list[tuple[int, int]] = []
    _threads.parallel_for(1000, 1e6, lambda start, stop: seen.append((start, stop)))
    assert [start for start, _ in seen] == [0, *(stop for _, stop in seen[:-1])]
    assert seen[-1][1] == 1000


def test_kernels_run_while_the_interpreter_exits():
    script = """
import atexit
import numpy as np
from einkorn.engines import numba as engine
engine.set_num_threads(3)
x = np.ones(1_000_000, np.float32)
total = np.empty(1, np.float32)

@atexit.register
def last():
    engine.reduce_sum(total, x, 1.0)
    print(int(total[0]))
"""
    assert run(script) == "1000000"


@pytest.mark.parametrize("failing", [0, 1, 63])
def test_errors_in_tasks_reach_the_caller(threads, failing):
    threads(3)

    def body(start: int, stop: int) -> None:
        if start <= failing < stop:
            raise KeyError(failing)

    with pytest.raises(KeyError):
        _threads.parallel_for(64, 1e6, body)


@pytest.mark.parametrize("count", [0, 1, 5, 63, 64, 65, 1000])
@pytest.mark.parametrize("cost", [0.1, 1e5, 1e9])
@pytest.mark.parametrize("grain", [1, 7])
def test_tasks_cover_the_range_once(threads, count, cost, grain):
    slices = []
    for n in (1, 4):
        threads(n)
        taken: list[tuple[int, int]] = []
        _threads.parallel_for(count, cost, lambda *task: taken.append(task), grain)  # noqa: B023
        slices.append(sorted(taken))
        covered = [i for start, stop in slices[-1] for i in range(start, stop)]
        assert covered == list(range(count))
        assert all(start % grain == 0 for start, _ in taken)
    assert slices[0] == slices[1]


@pytest.mark.parametrize("n", [0, -1, 1025])
def test_bad_numbers_of_threads_are_refused(n):
    with pytest.raises(ValueError, match=f"number of threads is {n}"):
        engine.set_num_threads(n)


def test_nowhere_to_keep_compiled_loops(monkeypatch):
    compiled_without = []

    def njit(*signature: object, cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        compiled_without.append(signature)
        return numba_njit(*signature, **options)

    numba_njit = _compile.njit
    monkeypatch.setattr(_compile, "njit", njit)

    @_compile.Loop
    def triple(out: _compile.Out1, x: _compile.In1) -> None:
        for i in range(out.shape[0]):
            out[i] = 3 * x[i]

    x, out = numbers(10), np.empty(10, np.float32)
    triple(out, x)
    np.testing.assert_array_equal(out, 3 * x)
    assert len(compiled_without) == 1


def test_a_loop_is_compiled_anew_when_what_it_calls_from_another_file_changes(tmp_path):
    helper = "from einkorn.engines.numba._compile import inline\n\n@inline\ndef change(x):\n    return x {}\n"
    (tmp_path / "loops.py").write_text(
        "from einkorn.engines.numba._compile import Int, Loop, Out1, inline\n"
        "from helper import change\n\n"
        "@inline\ndef twice(x):\n    return change(change(x))\n\n"
        "@Loop\ndef fill(n: Int, out: Out1) -> None:\n    for i in range(n):\n        out[i] = twice(i)\n"
    )
    script = (
        "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np, loops\nout = np.zeros(3, np.float32)\nloops.fill(3, out)\nprint(*out)"
    ).replace("sys.argv[1]", repr(str(tmp_path)))
    for end, expected in (("+ 1", "2.0 3.0 4.0"), ("+ 1 # again", "2.0 3.0 4.0"), ("* 3", "0.0 9.0 18.0")):
        (tmp_path / "helper.py").write_text(helper.format(end))
        assert run(script, NUMBA_CACHE_DIR=str(tmp_path / "kept")) == expected
    kept = [file.name for file in (tmp_path / "kept").rglob("*.nbi")]
    assert len(kept) == 3, kept


def test_mixed_and_foreign_dtypes_are_refused():
    x = numbers(10)
    with pytest.raises(TypeError):
        engine.add(np.empty(10, np.float32), x, x.astype(np.float64))
    with pytest.raises(TypeError):
        engine.exp(np.empty(10, np.int32), np.ones(10, np.int32))
    with pytest.raises(ValueError, match="one shape"):
        engine.exp(np.empty(10, np.float32), x[:9])


def test_read_only_output_is_refused():
    out = np.zeros(10, np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        engine.exp(out, numbers(10))
    assert not out.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_more_axes_than_the_loops_have(dtype):
    x = numbers(2, 3, 2, 3, 2, 3, 2, 3, dtype=dtype).transpose(7, 0, 5, 2, 3, 4, 1, 6)[::-1, :, ::2]
    out = np.empty(x.shape[::-1], dtype).T
    engine.negative(out, x)
    np.testing.assert_array_equal(out, -x)
    total = np.empty((1, 2, 1, 2, 3, 1, 3, 1), dtype)
    engine.reduce_sum(total, x, 1.0)
    expected = x.astype(np.float64).sum(axis=(0, 2, 5, 7), keepdims=True)
    np.testing.assert_allclose(total, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_known_answers(counter, key, expected):
    """The vectors that Random123 ships (kat_vectors, philox4x32, 10 rounds)."""
    words = philox(*[np.uint64(v) for v in (*counter, *key)])
    assert " ".join(f"{word:08x}" for word in words) == expected


def test_importing_einkorn_does_not_import_numba():
    assert run("import sys, einkorn, einkorn.engines; print('numba' in sys.modules)") == "False"


def test_without_numba_the_error_says_what_to_install():
    script = """
import sys
sys.modules["numba"] = None
from einkorn.errors import EngineError
try:
    import einkorn.engines.numba
except EngineError as error:
    print(error)
"""
    assert "pip install 'einkorn[numba]'" in run(script)
