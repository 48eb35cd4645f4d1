"""Signals that meet a command while it imports, and commands whose streams are closed."""

import subprocess
import sys
from pathlib import Path

import pytest

# Sends the signal when a module's import begins, as the import system's own code is at work.
AT_IMPORT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sent = []
def hook(event, arguments):
    if event == "import" and arguments[0] == {module!r} and not sent:
        sent.append(1)
        signal.raise_signal(signal.{signal})
sys.addaudithook(hook)
from einkorn.__main__ import console
sys.argv = ["einkorn", *{arguments!r}]
status = console()
assert sent, "the module was not imported"
sys.exit(status)
"""


def boosting(folder: Path) -> list[str]:
    """A command that would work for a while."""
    table = folder / "t.csv"
    table.write_text("a,b\n" + "".join(f"{i % 7},{i % 3}\n" for i in range(20000)))
    return ["boost", str(table), "--target", "b", "--n-estimators", "3000", "--out", str(folder / "run")]


def run_code(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("module", ["argparse", "einkorn.cli", "numpy", "einkorn.cli.boost_runs"])
def test_an_interrupt_during_an_import_ends_the_command(module: str, tmp_path: Path) -> None:
    arguments = boosting(tmp_path)
    done = run_code(AT_IMPORT.format(module=module, signal="SIGINT", arguments=arguments))
    assert done.returncode == 130
    assert done.stderr.endswith("interrupted\n")
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr


def test_a_signal_to_end_during_an_import_ends_the_command_too(tmp_path: Path) -> None:
    arguments = boosting(tmp_path)
    code = AT_IMPORT.format(module="einkorn.cli.boost_runs", signal="SIGTERM", arguments=arguments)
    done = run_code(code)
    assert (done.returncode, "Traceback" in done.stderr) == (143, False)


def test_an_interrupt_that_python_drops_comes_again() -> None:
    code = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from einkorn._interrupts import watch
watch()
class Ends:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
        time.sleep(0)
try:
    Ends()
    time.sleep(30)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = run_code(code)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_the_library_leaves_signals_alone() -> None:
    code = """
import signal, sys
before = signal.getsignal(signal.SIGINT), sys.unraisablehook
import einkorn, einkorn.training, einkorn.cli, einkorn.boosting, einkorn.__main__
assert before == (signal.getsignal(signal.SIGINT), sys.unraisablehook)
"""
    assert run_code(code).returncode == 0


def test_a_process_that_ignores_interrupts_goes_on() -> None:
    code = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from einkorn._interrupts import watch
watch()
signal.raise_signal(signal.SIGINT)
"""
    assert run_code(code).returncode == 0


CLOSED = [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(
    ("arguments", "status"), [("info", 0), ("--help", 0), ("boost no.csv --target b", 2), ("no", 2)]
)
def test_a_closed_stream_ends_no_command(closed: str, arguments: str, status: int) -> None:
    command = f"{sys.executable} -m einkorn {arguments} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert "Traceback" not in done.stdout + done.stderr
    if ">&-" in closed.replace("2>&-", ""):
        assert done.stdout == ""
    if "2>&-" in closed:
        assert done.stderr == ""
        assert "error" not in done.stdout
    elif status:
        assert "error" in done.stderr
