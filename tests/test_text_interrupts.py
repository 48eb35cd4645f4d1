"""Ctrl-C within one long piece of work of the compiled tokenisers."""

import signal
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import einkorn
import einkorn.text as et
from einkorn.text import _engine, _plain

compiled = pytest.mark.skipif(_engine.form is _plain, reason="the plain form is Python, which hears signals")


@pytest.fixture
def alarm() -> Iterator[Callable[..., None]]:
    """``alarm(handler, seconds)`` calls the handler after so long, and again where ``often``."""
    before = signal.getsignal(signal.SIGALRM)

    def start(handler: Callable[[], None], seconds: float, often: bool = False) -> None:
        signal.signal(signal.SIGALRM, lambda *_: handler())
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds * often)

    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def stop() -> None:
    raise KeyboardInterrupt


def huge(characters: int) -> str:
    return "".join(np.random.default_rng(0).choice(list("abcdefgh"), characters))


@compiled
def test_work_on_one_huge_word_hears_signals(alarm: Callable[..., None]) -> None:
    word = huge(3_000_000)
    tokenizer = et.train_bpe([word[:20_000]], 1500)
    likely = et.train_unigram([word[:20_000]], 300, split="whole")
    works: list[Callable[[], object]] = [
        lambda: tokenizer.ids(word),
        lambda: tokenizer.encode_batch([word, word, "short"]),
        lambda: et.train_bpe([word], 2000),
        lambda: likely.ids(word),
    ]
    with einkorn.num_threads(2):
        for work in works:
            heard: list[int] = []
            alarm(lambda heard=heard: heard.append(1), 0.01, often=True)
            work()
            signal.setitimer(signal.ITIMER_REAL, 0)
            # Signals that nobody listens to are one when the call returns.
            assert len(heard) > 2

            def stopped(work: Callable[[], object] = work) -> None:
                alarm(stop, 0.01)
                work()

            with pytest.raises(KeyboardInterrupt):
                stopped()
    assert tokenizer.decode(tokenizer.ids(word[:1000])) == word[:1000]


@compiled
def test_work_in_another_thread_goes_on(alarm: Callable[..., None]) -> None:
    word = huge(400_000)
    tokenizer = et.train_bpe([word[:20_000]], 1500)
    expected, found = tokenizer.ids(word), []
    worker = threading.Thread(target=lambda: found.append(tokenizer.ids(word)))
    worker.start()

    def waiting() -> None:
        alarm(stop, 0.02)
        while True:
            time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        waiting()
    worker.join()
    assert found == [expected]
