"""How ``category=math`` is read, and what it selects."""

import pytest

from judgebench import tasks
from judgebench.errors import UsageError
from judgebench.records import Case, Example, Generation, Judgement, Message, Verdict
from judgebench.task import Task, TaskData
from judgebench.task.selection import Chosen, choose, chosen_groups, parse_selection

GROUPED = ("alpacaeval", "arenahard", "ifeval", "math", "mtbench", "wildbench")
"""Tasks whose examples have groups; GSM8K's have none."""


def starter(name: str, **options: str) -> tuple[Task, TaskData]:
    """A task with its starter set."""
    task = tasks.find(name).task(options=options, starter=True)
    return task, task.load(lambda name: pytest.fail(f"{name} is fetched"))


def selected(name: str, *texts: str) -> list[str]:
    """The ids that the texts select from a starter set."""
    task, data = starter(name)
    chosen = choose(parse_selection(texts, "--where"), task, data.examples)
    return [example.id for example in data.examples if chosen.keeps(example)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("category=math", ("math",)),
        ("category=math, coding", ("math", "coding")),
        ("category='Writing, editing',coding", ("Writing, editing", "coding")),
        ('category="it\'s"', ("it's",)),
        ("instruction=length_constraints:number_words", ("length_constraints:number_words",)),
        ("baseline=a=b", ("a=b",)),
        ("category=math,math,", ("math",)),
    ],
)
def test_values_are_separated_by_commas_unless_they_are_quoted(text: str, values: tuple[str, ...]) -> None:
    """A colon or an equals sign in a value belongs to it."""
    (clause,) = parse_selection([text], "--where").clauses
    assert (clause.task, clause.values) == (None, values)


@pytest.mark.parametrize("text", ["", "category", "category=", "=math", "mtbench:=2", "category=,", ":"])
def test_a_text_without_key_or_value_is_refused_with_an_example(text: str) -> None:
    """The message shows the form."""
    with pytest.raises(UsageError, match="expected KEY=VALUE, such as category=math"):
        parse_selection([text], "--where")


def test_a_task_may_stand_before_the_key() -> None:
    """Of another task nothing is said; a task that is not there is named."""
    selection = parse_selection(["mtbench:turn=2", "category=math"], "--where")
    assert [clause.key for clause in selection.of_task("mtbench").clauses] == ["turn", "category"]
    assert [clause.key for clause in selection.of_task("math").clauses] == ["category"]
    with pytest.raises(UsageError, match="about 'mtbench', a task that is not here; write it for alpacaeval"):
        selection.require_tasks(["alpacaeval"])


def test_values_of_one_key_are_alternatives_and_keys_narrow() -> None:
    """Whether they stand in one text or in several."""
    both = selected("mtbench", "category=math,coding")
    assert both == selected("mtbench", "category=math", "category=coding")
    _, data = starter("mtbench")
    assert both == [e.id for e in data.examples if e.meta["category"] in ("math", "coding")]
    assert selected("mtbench", "category=math", f"id={both[0]},{both[-1]}") == [
        one for one in (both[0], both[-1]) if data.by_id[one].meta["category"] == "math"
    ]


def test_values_are_known_in_upper_and_lower_case_and_with_a_comma_of_their_own() -> None:
    """A value that is there as it is written wins."""
    assert selected("wildbench", "category=math & data analysis") == selected(
        "wildbench", "category='Math & Data Analysis'"
    )
    examples = [
        Example(id=name, messages=(Message(role="user", content="?"),), meta={"topic": topic})
        for name, topic in (("a", "x,y"), ("b", "x"), ("c", "X"))
    ]
    task, _ = starter("gsm8k")

    def kept(text: str) -> str:
        chosen = choose(parse_selection([text], "--where"), task, examples)
        return "".join(example.id for example in examples if chosen.keeps(example))

    assert [kept(text) for text in ("topic=x,y", "topic=x", "topic=X", "topic='x,y',X")] == ["a", "b", "c", "ac"]


