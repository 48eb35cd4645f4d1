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
    sample = huge(20_000)
    tokenizer = et.train_bpe([sample], 1500)
    likely = et.train_unigram([sample], 300, split="whole")
    works: list[Callable[[str], object]] = [
        tokenizer.ids,
        lambda word: tokenizer.encode_batch([word, word, "short"]),
        lambda word: et.train_bpe([word], 1000),
        likely.ids,
    ]

    def heard(work: Callable[[str], object], word: str) -> int:
        signals: list[int] = []
        alarm(lambda: signals.append(1), 0.01, often=True)
        work(word)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return len(signals)

    def stopped(work: Callable[[str], object], word: str) -> None:
        alarm(stop, 0.01)
        work(word)

    with einkorn.num_threads(2):
        for work in works:
            # Signals that nobody hears are one when the call returns. A quick machine needs a longer word.
            assert any(heard(work, sample * times) > 2 for times in (50, 200, 800))
            with pytest.raises(KeyboardInterrupt):
                stopped(work, sample * 50)
    assert tokenizer.decode(tokenizer.ids(sample)) == sample


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
