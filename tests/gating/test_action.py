"""The composite action of this repository: what it asks of the gate, whatever its inputs hold."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from judgebench.gating.ci_reports import outputs
from tests.made_gates import check, gate_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def action() -> dict[str, Any]:
    """``action.yml``, read."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return found


def asked(action: dict[str, Any], folder: Path, **inputs: str) -> list[str]:
    """The arguments that the gate's step gives to judgebench, for these inputs."""
    step = action["runs"]["steps"][-1]
    program = folder / "judgebench"
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@" > arguments\n')
    program.chmod(0o755)
    values = {name: str(field.get("default", "")) for name, field in action["inputs"].items()} | inputs
    given = {}
    for name, value in step["env"].items():
        place = value.removeprefix("${{ inputs.").removesuffix(" }}")
        given[name] = values[place]
    environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", **given}
    # As the runner starts a bash step.
    script = folder / "step.sh"
    script.write_text(step["run"])
    subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)], check=True, cwd=folder, env=environment
    )
    return (folder / "arguments").read_text().split("\0")[:-1]


def test_inputs_are_arguments(action: dict[str, Any], tmp_path: Path) -> None:
    """Each input is one argument, also with blanks and quotes; what is not given is not passed on."""
    found = asked(action, tmp_path, baseline="runs/a b", candidate="c'; touch owned; '", **{"max-drop": "1.5"})
    assert found == [
        *("gate", "--baseline", "runs/a b", "--candidate", "c'; touch owned; '"),
        *("--on-inconclusive", "fail", "--junit", "judgebench-gate.xml", "--max-drop", "1.5", "--github"),
    ]
    assert not (tmp_path / "owned").exists()
    found = asked(action, tmp_path, baseline="a", candidate="b", policy="$(touch owned)")
    assert found[-3:] == ["--policy", "$(touch owned)", "--github"]
    found = asked(action, tmp_path, baseline="a", candidate="b", policy="p", tasks="my tasks/task.py")
    assert found[-3:] == ["--tasks", "my tasks/task.py", "--github"]
    assert not (tmp_path / "owned").exists()


def test_no_input_is_pasted_into_a_script(action: dict[str, Any]) -> None:
    """Expressions stand in ``env`` and ``outputs`` alone."""
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
    for output in action["outputs"].values():
        assert output["value"].startswith("${{ steps.gate.outputs.")


def test_outputs_exist(action: dict[str, Any]) -> None:
    """Every output is one that the gate writes."""
    written = {line.partition("=")[0] for line in outputs(gate_of(check()), 1).splitlines()}
    assert set(action["outputs"]) == written
