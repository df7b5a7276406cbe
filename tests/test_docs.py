"""README and docs: their commands are ones that the scripts take, their links lead somewhere, their options exist."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import reports.new_images.options
import reports.options
import search.cli.options.replay_parser
import search.cli.options.search_parser
from tests.processes.scripts import ROOT

PAGES = [ROOT / "README.md", ROOT / "cluster" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PARSERS = {
    "search/run.py": search.cli.options.search_parser.parser,
    "search/replay.py": search.cli.options.replay_parser.parser,
    "reports/run.py": reports.options.parser,
    "reports/predict.py": reports.new_images.options.parser,
}


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """The scripts that a page's blocks of code start, with their arguments."""
    found = []
    for line in page.read_text().replace("\\\n", " ").splitlines():
        started = re.match(r"\s*python ((?:search|reports)/\w+\.py)\b(.*)", line)
        if started is not None and not re.search(r"\.\.\.|`|--help", started[2]):
            found.append((started[1], shlex.split(started[2], comments=True)))
    return found


EVERY = [(page, script, arguments) for page in PAGES for script, arguments in commands(page)]


def test_there_are_commands_to_check():
    assert len(EVERY) > 20


@pytest.mark.parametrize(
    ("page", "script", "arguments"), EVERY, ids=[f"{page.stem}: {' '.join(rest)}" for page, _, rest in EVERY]
)
def test_a_command_is_one_that_the_script_takes(page, script, arguments):
    if script == "search/run.py":
        search.cli.options.search_parser.parse(arguments)
    else:
        PARSERS[script]().parse_args(arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files_and_headings(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        linked = page if not path else (page.parent / path).resolve()
        assert linked.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}
            assert heading in anchors, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_are_named_are_there(page):
    names = re.findall(r"`((?:search|trainables|reports|tests|cluster|docs)/[\w/.-]+\.\w+)`", page.read_text())
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_front_page_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed (make docs does that)")
def test_the_pages_are_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (tmp_path / "site" / "index.html").exists()
