"""Ctrl-C inside one long kernel: it stops between tasks, raises, and what comes after it is right."""

import os
import signal
import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import ops

native = pytest.importorskip("einkorn.engines.native")

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals: no pthread_kill here")


class StoppedError(Exception):
    pass


@pytest.fixture
def handler():
    """Sets a handler of SIGUSR1 and puts the one before it back."""
    before = signal.getsignal(signal.SIGUSR1)

    def install(function):
        signal.signal(signal.SIGUSR1, function)

    yield install
    signal.signal(signal.SIGUSR1, before)


def raises(*_):
    raise StoppedError


def interrupt_when(begun):
    """A thread that sends the signal as soon as the kernel has begun to write."""

    def wait():
        while not begun():
            pass
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def multiplied(out, a, thread):
    native.matmul(out, a, a, None, 1.0, 0.0, 0)
    thread.join()  # the signal is heard here at the latest


def many_times(call, timer):
    timer.start()
    for _ in range(1000):
        call()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_product_stops_between_its_tasks(handler, threads):
    handler(raises)
    with einkorn.num_threads(threads):
        # Until the signal comes when tasks are left: on a machine that is busy a long product is needed.
        for n in (2600, 2600, 2600, 3600, 5000, 7000, 10000):
            a = np.ones((n, n), np.float32)
            out = np.full((n, n), np.nan, np.float32)
            thread = interrupt_when(lambda out=out: not np.isnan(out[0, 0]))
            with pytest.raises(StoppedError):
                multiplied(out, a, thread)
            thread.join()
            if np.isnan(out).any():
                break
        else:
            pytest.fail("the product was always finished first")
        again = np.empty((300, 300), np.float32)
        small = a[:300, :300].copy()
        native.matmul(again, small, small, None, 1.0, 0.0, 0)
    assert_array_equal(again, np.full((300, 300), 300))


def test_a_handler_that_raises_nothing_does_not_stop_it(handler):
    heard = []
    small = np.full((3, 3), 2.0, np.float32)

    def listens(*_):
        heard.append(np.asarray(ops.matmul(small, small))[0, 0])  # a kernel within the kernel

    handler(listens)
    n = 2600
    a = np.ones((n, n), np.float32)
    out = np.full((n, n), np.nan, np.float32)
    thread = interrupt_when(lambda: not np.isnan(out[0, 0]))
    native.matmul(out, a, a, None, 1.0, 0.0, 0)
    thread.join()
    assert heard == [12.0]
    assert (out == n).all()


LONG = {
    "lstm": lambda: ops.lstm(*_lstm(256, 64, 256)),
    "conv2d": lambda: ops.conv2d(np.ones((16, 64, 96, 96), np.float32), np.ones((64, 64, 3, 3), np.float32)),
    "sort": lambda: ops.sort(np.arange(2_000_000, dtype=np.float32)[::-1].copy()),
    "exp": lambda: [ops.exp(np.zeros(500_000, np.float32)) for _ in range(200)],
}


def _lstm(steps, batch, hidden):
    weight = np.zeros((4 * hidden, hidden), np.float32)
    return np.zeros((steps, batch, hidden), np.float32), weight, weight


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("threads", [1, 2])
def test_what_comes_after_a_stopped_kernel_is_right(handler, name, threads):
    handler(raises)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 300)).astype(np.float32)
    with einkorn.num_threads(threads):
        wanted = ops.softmax(x, 1), ops.matmul(x, x.T), ops.sum(x, 0)
        for delay in (0.0, 0.005, 0.05):
            timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGUSR1))
            with pytest.raises(StoppedError):
                many_times(LONG[name], timer)
            timer.join()
            for before, after in zip(
                wanted, (ops.softmax(x, 1), ops.matmul(x, x.T), ops.sum(x, 0)), strict=True
            ):
                assert_array_equal(after, before)
    assert_allclose(wanted[1], x @ x.T, 1e-3, 1e-3)
