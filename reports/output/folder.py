"""The folder of a report's files, which holds those of one study: a training that was stopped resumes from there."""

from __future__ import annotations

import json

from reports.inputs import StudyFacts
from search.folders.places import check_writable
from search.foreign_files import parse_json, read_text
from search.storage.location import refuse_links
from trainables.atomic_write import atomic_write

STUDY = "study.json"
"""The file that names the study of a folder outside a study's own."""


def make_output(facts: StudyFacts) -> None:
    """Create the folder, and make it the study's if it is not in the study's folder.

    Raises:
        ValueError: if it holds the report of another study, or a symbolic link that leads out of the study's folder.
        OSError: if it cannot be created or written.
    """
    if facts.elsewhere is None:
        refuse_links(facts.folder)
        facts.output.mkdir(parents=facts.chosen is not None, exist_ok=True)
        check_writable(facts.output)
        return
    facts.output.mkdir(parents=True, exist_ok=True)
    check_writable(facts.output)
    ours = {"identity": facts.identity, "folder": str(facts.folder.resolve())}
    try:
        theirs = parse_json(read_text(facts.output / STUDY))
        same = theirs["identity"] == ours["identity"] if facts.identity else theirs["folder"] == ours["folder"]
    except FileNotFoundError:
        with atomic_write(facts.output / STUDY) as new:
            new.write_text(json.dumps(ours, indent=2) + "\n", encoding="utf-8")
        return
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{facts.output / STUDY}: does not name a study ({error!r}); give another --output") from error
    if not same:
        raise ValueError(
            f"{facts.output}: holds the report of another study, {theirs['folder']}: give another --output"
        )
