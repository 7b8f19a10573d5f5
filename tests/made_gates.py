"""Results of a gate, made without runs."""

from judgebench.gating.verdicts import Check, Gate


def check(verdict: str = "FAIL", **fields: object) -> Check:
    """A check with the fields that matter here."""
    return Check(
        **{
            "task": "gsm8k@chat", "metric": "exact_match_strict", "unit": "percent", "tier": "block",
            "verdict": verdict, "paired": True, "starter": False, "max_drop": 1.0, "baseline_value": 70.0,
            "candidate_value": 60.0, "difference": -10.0, "low": -12.0, "high": -8.0, "level": 0.9, "p_pass": 1.0,
            "p_fail": 0.0, "p_fail_adjusted": 0.0, "n": 100, "n_to_decide": None, "n_if_equal": 500, "items": 100,
            "candidate_missing": 0, "baseline_missing": 0, "if_lost": None, "reason": None, **fields,
        }  # type: ignore[arg-type]
    )  # fmt: skip


def gate_of(*checks: Check, name: str = "candidate", notes: tuple[str, ...] = ()) -> Gate:
    """A gate's result."""
    return Gate(
        verdict="FAIL", baseline=f"baseline {name}", candidate=name, baseline_path=None, candidate_path="runs/x",
        checks=checks, notes=notes, alpha=0.05, adjust="holm",
    )  # fmt: skip
