"""Search for the best U-Net: `python search/run.py --help`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Python puts the folder of a script first on sys.path: replace it by the project's root.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from search.cli.options.cluster_parser import prepare_to_join
from search.cli.options.search_parser import parse
from search.cli.then_report import share_time
from search.exit_status import refuse
from search.home_folder import check_home
from search.interrupts import interrupted, raise_on_signals


def main() -> int:
    try:
        options = share_time(parse())  # exits here for --help and for invalid options
        if options.list_systems:
            from search.views.systems_table import show_systems

            show_systems()
            return 0
        check_home()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        if options.address is not None or "RAY_ADDRESS" in os.environ:
            prepare_to_join()
        if (address := options.submission_address) is not None:
            from search.cli import submitted_studies

            if options.manages_studies:
                return submitted_studies.run_study_command(options, address)
            return submitted_studies.submit(options, address, sys.argv[1:])
        if options.manages_studies:
            from search.cli.local_studies import run_study_command

            return run_study_command(options)
    except ValueError as error:
        return refuse(error)
    # Check the data before the imports that take seconds.
    from search.cli.prepared_data import prepared_data

    try:
        data = prepared_data(options)
    except ValueError as error:
        return refuse(error)

    from search.cli.search_command import run

    return run(options, data)


if __name__ == "__main__":
    raise_on_signals()
    try:
        sys.exit(main())
    except KeyboardInterrupt as error:  # before trials run, or a second Ctrl-C: the ledger is complete
        sys.exit(interrupted(error, "the same command starts or continues the study"))
    except ModuleNotFoundError as error:
        how = "install the project there: pip install -c constraints.txt ."
        sys.exit(refuse(ValueError(f"{sys.executable}: {error}; {how}")))
