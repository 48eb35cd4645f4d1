"""``einkorn report``: a run on one page, in one file that needs no other."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from einkorn._files import write_text
from einkorn.cli.svg import bars, curves
from einkorn.cli.train_options import read_kept
from einkorn.errors import DataError
from einkorn.training.history import History

__all__ = ["PAGE", "describing", "load_run", "report", "table", "text_of", "write_report"]

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light; --ink: #1d2733; --soft: #5d6b7a; --line: #dde3ea; --ground: #f6f8fa; }}
* {{ box-sizing: border-box; }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 0; }}
main {{ max-width: 1060px; margin: 0 auto; padding: 28px 20px 60px; }}
h1 {{ font-size: 24px; margin: 0 0 4px; }}
h2 {{ font-size: 17px; margin: 34px 0 10px; }}
p.lead {{ color: var(--soft); margin: 0 0 18px; }}
.tiles, .panels, .wrong {{ display: flex; flex-wrap: wrap; gap: 14px; }}
.tile, .panel, .card {{ background: #fff; border: 1px solid var(--line); border-radius: 8px; margin: 0; }}
.tile {{ padding: 10px 16px; min-width: 128px; }}
.tile b {{ display: block; font-size: 21px; font-weight: 600; }}
.tile span, .wrong span {{ color: var(--soft); font-size: 13px; }}
.panel {{ padding: 10px; width: 100%; max-width: 500px; }}
.panel svg {{ width: 100%; height: auto; display: block; }}
svg text {{ font: 12px system-ui, sans-serif; fill: var(--soft); }}
svg text.title {{ font-weight: 600; font-size: 13px; fill: var(--ink); }}
svg .grid {{ stroke: var(--line); }}
.key span {{ margin-right: 14px; font-size: 13px; color: var(--soft); }}
.key i {{ display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; }}
.card {{ padding: 12px 16px; overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 4px 10px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }}
th {{ font-weight: 600; color: var(--soft); }}
td:first-child, th:first-child, .words td, .words th {{ text-align: left; }}
.matrix td, .matrix th {{ text-align: center; border: 1px solid #fff; min-width: 36px; padding: 4px 5px; }}
.wrong figure {{ margin: 0; width: 92px; text-align: center; }}
.wrong img {{ width: 84px; height: 84px; image-rendering: pixelated; border-radius: 4px; background: #000; }}
</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""
_STATUS = {
    "finished": "ran to its end",
    "interrupted": "was interrupted",
    "failed": "broke down",
    "running": "is running, or was killed",
}


def report(arguments: Any) -> None:
    """Write the page as the command line says."""
    print(f"wrote {write_report(Path(arguments.run))}")


def load_run(folder: Path) -> tuple[dict[str, Any], History]:
    """A run's record and its figures.

    Raises
    ------
    DataError
        The folder has none, or they are damaged.
    """
    record = read_kept(folder)
    if not record:
        raise DataError(f"{folder}: has no run.json, as einkorn train writes it")
    history = History.from_csv(folder / "history.csv")
    with describing(folder):
        _page(record, history)
        if not isinstance(record["epochs_done"], int) or not isinstance(record["final"], dict):
            raise TypeError("epochs_done or final")
    return record, history


@contextlib.contextmanager
def describing(folder: Path) -> Iterator[None]:
    """What a record lacks, or has of another kind, is named."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise DataError(f"{folder / 'run.json'}: does not describe a run: {error!r}") from error


def write_report(folder: Path) -> Path:
    """Write ``report.html`` from what else is in the folder; its path."""
    record, history = load_run(folder)
    path = folder / "report.html"
    write_text(path, _page(record, history))
    return path


# --- the page -------------------------------------------------------------------------------------


def _page(record: Mapping[str, Any], history: History) -> str:
    used = record["used"]
    title = f"{used['model']} on {used['data']}"
    stopped = f" {escape(record['stopped'])}." if record.get("stopped") else ""
    status = f"The run {_STATUS[record['status']]} after {record['epochs_done']} of {used['epochs']} epochs."
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="lead">{status}{stopped}</p>', _tiles(record)]
    if history.epoch:
        parts += ["<h2>Curves</h2>", f'<div class="panels">{"".join(_curves(history))}</div>']
    if record.get("confusion"):
        parts += ["<h2>Which class was taken for which</h2>", _matrix(record["classes"], record["confusion"])]
        parts += ["<h2>Wrong on the test images</h2>", _wrong(record)]
    if record.get("flow"):
        parts += ["<h2>Gradients and activations by layer</h2>", _flow(record["flow"])]
    seconds = {name: float(value) for name, value in record["seconds"].items()}
    parts += ["<h2>Time by part</h2>", f'<div class="panels">{bars("seconds", seconds, " s")}</div>']
    parts += ["<h2>Settings</h2>", table(("setting", "value"), _rows_of(used), words=True)]
    machine = {name: value for name, value in record["machine"].items() if name != "optional"}
    machine.update(record["machine"].get("optional", {}))
    parts += ["<h2>Machine</h2>", table(("", ""), _rows_of(machine), words=True)]
    return PAGE.format(title=escape(title), body="\n".join(parts))


