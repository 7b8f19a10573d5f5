"""The page's script: modules that build on each other downwards, and make elements, never markup."""

import re
from collections import Counter

import pytest

from judgebench.report import site_pages
from judgebench.report.page import ASSETS, MODULES, policy, script, style

SCRIPTS = {"page": MODULES, "site": site_pages.MODULES}
EVERY = sorted({*MODULES, *site_pages.MODULES})

FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setAttribute\(\"on|https?:|\bfetch\("
)


def source(name: str) -> str:
    """The text of a module."""
    return (ASSETS / f"{name}.js").read_text()


@pytest.mark.parametrize("modules", SCRIPTS.values(), ids=SCRIPTS)
def test_no_two_modules_have_one_name(modules: tuple[str, ...]) -> None:
    """They become one function, in which a name can stand for one thing only."""
    pattern = re.compile(r"^(?:export )?(?:async )?(?:function\*?|const|let|class) (\w+)", re.MULTILINE)
    names = Counter(name for module in modules for name in pattern.findall(source(module)))
    assert len(names) > 20
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("modules", SCRIPTS.values(), ids=SCRIPTS)
def test_imports_point_down(modules: tuple[str, ...]) -> None:
    """A module uses those before it; the lists hold every module there is."""
    for place, module in enumerate(modules):
        used = re.findall(r'^import .* from "\.{1,2}/(\w+)\.js";$', source(module), re.MULTILINE)
        assert set(used) <= set(modules[:place]), module
    assert set(EVERY) == {path.relative_to(ASSETS).with_suffix("").as_posix() for path in ASSETS.rglob("*.js")}


@pytest.mark.parametrize("module", EVERY)
def test_nothing_makes_markup_or_asks_the_network(module: str) -> None:
    """What comes from a run is text; the page fetches nothing."""
    assert FORBIDDEN.findall(source(module)) == []


@pytest.mark.parametrize("modules", SCRIPTS.values(), ids=SCRIPTS)
def test_the_script_is_one_function_that_the_policy_names(modules: tuple[str, ...]) -> None:
    """Nothing of modules is left in it, and only its hash may run."""
    assert not re.search(r"^(import|export) ", script(modules), re.MULTILINE)
    assert "unsafe" not in policy(modules=modules)
    assert policy(modules=modules).count("sha256-") == 2
    assert "</script" not in script(modules)
    assert "/*" not in script(modules)


def test_script_and_style_are_small() -> None:
    """90 KB at most, though nothing is minified."""
    assert len((script() + style()).encode()) < 90_000


def test_widths_change_no_colour() -> None:
    """What is set for a phone is where things stand, so that colours that are legible on a screen are so on it."""
    narrow = re.findall(r"^@media \(max-width[^{]*\{\n(.*?)^\}", style(), re.MULTILINE | re.DOTALL)
    assert narrow
    assert [found for block in narrow for found in re.findall(r"color|background|font-size|opacity", block)] == []
