"""Predict the masks of new images with the model of a study: `python reports/predict.py --help`."""

import os
import sys
from pathlib import Path

# Python searches the folder of a script for modules first. Search the root of the project instead.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from search.entry_point.platform_check import check_platform

check_platform()

from reports.new_images.options import check_together, parser
from search.entry_point.run_script import run_script
from search.first_line import announce
from search.home_folder import check_home


def main() -> int:
    options = parser().parse_args()
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    check_home()
    check_together(options)
    announce(f"loading the model of {options.model}")
    from reports.new_images.command import run

    run(options)
    return 0


if __name__ == "__main__":
    run_script(main, if_interrupted="the same command continues with the images that have no mask yet")
