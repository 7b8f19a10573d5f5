"""The notebooks of docs/notebooks: their cells are run, and what they printed is kept in them.

``python scripts/notebooks.py`` runs each in an empty folder and writes its outputs; ``tests/test_notebooks.py`` runs
them the same way and compares. What a reader sees, on a forge or in the manual, is therefore what the program prints.
Cells print rounded numbers, so that outputs do not depend on the machine. No notebook server is needed.
"""

import ast
import base64
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
Json = dict[str, Any]


def notebooks() -> list[Path]:
    """The notebooks, in the order of the manual."""
    return sorted(FOLDER.glob("*.ipynb"))


def executed(notebook: Json) -> Json:
    """The notebook with the outputs of its cells, which are run in order, in the current folder."""
    names: dict[str, object] = {}
    cells, count = [], 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            cell = {**cell, "execution_count": count, "outputs": list(_run("".join(cell["source"]), names, count))}
        cells.append(cell)
    return {**notebook, "cells": cells}


def in_an_empty_folder(path: Path) -> Json:
    """A notebook, run in a folder that holds nothing, with a cache of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        chdir(folder),
        patch.dict(os.environ, JUDGEBENCH_CACHE=str(Path(folder, "cache"))),
    ):
        return executed(json.loads(path.read_text()))


def _run(source: str, names: dict[str, object], count: int) -> Iterator[Json]:
    """What one cell prints, and what its last expression shows."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    shown, printed = None, io.StringIO()
    with redirect_stdout(printed):
        exec(compile(tree, "a cell", "exec"), names)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), "a cell", "eval"), names)
    if printed.getvalue():
        yield {"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(keepends=True)}
    if shown is not None:
        yield {"output_type": "execute_result", "execution_count": count, "metadata": {}, "data": _data(shown)}


def _data(shown: object) -> Json:
    """A figure as its drawing, anything else as text."""
    if hasattr(shown, "_repr_svg_"):
        return {"image/svg+xml": shown._repr_svg_().splitlines(keepends=True), "text/plain": ["a figure"]}
    return {"text/plain": repr(shown).splitlines(keepends=True)}


def page(path: Path) -> str:
    """A notebook as a page of the manual."""
    return "\n\n".join(part for cell in json.loads(path.read_text())["cells"] for part in _shown(cell)) + "\n"


def _shown(cell: Json) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {})
        if drawing := "".join(data.get("image/svg+xml", ())):
            yield f"![A figure](data:image/svg+xml;base64,{base64.b64encode(drawing.encode()).decode()}){{ .figure }}"
        else:
            yield f"```text\n{''.join(output.get('text') or data['text/plain']).rstrip()}\n```"


def main(paths: Iterable[Path]) -> None:
    """Run the notebooks and keep their outputs."""
    for path in paths:
        made = in_an_empty_folder(path)
        path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
        print(path.name, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or notebooks())
