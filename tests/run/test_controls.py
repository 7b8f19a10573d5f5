"""What is known of the examples beforehand: where it comes from, and an evaluation that stops by it."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import judgebench as api
from judgebench import tasks
from judgebench.codec import read_json
from judgebench.data.resources import resource
from judgebench.errors import UsageError
from judgebench.models.scripted import ScriptedModel, last_message, playing, reply
from judgebench.records import Completion, Request
from judgebench.run.controls import controls
from tests.made_runs import write_run
from tests.processes import manifest_of

(SPEC,) = tasks.parse_specs("alpacaeval")
TASK, _ = tasks.load(SPEC)
WIN_RATE = TASK.means["win_rate"]
FILE = read_json(resource("leaderboards") / "verdicts" / "alpacaeval@2.json", dict[str, Any])


def test_published_is_the_mean_over_other_models() -> None:
    """Of AlpacaEval 2, item by item, without the model under test; an item that nobody has counts as the usual one."""
    ids = [*FILE["items"], "of mine"]
    known = controls(["published"], TASK, WIN_RATE, ids, "phi-2", {})
    others = [own["values"] for name, own in FILE["models"].items() if name != "phi-2"]
    first = [values[0] for values in others if values[0] is not None]
    assert len(others) < len(FILE["models"])
    assert known["000"] == (pytest.approx(np.mean(first)),)
    assert known["of mine"] == (pytest.approx(np.mean([values for name in FILE["items"] for values in known[name]])),)


def test_a_control_that_says_too_little_is_refused(tmp_path: Path) -> None:
    """A run of another task, one of other examples, and published verdicts where there are none."""
    other = write_run(tmp_path / "gsm8k", [1.0, 0.0]).path
    with pytest.raises(UsageError, match="and no alpacaeval"):
        controls([str(other)], TASK, WIN_RATE, FILE["items"], "m", {})
    (spec,) = tasks.parse_specs("gsm8k")
    gsm8k, _ = tasks.load(spec)
    metric = next(iter(gsm8k.means.values()))
    with pytest.raises(UsageError, match="too few"):
        controls([str(other)], gsm8k, metric, [str(number) for number in range(50)], "m", {})
    with pytest.raises(UsageError, match="no single verdicts"):
        controls(["published"], gsm8k, metric, ["0"], "m", {})


def judged(request: Request) -> Completion:
    """A verdict that depends on the question more than on the answer."""
    said = hashlib.sha256(last_message(request)[:300].encode()).digest()[0] % 10
    return reply("A", logprobs={"A": -0.1, "B": -2.4} if said < 5 else {"A": -2.4, "B": -0.1})


def test_an_evaluation_stops_by_what_was_known(tmp_path: Path) -> None:
    """What another run's verdicts were is kept in the run and in its protocol; ``score`` needs that run no more, and
    with another control it is another run. Without a rule to end by, a control is refused.
    """
    judge = ScriptedModel(judged, name="j", identity="j")
    models = [ScriptedModel(lambda request, n=n: f"{n}: {last_message(request)}", name=n, identity=n) for n in "ab"]
    common: dict[str, Any] = {"starter": True, "progress": False}
    out = tmp_path / "b"
    with playing(judge) as by, playing(models[0]) as first, playing(models[1]) as second:
        api.evaluate(first, "alpacaeval", judge=by, out=tmp_path / "a", **common)
        rule: dict[str, Any] = {"judge": by, "stop_when": "win_rate ci<16", "out": out, **common}
        run = api.evaluate(second, "alpacaeval", controls=tmp_path / "a", **rule)
        assert "control" in manifest_of(out).tasks["alpacaeval"].protocol["stop_when"]
        assert (out / "alpacaeval" / "known.json").exists()
        score = run.score("win_rate")
        assert score.low is not None
        assert "corrected by what was known of all 16" in str(score.method)
        (tmp_path / "a").rename(tmp_path / "elsewhere")
        assert api.score(out).scores == run.scores
        with pytest.raises(UsageError, match=r"stop_when\.control"):
            api.evaluate(second, "alpacaeval", **rule)
        with pytest.raises(UsageError, match="there is no --stop-when"):
            api.evaluate(second, "alpacaeval", judge=by, controls="published", out=tmp_path / "c", **common)
