"""Keys of judgements as eight bytes each, so that those of a million fit in memory."""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def key_digest(key: tuple[str, str, int]) -> int:
    """Hash a key to eight bytes."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest())


def last_of_each(digests: Iterable[int]) -> NDArray[np.bool_]:
    """For each place whether the same digest comes at no later place.

    >>> last_of_each([7, 5, 7]).tolist()
    [False, True, True]
    """
    backwards = np.fromiter(digests, dtype=np.uint64)[::-1]
    latest = np.zeros(len(backwards), dtype=np.bool_)
    latest[np.unique(backwards, return_index=True)[1]] = True
    return latest[::-1]


class Digests:
    """A set of digests.

    >>> 5 in Digests([7, 5]), 6 in Digests([7, 5]), 5 in Digests([])
    (True, False, False)
    """

    def __init__(self, digests: Iterable[int]) -> None:
        self._sorted = array("Q", digests)
        if len(self._sorted):
            np.frombuffer(self._sorted, dtype=np.uint64).sort()

    def __contains__(self, digest: int) -> bool:
        place = bisect_left(self._sorted, digest)
        return place < len(self._sorted) and self._sorted[place] == digest
