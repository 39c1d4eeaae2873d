"""Checks that each test and `make` target that SECURITY.md names exists."""

import re

from support.places import REPOSITORY

ROOT = REPOSITORY
PAGE = (ROOT / "SECURITY.md").read_text("utf-8")


def test_every_test_that_it_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    there = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text("utf-8"))
    }
    assert len(named) > 30 and named <= there, named - there
    files = {path.name for path in (ROOT / "tests").rglob("*.py")}
    assert set(re.findall(r"`(test_\w+\.py)`", PAGE)) <= files


def test_every_target_that_it_names_exists() -> None:
    named = set(re.findall(r"`make ([\w-]+)`", PAGE))
    named |= {f"long-{check}" for check in re.findall(r"`make long CHECK=([\w-]+)`", PAGE)}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert named and named <= targets, named - targets


def test_no_item_of_the_checklist_is_missing() -> None:
    for chapter, items in (("6", 47), ("7", 19), ("8", 13), ("9", 7), ("16", 17)):
        assert len(re.findall(rf"^\| {chapter}\.\d+\.\d+ \|", PAGE, re.MULTILINE)) == items
