"""Claims: no call is sent twice by living processes, and what a killed one had under way is free and counted."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from judgebench.models import claims as claims_module
from judgebench.models.claims import Claims
from judgebench.models.wrappers import Account

ROOT = Path(claims_module.__file__).resolve().parents[1]
KEYS = [number.to_bytes(32, "big") for number in range(6)]
CLAIMER = """
import sys, time
from pathlib import Path
from judgebench.models.claims import Claims
claims = Claims(Path(sys.argv[1]), lambda key: False)
for number in range(int(sys.argv[2])):
    print(claims.claim(number.to_bytes(32, "big"), "run", 0.5), flush=True)
time.sleep(600)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the call store would lie."""
    return tmp_path / "calls.sqlite"


@pytest.fixture
def claims(store: Path) -> Iterator[Claims]:
    """Ours; nothing is bought."""
    ours = Claims(store, lambda key: False)
    yield ours
    ours.close()


def claimer(store: Path, count: int) -> "subprocess.Popen[str]":
    """A process that has claimed the first ``count`` keys, and stays."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIMER, str(store), str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(count)] == ["True\n"] * count
    return process


def end(process: "subprocess.Popen[str]") -> None:
    """``kill -9``."""
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_call_is_claimed_once(store: Path, claims: Claims) -> None:
    """A second owner has to wait for the first to give it up, or to close."""
    other = Claims(store, lambda key: False)
    assert claims.claim(KEYS[0])
    assert not other.claim(KEYS[0])
    assert other.free(KEYS[:2]) == [KEYS[1]]
    claims.release([KEYS[0]])
    assert other.claim(KEYS[0])
    assert not claims.claim(KEYS[0])
    other.close()
    assert claims.claim(KEYS[0])


def test_calls_are_claimed_together(store: Path, claims: Claims) -> None:
    """Of several calls those are ours that no living process has, be they new or a killed one's."""
    killed = claimer(store, 2)
    end(killed)
    living = Claims(store, lambda key: False)
    assert living.claim(KEYS[3])
    assert claims.claim_all([(key, 0.5) for key in KEYS], "mine") == {*KEYS} - {KEYS[3]}
    assert claims.lost("run") == (2, 1.0)
    assert living.claim_all([(key, 0.5) for key in KEYS], "other") == set()
    living.close()


def test_nobody_gives_up_the_claim_of_another(store: Path, claims: Claims) -> None:
    """Releasing is for one's own."""
    other = Claims(store, lambda key: False)
    assert claims.claim(KEYS[0])
    other.release([KEYS[0]])
    assert not other.claim(KEYS[0])
    other.close()


def test_a_living_process_keeps_its_claims(store: Path, claims: Claims) -> None:
    """However long it takes."""
    process = claimer(store, 3)
    try:
        assert not claims.claim(KEYS[0])
        assert claims.free(KEYS) == KEYS[3:]
        assert claims.lost("run") == (0, 0.0)
    finally:
        end(process)


def test_the_claims_of_a_killed_process_are_free_and_counted(store: Path, claims: Claims) -> None:
    """They may have been billed: each run is told how many, and what they cost at most, once."""
    end(claimer(store, 3))
    assert claims.free(KEYS) == KEYS
    assert claims.claim(KEYS[1], "other run", 7.0)
    assert claims.lost("run") == (3, 1.5)
    claims.sweep()
    assert claims.lost("run") == (3, 1.5)
    end(claimer(store, 1))
    later = Claims(store, lambda key: False)
    assert later.lost("run") == (4, 2.0)
    assert later.lost("other run") == (0, 0.0)
    later.close()


def test_what_was_bought_is_not_lost(store: Path) -> None:
    """A process may be killed between the commit of a call and the end of its claim."""
    end(claimer(store, 3))
    ours = Claims(store, lambda key: key == KEYS[1])
    assert ours.lost("run") == (2, 1.0)
    ours.close()


def test_no_owner_leaves_a_file_behind(store: Path, claims: Claims) -> None:
    """Neither one that closes nor one that was killed, once another looks."""
    end(claimer(store, 1))
    Claims(store, lambda key: False).close()
    assert len(list((store.parent / "calls-owners").iterdir())) == 1


def test_after_the_end_there_is_nothing_to_give_up(store: Path) -> None:
    """An iterator that is closed late does no harm."""
    ours = Claims(store, lambda key: False)
    ours.claim(KEYS[0])
    ours.close()
    ours.release([KEYS[0]])


def test_a_lost_call_of_a_model_that_runs_here_is_in_nobodys_books() -> None:
    """Nobody bills for it, so that no run is said to have lost money with it."""
    assert Account(run="run").loses == "run"
    assert Account(run="run", billed=False).loses == ""
