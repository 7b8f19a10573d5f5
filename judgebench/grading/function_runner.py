"""Calls one function of a package on one answer, in the sandbox: ``python function_runner.py REPORT``.

It stands alone, because nothing of judgebench is there. What to call comes by standard input, what it said goes into
the file descriptor REPORT, with a word that only this process knows. Programs that the function starts have neither.
"""

import ctypes
import importlib
import importlib.machinery
import importlib.util
import json
import os
import sys

NOT_DUMPABLE = (4, 0, 0, 0, 0)
"""Of ``prctl``: other processes of the same user see neither this one's memory nor its open files."""


def main() -> None:
    """Call the function, and report."""
    report = int(sys.argv[1])
    os.set_inheritable(report, False)
    given = json.load(sys.stdin.buffer)
    os.closerange(3, report)
    os.closerange(report + 1, 256)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    ctypes.CDLL(None).prctl(*NOT_DUMPABLE)
    sys.path += given["paths"]
    said = {"word": given["word"], **_said(given["function"], given["place"], given["answer"], given["item"])}
    os.write(report, b"\n" + json.dumps(said).encode() + b"\n")


def _said(name: str, place: str | None, answer: str, item: object) -> dict[str, object]:
    module, _, attribute = name.partition(":")
    try:
        if place is not None:
            _load(module.partition(".")[0], place)
        function = getattr(importlib.import_module(module), attribute)
    except BaseException as error:  # noqa: BLE001 - whatever an import raises
        return {"absent": f"{type(error).__name__}: {error}"[:300]}
    try:
        value = function(answer, item)
    except BaseException as error:  # noqa: BLE001 - an answer may raise anything
        what = f"{type(error).__name__}: {error}"[:300]
        return {"error": what} if _of_the_answer(error) else {"broken": f"raised {what}"}
    if isinstance(value, bool | int | float) and 0 <= value <= 1:
        return {"value": float(value)}
    return {"broken": f"returned {value!r:.100}, and not true, false or a number from 0 to 1"}


def _load(package: str, place: str) -> None:
    """Import the very package whose files were hashed, also where another one has its name."""
    folders = [place] if os.path.isdir(place) else None
    file = os.path.join(place, "__init__.py") if folders else place
    spec = importlib.util.spec_from_file_location(package, file, submodule_search_locations=folders)
    if spec is None or not os.path.exists(file):  # a folder without __init__.py
        spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
        spec.submodule_search_locations = folders
    sys.modules[package] = loaded = importlib.util.module_from_spec(spec)
    if spec.loader is not None:
        spec.loader.exec_module(loaded)


def _of_the_answer(error: BaseException) -> bool:
    """Whether the answer raised it, which the function ran: code that is made of a text has no file."""
    if isinstance(error, SyntaxError) and _no_file(error.filename or "<string>"):
        return True
    trace = error.__traceback__
    while trace is not None:
        if _no_file(trace.tb_frame.f_code.co_filename):
            return True
        trace = trace.tb_next
    return False


def _no_file(name: str) -> bool:
    return name.startswith("<") and not name.startswith("<frozen ")


if __name__ == "__main__":
    main()
