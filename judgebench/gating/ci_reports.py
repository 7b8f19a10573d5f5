"""A gate's verdicts for CI systems: JUnit XML, GitHub's workflow commands and outputs, and a sentence for each check.

JUnit follows the schema of Ant's JUnit task, the strictest in use, which that of Jenkins' xUnit plugin includes:
https://github.com/windyroad/JUnit-Schema, jenkinsci/xunit-plugin ``junit-10.xsd``. Workflow commands are those of
https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Literal
from xml.etree import ElementTree

from judgebench.display import figure, interval, printable
from judgebench.gating.verdicts import Check, Gate, OnInconclusive, Sequential

Outcome = Literal["passed", "failed", "skipped"]

_NAME_CHARACTERS = 200


def outcome(check: Check, on_inconclusive: OnInconclusive) -> Outcome:
    """A check's outcome for a CI system: one that only warns, or may be inconclusive, is skipped unless it passed."""
    if check.verdict == "PASS" or (check.verdict == "INCONCLUSIVE" and on_inconclusive == "pass"):
        return "passed"
    may_block = check.tier == "block" and (check.verdict == "FAIL" or on_inconclusive == "fail")
    return "failed" if may_block else "skipped"


def sentence(check: Check) -> str:
    """A check in words: what was found, how much may be lost, how many items would decide."""

    def signed(value: float) -> str:
        return figure(value, check.unit, signed=True)

    if check.difference is None:
        found = "no difference can be computed"
    else:
        bounds = interval(check.low, check.high, check.unit, signed=True)
        bounds = bounds and f" ({bounds} at {100 * check.level:g} %)"
        values = (figure(value, check.unit) for value in (check.candidate_value, check.baseline_value))
        found = f"{' against '.join(values)}, {signed(check.difference)}{bounds}"
    parts = [f"{check.verdict}: {check.task} {check.metric} {found}; at most {check.max_drop:g} may be lost"]
    parts.append(f"{check.n} of {check.items} items, " + ("item by item" if check.paired else "unpaired"))
    parts += [*_beside_the_numbers(check), "this check warns only" if check.tier == "warn" else ""]
    return "; ".join(filter(None, parts))


def _beside_the_numbers(check: Check) -> Iterator[str]:
    if check.rule is not None:
        yield f"{figure(check.candidate_value, check.unit)} is {check.rule}"
    if check.if_lost is not None:
        lost = figure(check.if_lost, check.unit, signed=True)
        yield f"{lost} with the candidate's {check.candidate_missing} missing counted as lost"
    if check.sequential is not None:
        yield effort(check.sequential, decided=check.verdict != "INCONCLUSIVE")
    if check.equal_items:
        yield (
            "every item differs by the same amount, so their spread gives no interval and `compare` has none; this "
            f"one covers what {check.n:,} such items cannot rule out"
        )
    if check.reason is not None:
        yield check.reason
    if check.verdict == "INCONCLUSIVE":
        yield needed(check)


def effort(found: Sequential, *, decided: bool) -> str:
    """After how many examples a check with ``--sequential`` was decided, and how many judge calls that saved."""
    return (
        f"{'decided' if decided else 'not decided'} after {found.n} of {found.population} examples in random order "
        f"(seed {found.seed}), for which {found.judge_calls_needed} judge calls were needed: {found.judge_calls} made "
        f"({found.judge_calls_now} of them now), {found.judge_calls_saved} saved"
    )


def needed(check: Check) -> str:
    """What would decide an inconclusive check: items, or a larger margin; nothing where neither would help."""
    parts, equal = [], ""
    if check.n_if_equal is not None and check.n_if_equal != check.n_to_decide:
        equal = f"about {check.n_if_equal:,} if the models are equal"
    if check.n_to_decide is not None:
        there = f"there are {check.n:,}{equal and f'; {equal}'}"
        parts.append(f"needs about {check.n_to_decide:,} items ({there})")
    elif check.reason is None and check.sequential is None:
        parts.append("no number of items would decide if this is the true difference")
        parts += [f"needs {equal}"] if equal else []
    elif equal:
        parts.append(f"needs {equal} (there are {check.n:,})")
    if check.drop_to_pass is not None:
        parts.append(f"or max drop >= {check.drop_to_pass:g}")
    return ", ".join(parts)


