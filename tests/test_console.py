"""What is shown on terminals, in pipes, in notebooks, and on streams of few letters."""

import io
import os
import pty
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from types import SimpleNamespace

import pytest

from einkorn import _console

TRAIN = """
import numpy as np
from einkorn import models

x = np.random.default_rng(0).standard_normal((300, 4)).astype(np.float32)
y = (x[:, 0] > 0).astype(int)
model = models.MLP([4, 8, 2])
model.compile("adam", "cross_entropy", metrics=["accuracy"])
model.fit(x, y, epochs=3, batch_size=4, validation_split=0.2)
"""
BOOST = """
import numpy as np
from einkorn.boosting import GradientBoostingRegressor

x = np.random.default_rng(0).standard_normal((300, 4))
GradientBoostingRegressor(n_estimators=30, verbose=1).fit(x, x[:, 0])
"""


def in_terminal(program: str, columns: int) -> str:
    """What a program writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        pieces = []
        try:
            while piece := os.read(ours, 65536):
                pieces.append(piece)
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    return b"".join(pieces).decode()


def on_screen(text: str) -> list[str]:
    """The lines that stay: what a carriage return goes back over is gone."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.replace("\x1b[A", "").split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


@pytest.mark.parametrize("columns", [40, 80, 120, 0])
def test_no_figure_is_cut_off_on_a_terminal(columns: int) -> None:
    lines = on_screen(in_terminal(TRAIN, columns))
    assert columns == 0 or max(map(len, lines)) < columns
    text = " ".join(lines)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert text.count(f" {name}=") == 3
    assert [line.split(" - ")[0] for line in lines if "Epoch" in line] == [f"Epoch {i}/3" for i in (1, 2, 3)]


def piped(program: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_a_plain_line_an_epoch_in_a_pipe() -> None:
    out, err = piped(TRAIN)
    assert out == ""
    lines = err.splitlines()
    assert [line.split(" - ")[0] for line in lines] == [f"Epoch {i}/3" for i in (1, 2, 3)]
    assert all("val_accuracy=" in line for line in lines)
    assert err.replace("\n", "").isprintable()


def test_rounds_in_a_pipe_and_on_a_terminal() -> None:
    pytest.importorskip("sklearn")
    lines = piped(BOOST)[1].splitlines()
    assert [line.split(" - ")[0] for line in lines] == [f"round {i}/30" for i in range(3, 31, 3)]
    lines = [line for line in on_screen(in_terminal(BOOST, 80)) if line]
    assert [line.split(" - ")[0] for line in lines] == ["round 30/30"]


SAVE = TRAIN.replace("from einkorn import models", "from einkorn import models, training").replace(
    "validation_split=0.2",
    "callbacks=[training.ModelCheckpoint({!r}, 'loss', verbose=1, save_freq=40)]",
)


def test_lines_do_not_run_into_bars(tmp_path) -> None:
    text = in_terminal(SAVE.format(str(tmp_path / "a.safetensors")), 200)
    lines = [line for line in on_screen(text) if line]
    assert len(lines) > 3
    assert all(line.startswith("Epoch ") and "%" not in line for line in lines), lines


def test_a_terminal_without_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setenv("TERM", "xterm")
    assert _console.watched()
    monkeypatch.setenv("TERM", "dumb")
    assert not _console.watched()
    monkeypatch.setattr(sys, "stderr", None)
    assert not _console.watched()
    _console.say("nobody hears it")


class Kernel:
    """As an IPython kernel looks from inside."""

    config = {"IPKernelApp": {}}  # noqa: RUF012


def test_bars_in_notebooks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A widget where there are widgets, else a bar of text on standard output, which is not red."""
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=Kernel))
    widgets = []
    notebook = SimpleNamespace(tqdm=lambda **options: widgets.append(options) or "a widget")
    monkeypatch.setitem(sys.modules, "tqdm.notebook", notebook)
    monkeypatch.setitem(sys.modules, "ipywidgets", SimpleNamespace(__spec__=object()))
    assert _console.open_bar(5, "Epoch 1/2", "batch") == "a widget"
    assert widgets[0]["total"] == 5
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    bar = _console.Bar(True, 4, "round")
    for done in (1, 2, 3, 4):
        bar.show(done, f"loss={1 / done:.2f}")
    bar.close()
    captured = capsys.readouterr()
    assert captured.err == ""
    assert on_screen(captured.out)[-2] == "round 4/4 - loss=0.25"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8"])
def test_printable(encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    shown = _console.printable("größe ─ ≤ … ☃ \udcff", stream)
    assert shown.encode(encoding)
    assert _console.printable("plain", stream) == "plain"
    if encoding == "ascii":
        assert shown == r"gr\xf6\xdfe - <= ... \u2603 \udcff"


SUMMARY = """
from einkorn import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.größe = nn.Linear(2, 3)

    def forward(self, x):
        return self.größe(x)

Model().summary((2,))
"""


def test_a_summary_on_a_stream_of_few_letters() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LANG": "C"}
    done = subprocess.run([sys.executable, "-c", SUMMARY], capture_output=True, env=environment, check=True)
    assert rb"gr\xf6\xdfe (Linear)" in done.stdout
    assert b"-----" in done.stdout


def test_pictures_in_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Axes of a new figure are pyplot's there, which notebooks show; a figure is its owner's."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    from einkorn import _extras

    before = pyplot.get_fignums()
    _extras.axes_for(None, "a test")
    assert pyplot.get_fignums() == before
    monkeypatch.setattr(_extras, "in_notebook", lambda: True)
    axes = _extras.axes_for(None, "a test")
    assert pyplot.get_fignums() == [*before, axes.figure.number]
    pyplot.close(axes.figure)
    _extras.figure_for("a test")
    assert pyplot.get_fignums() == before
