"""Verifiers for the tests of the pool: good ones, and such as hang, grow, crash or lie.

They run in another process, so they lie in a module of their own.
"""

import os
import time
from typing import Any

from judgebench.records import Verdict


def equal(answer: str, gold: str) -> Verdict:
    """An ordinary rule."""
    return Verdict(value=float(answer == gold), label="equal" if answer == gold else "unequal")


def in_table(table: dict[str, float], answer: str) -> Verdict:
    """A rule with shared data."""
    return Verdict(value=table.get(answer, 0.0), details={"pid": os.getpid()})


def behave(how: str, value: float = 1.0) -> Verdict:
    """Do what the answer makes the rule do."""
    held: list[Any] = []
    if how == "spin":
        while True:
            pass
    if how == "spin in C":  # the interpreter gets no say until this is done, in some hours
        pow(3, 10**9)
    if how == "sleep":
        time.sleep(3600)
    if how == "grow":
        while True:
            held.append(bytearray(64 * 2**20))
    if how == "exit":
        os._exit(3)
    if how == "abort":
        os.abort()
    if how == "recurse":
        return behave(how)
    if how == "raise":
        raise TypeError("of the answer \x1b[31m")
    if how == "raise past Exception":
        raise GeneratorExit
    if how == "print":
        print("noise", flush=True)
        os.write(2, b"more noise")
    return Verdict(value=value, label=how)


def once_slow(marker: str) -> Verdict:
    """Hangs the first time, as on a machine that was too busy; then leaves a mark."""
    if not os.path.exists(marker):
        with open(marker, "w"):
            pass
        while True:
            pass
    return Verdict(value=1.0)
