"""Calls one function of an installed package on one answer, in the sandbox: ``python function_runner.py REPORT``.

It stands alone, because nothing of judgebench is there. What to call comes by standard input, what it said goes into
the file descriptor REPORT, with a word that only this process knows. Programs that the function starts have neither.
"""

import ctypes
import importlib
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
    said = {"word": given["word"], **_said(given["function"], given["answer"], given["item"])}
    os.write(report, b"\n" + json.dumps(said).encode() + b"\n")


def _said(name: str, answer: str, item: object) -> dict[str, object]:
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # noqa: BLE001 - whatever an import raises
        return {"absent": f"{type(error).__name__}: {error}"[:300]}
    try:
        value = function(answer, item)
    except BaseException as error:  # noqa: BLE001 - an answer may raise anything
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    if isinstance(value, bool | int | float) and 0 <= value <= 1:
        return {"value": float(value)}
    return {"error": f"it returned {value!r:.100}, and not true, false or a number from 0 to 1"}


if __name__ == "__main__":
    main()
