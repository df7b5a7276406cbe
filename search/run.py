"""Search for the best U-Net: `python search/run.py --help`."""

import os
import sys
from pathlib import Path

# Python puts the folder of a script first on sys.path: replace it by the project's root.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from search.entry_point.platform_check import check_platform

check_platform()

from search.cli.options.cluster_parser import prepare_to_join
from search.cli.options.search_options import SearchOptions
from search.cli.options.search_parser import parse
from search.cli.then_report import share_time
from search.entry_point.run_script import run_script
from search.first_line import announce
from search.folders.places import Place, errors_explained
from search.home_folder import check_home


def main() -> int:
    options = share_time(parse())  # exits here for --help and for invalid options
    if options.list_systems:
        from search.views.systems_table import show_systems

        show_systems()
        return 0
    with errors_explained(Place(Path(options.local_storage), "give another folder with --storage")):
        return _run(options)


def _run(options: SearchOptions) -> int:
    check_home()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    if options.joins:
        prepare_to_join()
    address = options.submission_address
    if address is not None:
        announce(f"asking the cluster at {address}")
        from search.cli import submitted_studies

        if options.manages_studies:
            return submitted_studies.run_study_command(options, address)
        return submitted_studies.submit(options, address, sys.argv[1:])
    if options.manages_studies:
        what = f"study {options.managed}" if options.managed else "the studies"
        announce(f"looking for {what} in {options.local_storage}")
        from search.cli.local_studies import run_study_command

        return run_study_command(options)
    announce(f"reading the data: {options.data}", as_event=options.view == "events")
    # Check the data before the other imports that take seconds.
    from search.cli.prepared_data import prepared_data

    data = prepared_data(options)
    if options.dry_run:
        from search.cli import dry_run

        return dry_run.run(options, data)
    from search.cli import search_command

    return search_command.run(options, data)


if __name__ == "__main__":
    run_script(main, if_interrupted="the same command starts or continues the study")
