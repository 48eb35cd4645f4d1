"""``einkorn compare``: in what runs differ, what came of it, and their curves beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from einkorn._files import write_text
from einkorn.cli.outputs import new_file
from einkorn.cli.report import PAGE, describing, load_run, table, text_of
from einkorn.cli.svg import curves
from einkorn.errors import ArgumentError
from einkorn.training.history import History

__all__ = ["compare"]

_LEFT_OUT = ("out", "data_dir")


def compare(arguments: Any) -> int:
    """Compare as the command line says; the exit status."""
    if len(arguments.runs) < 2:
        raise ArgumentError(f"RUN: got {arguments.runs[0]} alone, expected two folders or more")
    page = None if arguments.html is None else new_file(arguments.html, "--html", arguments.overwrite)
    names = _short([Path(run) for run in arguments.runs])
    runs = [load_run(Path(run)) for run in arguments.runs]
    settings = _differences([record["used"] for record, _ in runs])
    figures = _figures(runs, [Path(run) for run in arguments.runs])
    heads = ["", *names]
    print(_lines([heads, *([name, *values] for name, values in settings.items())]))
    if not settings:
        print("the settings are the same")
    print()
    print(_lines([heads, *([name, *values] for name, values in figures.items())]))
    if page is not None:
        write_text(page, _page(heads, settings, figures, dict(zip(names, runs, strict=True))))
        print(f"\nwrote {page}")
    return 0 if all(record["status"] == "finished" for record, _ in runs) else 1


def _short(folders: list[Path]) -> list[str]:
    """Names that tell the folders apart: the last of each path, or the whole paths where two are alike."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _differences(all_settings: list[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The settings that are not the same in all runs."""
    keys = dict.fromkeys(key for settings in all_settings for key in settings if key not in _LEFT_OUT)
    found = {key: [text_of(settings.get(key)) for settings in all_settings] for key in keys}
    return {key: values for key, values in found.items() if len(set(values)) > 1}


def _figures(runs: list[tuple[dict[str, Any], History]], folders: list[Path]) -> dict[str, list[str]]:
    """What came of the runs; those of an epoch are the last epoch's."""
    columns = []
    for (record, _), folder in zip(runs, folders, strict=True):
        with describing(folder):
            columns.append(_column(record))
    keys = dict.fromkeys(key for column in columns for key in column)
    return {key: [column.get(key, "-") for column in columns] for key in keys}


def _column(record: Mapping[str, Any]) -> dict[str, str]:
    column = {"status": record["status"], "epochs": str(record["epochs_done"])}
    if "test" in record:
        column["test accuracy"] = f"{record['test']['accuracy']:.4f}"
        column["test loss"] = f"{record['test']['loss']:.4g}"
    if "best_epoch" in record:
        column["best val_accuracy"] = f"{record['best_val_accuracy']:.4f} (epoch {record['best_epoch']})"
    for name, value in record["final"].items():
        column[name] = "-" if value is None else f"{value:.4g}"
    column["parameters"] = f"{record['parameters']:,}"
    column["seconds"] = f"{sum(record['seconds'].values()):.1f}"
    return column


def _lines(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _page(
    heads: list[str],
    settings: Mapping[str, list[str]],
    figures: Mapping[str, list[str]],
    runs: Mapping[str, tuple[dict[str, Any], History]],
) -> str:
    panels = []
    for name in dict.fromkeys(key for _, history in runs.values() for key in history.history):
        lines = {
            run: [
                (epoch + 1, row[name])
                for epoch, row in zip(history.epoch, history.rows(), strict=True)
                if name in row
            ]
            for run, (_, history) in runs.items()
        }
        panels.append(curves(name, {run: points for run, points in lines.items() if points}))
    title = f"{len(runs)} runs"
    body = [
        f"<h1>{escape(title)}</h1>",
        "<h2>What came of them</h2>",
        table(heads, [(name, *values) for name, values in figures.items()]),
        "<h2>In what they differ</h2>",
        table(heads, [(name, *values) for name, values in settings.items()])
        if settings
        else '<p class="lead">The settings are the same.</p>',
        "<h2>Curves</h2>",
        f'<div class="panels">{"".join(panels)}</div>',
    ]
    return PAGE.format(title=escape(title), body="\n".join(body))
