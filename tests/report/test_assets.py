"""The page's script: modules that build on each other downwards, and make elements, never markup."""

import re
from collections import Counter

import pytest

from judgebench.report.page import ASSETS, MODULES, policy, script

FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setAttribute\(\"on|https?:|\bfetch\("
)


def source(name: str) -> str:
    """The text of a module."""
    return (ASSETS / f"{name}.js").read_text()


def test_no_two_modules_have_one_name() -> None:
    """They become one function, in which a name can stand for one thing only."""
    pattern = re.compile(r"^(?:export )?(?:async )?(?:function\*?|const|let|class) (\w+)", re.MULTILINE)
    names = Counter(name for module in MODULES for name in pattern.findall(source(module)))
    assert len(names) > 50
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("place", range(len(MODULES)))
def test_imports_point_down(place: int) -> None:
    """A module uses those before it; the list holds every module there is."""
    used = re.findall(r'^import .* from "\./(\w+)\.js";$', source(MODULES[place]), re.MULTILINE)
    assert set(used) <= set(MODULES[:place])
    assert set(MODULES) == {path.stem for path in ASSETS.glob("*.js")}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_makes_markup_or_asks_the_network(module: str) -> None:
    """What comes from a run is text; the page fetches nothing."""
    assert FORBIDDEN.findall(source(module)) == []


def test_the_script_is_one_function_that_the_policy_names() -> None:
    """Nothing of modules is left in it, and only its hash may run."""
    assert not re.search(r"^(import|export) ", script(), re.MULTILINE)
    assert "unsafe" not in policy()
    assert policy().count("sha256-") == 2
    assert "</script" not in script()
