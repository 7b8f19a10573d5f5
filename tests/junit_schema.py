"""What the schema of Ant's JUnit task asks for (windyroad/JUnit-Schema@2378e66), and that of Jenkins' xUnit plugin
(jenkinsci/xunit-plugin@031e285, ``junit-10.xsd``) with it: facts of both, checked by hand.
"""

import re
from datetime import datetime
from xml.etree import ElementTree

SUITE = {"name", "package", "id", "timestamp", "hostname", "tests", "failures", "errors", "time"}
"""Attributes that a test suite must have; ``skipped`` it may have."""
CASE = {"name", "classname", "time"}
ENDINGS = {"skipped": {"message", "type"}, "error": {"message", "type"}, "failure": {"message", "type"}}
"""What a test case holds at most one of, with the attributes it may have; ``type`` is needed except when skipped."""


def require_junit(content: bytes) -> ElementTree.Element:
    """The root of a valid file."""
    root = ElementTree.fromstring(content)
    assert root.tag == "testsuites"
    assert not root.attrib
    for suite in root:
        assert suite.tag == "testsuite"
        assert set(suite.attrib) - {"skipped"} == SUITE
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        datetime.fromisoformat(suite.attrib["timestamp"])
        tags = [child.tag for child in suite]
        cases = [child for child in suite if child.tag == "testcase"]
        assert tags == ["properties", *["testcase"] * len(cases), "system-out", "system-err"]
        for entry in suite[0]:
            assert (entry.tag, set(entry.attrib)) == ("property", {"name", "value"})
            assert entry.attrib["name"]
        for case in cases:
            assert set(case.attrib) == CASE
            assert float(case.attrib["time"]) >= 0
            assert len(case) <= 1
            for ending in case:
                assert set(ending.attrib) <= ENDINGS[ending.tag]
                assert ending.tag == "skipped" or "type" in ending.attrib
        endings = [ending.tag for case in cases for ending in case]
        counts = {"tests": len(cases), "failures": endings.count("failure"), "errors": endings.count("error")}
        counts["skipped"] = endings.count("skipped")
        assert {name: int(suite.attrib[name]) for name in counts} == counts
    return root
