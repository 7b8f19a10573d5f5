"""Samples in ten parts by the length of the answer."""

from collections.abc import Sequence

TENTHS = 10


def tenths(lengths: Sequence[int]) -> list[int]:
    """The tenth by length in which each sample is, from 0, the shortest; samples of one length are in one tenth."""
    ordered = sorted(lengths)
    first = {length: place for place, length in reversed(list(enumerate(ordered)))}
    return [TENTHS * first[length] // max(1, len(lengths)) for length in lengths]
