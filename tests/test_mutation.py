"""The lists that `make mutants` reads."""

from __future__ import annotations

import pytest

pytest.importorskip("cosmic_ray", reason="the mutation tests need the dev extra")

from tests.mutation.__main__ import equivalents
from tests.mutation.modules import MODULES
from tests.processes.scripts import ROOT

LISTED = equivalents()


def test_each_equivalent_mutant_is_listed_once_with_its_reason_and_changes_a_line_that_is_there():
    described = [(entry["module"], entry["before"], entry["after"]) for entry in LISTED]
    assert len(set(described)) == len(described) > 0
    for entry in LISTED:
        assert set(entry) == {"module", "before", "after", "reason"}
        assert entry["module"] in MODULES
        assert entry["before"] in map(str.strip, (ROOT / entry["module"]).read_text().splitlines()), entry
        assert entry["after"] != entry["before"]
        assert entry["reason"].endswith(".")


@pytest.mark.parametrize("module", MODULES)
def test_each_module_and_the_tests_that_must_notice_a_change_of_it_are_there(module):
    assert (ROOT / module).is_file()
    for tests in MODULES[module]:
        assert (ROOT / tests).exists(), tests