def remarks(check: Check) -> str:
    """What a narrow table of checks does not say of one: both values, why it is inconclusive, what would decide it."""
    values = [figure(one, check.unit) for one in (check.candidate_value, check.baseline_value) if one is not None]
    counted = f"{check.n:,}" if check.n == check.items else f"{check.n:,} of {check.items:,}"
    told = f"{' against '.join(values)} on {counted} items" if len(values) == 2 else f"{counted} items"
    parts = [told + ("" if check.paired else ", unpaired"), *_beside_the_numbers(check)]
    return "; ".join(filter(None, parts))


def junit(result: Gate, on_inconclusive: OnInconclusive, timestamp: str) -> bytes:
    """One test case for each check, in UTF-8; ``timestamp`` (UTC) as manifests write it."""
    outcomes = [outcome(check, on_inconclusive) for check in result.checks]
    about_suite = {
        "name": "judgebench gate",
        "package": "judgebench",
        "id": "0",
        "timestamp": timestamp.removesuffix("Z"),
        "hostname": "localhost",
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("failed")),
        "errors": "0",
        "skipped": str(outcomes.count("skipped")),
        "time": "0",
    }
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", about_suite)
    properties = ElementTree.SubElement(suite, "properties")
    facts = {"verdict": result.verdict, "baseline": result.baseline, "candidate": result.candidate}
    for name, value in facts.items():
        ElementTree.SubElement(properties, "property", {"name": name, "value": printable(value, _NAME_CHARACTERS)})
    for check, how in zip(result.checks, outcomes, strict=True):
        name = printable(f"{check.task} {check.metric}", _NAME_CHARACTERS)
        about_case = {"name": name, "classname": "judgebench.gate", "time": "0"}
        case = ElementTree.SubElement(suite, "testcase", about_case)
        text = printable(sentence(check))
        if how == "failed":
            failure = ElementTree.SubElement(case, "failure", {"message": text, "type": check.verdict})
            failure.text = _sides(result) + text
        elif how == "skipped":
            ElementTree.SubElement(case, "skipped", {"message": text})
    lines = [sentence(check) for check in result.checks] + list(result.notes)
    ElementTree.SubElement(suite, "system-out").text = "\n".join(map(printable, lines))
    ElementTree.SubElement(suite, "system-err")
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _sides(result: Gate) -> str:
    candidate, baseline = (printable(name, _NAME_CHARACTERS) for name in (result.candidate, result.baseline))
    return f"{candidate} against {baseline}: "


def annotations(result: Gate, on_inconclusive: OnInconclusive) -> list[str]:
    """GitHub's workflow commands, one a line: an error for each failed check, a warning for others that did not pass.

    A name of a model or a task cannot break out of its line or its property.
    """
    lines = []
    for check in result.checks:
        how = outcome(check, on_inconclusive)
        if how != "passed":
            command = "error" if how == "failed" else "warning"
            title = command_property(f"judgebench gate: {check.task} {check.metric}")
            text = command_data(_sides(result) + sentence(check))
            lines.append(f"::{command} title={title}::{text}")
    return lines


def refusal(message: str) -> str:
    """The workflow command for a gate that could not be run."""
    return f"::error title=judgebench gate::{command_data(message)}"


def command_data(text: str) -> str:
    """The message of a workflow command."""
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: str) -> str:
    """A property's value in a workflow command."""
    return command_data(text).replace(":", "%3A").replace(",", "%2C")


def outputs(result: Gate, code: int) -> str:
    """Lines for ``$GITHUB_OUTPUT``: only words and numbers of our own, so nothing in them can start another line."""
    counts = Counter(check.verdict for check in result.checks)
    facts = {
        "verdict": result.verdict,
        "exit-code": code,
        "failed": counts["FAIL"],
        "inconclusive": counts["INCONCLUSIVE"],
    }
    efforts = [check.sequential for check in result.checks if check.sequential is not None]
    if efforts:
        facts["judge-calls"] = sum(effort.judge_calls for effort in efforts)
        facts["judge-calls-saved"] = sum(effort.judge_calls_saved for effort in efforts)
    return "".join(f"{name}={value}\n" for name, value in facts.items())