def _tiles(record: Mapping[str, Any]) -> str:
    found = []
    if "test" in record:
        found.append((f"{record['test']['accuracy']:.2%}", "accuracy on the test images"))
        found.append((f"{record['test']['loss']:.4g}", "loss on the test images"))
    if "best_epoch" in record:
        found.append((f"{record['best_val_accuracy']:.2%}", f"best validation, epoch {record['best_epoch']}"))
    train, validation, test = record["rows"]
    found.append((f"{train:,}", f"images; {validation:,} to validate, {test:,} to test"))
    found.append((f"{record['parameters']:,}", "parameters"))
    found.append((f"{sum(record['seconds'].values()):.1f} s", "in all"))
    tiles = "".join(f'<div class="tile"><b>{big}</b><span>{small}</span></div>' for big, small in found)
    return f'<div class="tiles">{tiles}</div>'


def _curves(history: History) -> Iterable[str]:
    rows = list(zip(history.epoch, history.rows(), strict=True))
    for name in history.history:
        if name.startswith("val_") and name.removeprefix("val_") in history.history:
            continue
        keys = ((name, "training"), (f"val_{name}", "validation"))
        lines = {
            label: [(epoch + 1, figures[key]) for epoch, figures in rows if key in figures]
            for key, label in keys
        }
        drawn = {label: points for label, points in lines.items() if points}
        of_neither = name == "learning_rate" and "training" in drawn
        yield curves(name, {"": drawn["training"]} if of_neither else drawn)


def _matrix(classes: list[str], matrix: list[list[int]]) -> str:
    lines = ["".join(["<th></th>", *(f"<th>{escape(name)}</th>" for name in classes), "<th>right</th>"])]
    for i, counts in enumerate(matrix):
        total = sum(counts)
        cells = []
        for j, count in enumerate(counts):
            share = count / total if total else 0.0
            colour = (56, 103, 176) if i == j else (181, 56, 63)
            shade = (
                f"rgba({colour[0]},{colour[1]},{colour[2]},{min(1.0, share if i == j else 6 * share):.2f})"
            )
            ink = "#fff" if i == j and share > 0.5 else "inherit"
            cells.append(f'<td style="background:{shade};color:{ink}">{count or ""}</td>')
        right = f"<td>{counts[i] / total:.1%}</td>" if total else "<td></td>"
        lines.append(f"<th>{escape(classes[i])}</th>{''.join(cells)}{right}")
    rows = "".join(f"<tr>{line}</tr>" for line in lines)
    note = '<p class="lead">A row for each true class, a column for each that it was taken for.</p>'
    return f'<div class="card">{note}<table class="matrix">{rows}</table></div>'


def _wrong(record: Mapping[str, Any]) -> str:
    test, examples = record["test"], record["wrong"]
    note = f"{test['wrong']:,} of {test['rows']:,}"
    if len(examples) < test["wrong"]:
        note += f"; the {len(examples)} of which the model was surest"
    cards = "".join(
        f'<figure><img alt="{escape(one["true"])}" src="data:image/png;base64,{escape(one["image"])}">'
        f"<div>{escape(one['true'])} &rarr; {escape(one['taken_for'])}</div>"
        f"<span>{one['probability']:.0%} sure</span></figure>"
        for one in examples
    )
    return f'<p class="lead">{note}.</p><div class="wrong">{cards}</div>'


def _flow(layers: list[Mapping[str, Any]]) -> str:
    own = [layer for layer in layers if layer["gradient_mean"] is not None]
    lines = {
        label: [(float(i + 1), float(layer[key] or 0.0)) for i, layer in enumerate(own)]
        for key, label in (("gradient_max", "largest"), ("gradient_mean", "mean"))
    }
    heads = ("layer", "kind", "mean |gradient|", "largest", "out mean", "out std", "zeros", "dead units")
    rows = [
        (
            layer["name"],
            layer["kind"],
            *(
                _number(layer[k])
                for k in ("gradient_mean", "gradient_max", "activation_mean", "activation_std")
            ),
            "" if layer["zero_share"] is None else f"{layer['zero_share']:.1%}",
            f"{layer['dead_units']} of {layer['units']}" if layer["units"] else "",
        )
        for layer in layers
    ]
    picture = curves("absolute gradient", lines, "layer with parameters, from the input on", log=True)
    columns = [column for column in zip(heads, *rows, strict=True) if any(column[1:])]
    heads, *rows = zip(*columns, strict=True)
    return f'<div class="panels">{picture}</div><br>{table(heads, rows)}'


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.3g}"


def _rows_of(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, text_of(value)) for name, value in values.items()]


def text_of(value: Any) -> str:
    if value is None or value in ([], {}):
        return "-"
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], words: bool = False) -> str:
    """A table; of numbers, which stand on the right, or of words."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>" for cells in rows)
    kind = ' class="words"' if words else ""
    return f'<div class="card"><table{kind}><tr>{head}</tr>{body}</table></div>'
