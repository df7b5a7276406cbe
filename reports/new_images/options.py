"""The command line of the prediction of new images."""

from __future__ import annotations

import argparse

from search.cli.options.option_types import folder, location

EPILOG = """\
Masks are PNG files in OUT/masks, with the values of the masks that the model was trained on. A command that was stopped
continues: images that already have a mask of the same model are left out. See docs/models.md.
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python reports/predict.py",
        description="Predict the masks of new images with the model that a report wrote. The training data is not "
        "needed.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument(
        "model", type=folder, metavar="RUN|BUNDLE", help="the folder of a study, such as runs/sample, or of its model"
    )
    top.add_argument(
        "inputs",
        type=location,
        nargs="+",
        metavar="INPUT",
        help="an image file, a folder of images, an npz file with an array of images, or a URI of one of these",
    )
    top.add_argument(
        "-o", "--output", type=folder, required=True, metavar="OUT", help="folder for the masks and other results"
    )
    top.add_argument(
        "--images",
        metavar="KEY",
        help="the array of images in an npz file (default: test_images, test_set or images)",
    )
    top.add_argument(
        "--masks",
        type=location,
        metavar="DIR",
        help="folder of true masks, named like the images: the predicted masks are scored, and the scores written to "
        "OUT/scores.json",
    )
    top.add_argument(
        "--overlays", action="store_true", help="also write the images with the classes in colour: OUT/overlays"
    )
    top.add_argument(
        "--probabilities",
        action="store_true",
        help="also write class probabilities as NPY files, (C, H, W) float32: OUT/probabilities",
    )
    top.add_argument(
        "--submission",
        action="store_true",
        help="also write OUT/submission.csv, one row for each image in order, as reports/run.py does; all images must "
        "have one size",
    )
    top.add_argument(
        "--device", metavar="DEVICE", help="where to compute, such as cpu or cuda:1 (default: the GPU if there is one)"
    )
    return top


def check_together(options: argparse.Namespace) -> None:
    """Refuse options that have no effect in combination with others.

    Raises:
        ValueError: naming the option.
    """
    if options.images is not None and not any(uri.split("?")[0].lower().endswith(".npz") for uri in options.inputs):
        raise ValueError("--images names an array in an npz file, and no INPUT is one")