def test_an_unknown_key_or_value_is_refused_with_those_there_are() -> None:
    """And with the nearest one."""
    with pytest.raises(UsageError, match=r"mtbench has no group called 'categori'; it has category, turn.*category\?"):
        selected("mtbench", "categori=math")
    with pytest.raises(UsageError, match=r"mtbench has no category 'maths'; it has writing, .*mean math\?"):
        selected("mtbench", "category=maths")
    with pytest.raises(UsageError, match=r"wildbench has no category 'data'; it has .*mean Math & Data Analysis\?"):
        selected("wildbench", "category=data")
    with pytest.raises(UsageError, match="gsm8k has no group called 'category'"):
        selected("gsm8k", "category=math")


@pytest.mark.parametrize("name", GROUPED)
def test_every_group_of_the_starter_set_selects_some_examples(name: str) -> None:
    """And not all of them, unless it is the only value of its key."""
    task, data = starter(name)
    groups = list(dict.fromkeys(group for example in data.examples for group in task.groups(example)))
    assert groups
    for group in groups:
        key, _, value = group.partition("=")
        found = selected(name, f"{key}='{value}'")
        assert found == [example.id for example in data.examples if group in task.groups(example)]


def judgements(cases: tuple[Case, ...]) -> list[Judgement]:
    """A judgement of each case."""
    return [
        Judgement(
            case_id=case.id,
            example_id=case.example.id,
            judge=case.judge,
            judge_model="tiny",
            answers=tuple(answer.model for answer in case.answers),
            candidate=case.candidate,
            turn=case.turn,
            verdict=Verdict(value=1.0),
        )
        for case in cases
    ]


def chosen_of(texts: tuple[str, ...]) -> tuple[Chosen, TaskData, list[Judgement]]:
    """What the texts choose from judged answers to MT-Bench's starter set, compared in both orders."""
    task, data = starter("mtbench", mode="pairwise")
    answers = (
        Generation(example_id=example.id, model="mine", outputs=("a", "b")[: len(example.followups) + 1])
        for example in data.examples
    )
    made = judgements(tuple(case for answer in answers for case in task.cases(data, answer)))
    return choose(parse_selection(texts, "--group"), task, data.examples, made), data, made


def test_a_turn_or_a_baseline_selects_judgements_of_every_example() -> None:
    """An example fits every turn that it has; each of its judgements one of them."""
    chosen, data, made = chosen_of(("turn=2", "baseline=starter_baseline"))
    assert all(chosen.keeps(example) for example in data.examples if example.followups)
    kept = [one for one in made if chosen.keeps_judgement(data.by_id[one.example_id], one)]
    assert kept
    assert kept == [one for one in made if one.turn == 2]


def test_a_category_selects_all_judgements_of_its_examples() -> None:
    """Of the others none."""
    chosen, data, made = chosen_of(("category=math",))
    kept = [one for one in made if chosen.keeps_judgement(data.by_id[one.example_id], one)]
    assert kept == [one for one in made if data.by_id[one.example_id].meta["category"] == "math"]


def test_a_judge_that_judged_nothing_is_refused() -> None:
    """The message names those that did."""
    with pytest.raises(UsageError, match="mtbench has no judge 'gpt-4'; it has tiny"):
        chosen_of(("judge=gpt-4",))


def test_groups_of_scores_are_chosen_by_value_or_all_of_a_key() -> None:
    """In the order of the scores; each is a group of its own."""
    groups = ["turn=1", "turn=2", "category=math", "category=coding", "k=0"]

    def chosen(*texts: str) -> tuple[str, ...]:
        return chosen_groups(parse_selection(texts, "--group", bare=True), ["mtbench"], groups)

    assert chosen("category") == ("category=math", "category=coding")
    assert chosen("category=Math", "turn=2") == ("turn=2", "category=math")
    assert chosen("other:category=math") == ()
    with pytest.raises(UsageError, match="mtbench has no group called 'level'; it has turn, category, k"):
        chosen("level=1")
