"""`reports/predict.py`: what it writes, leaves out, scores and refuses."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reports import load_model
from reports.bundle.contents import CONTENTS
from reports.new_images.command import run
from reports.new_images.options import check_together, parser
from reports.prediction.scores_with_intervals import confusion
from tests.processes.scripts import HANGS_AFTER, ROOT
from trainables.prediction.iou import mean_iou

SHAPES = {"a": (16, 24), "b": (40, 30), "sub/c": (16, 24), "sub/d": (5, 90)}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four grey images of three sizes, one of them in a sub-folder."""
    folder = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        path = folder / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
    return folder


def predict(*arguments):
    options = parser().parse_args([str(argument) for argument in arguments])
    check_together(options)
    run(options)


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_images_of_any_size(bundle, photos, tmp_path, capsys):
    out = tmp_path / "out"
    predict(bundle, photos, "-o", out, "--overlays", "--probabilities", "--device", "cpu")
    names = ("a", "b", "c", "d")
    kinds = (("masks", "png"), ("overlays", "png"), ("probabilities", "npy"))
    assert written(out) == {f"{kind}/{name}.{suffix}" for name in names for kind, suffix in kinds}
    model = load_model(bundle, device="cpu")
    for name, shape in SHAPES.items():
        image, stem = photos / "images" / f"{name}.png", Path(name).name
        mask = np.asarray(Image.open(out / "masks" / f"{stem}.png"))
        np.testing.assert_array_equal(mask, model.predict(image))
        assert np.load(out / "probabilities" / f"{stem}.npy").shape == (5, *shape)
        overlay = np.asarray(Image.open(out / "overlays" / f"{stem}.png")).astype(int)
        assert overlay.shape == (*shape, 3)
        assert np.ptp(overlay, axis=-1).max() > 0
    output = capsys.readouterr().out
    assert "predicting 4 of 4 images with the weights of trials 0000, 0001 on cpu" in output
    assert "  predicting 100%  0 s left" in output


def test_what_is_there_is_left_out(bundle, photos, tmp_path, capsys):
    out = tmp_path / "out"
    predict(bundle, photos, "-o", out, "--device", "cpu")
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    (out / "masks" / "b.png").unlink()
    capsys.readouterr()
    predict(bundle, photos, "-o", out, "--device", "cpu")
    assert "predicting 1 of 4 images" in (output := capsys.readouterr().out)
    assert "masks of this model that exist already: 3" in output
    changed = {path.stem for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert changed == {"b"}


def test_an_image_that_has_changed_is_predicted_again(bundle, photos, tmp_path, capsys):
    out = tmp_path / "out"
    predict(bundle, photos, "-o", out, "--device", "cpu")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(photos / "images" / "a.png")
    predict(bundle, photos, "-o", out, "--device", "cpu")
    assert Image.open(out / "masks" / "a.png").size == (9, 9)
    assert "predicting 1 of 4 images" in capsys.readouterr().out


def test_results_of_another_model_are_replaced_with_all_that_lies_beside(bundle, photos, tmp_path, capsys):
    out = tmp_path / "out"
    predict(bundle, photos, "-o", out, "--probabilities", "--overlays", "--device", "cpu")
    contents = json.loads((bundle / CONTENTS).read_text())
    (bundle / CONTENTS).write_text(json.dumps(contents | {"flips": 1}))
    predict(bundle, photos, "-o", out, "--overlays", "--device", "cpu")
    assert capsys.readouterr().out.count("predicting 4 of 4 images") == 2
    assert not list(out.rglob("*.npy"))
    predict(bundle, photos, "-o", out, "--probabilities", "--device", "cpu")
    assert "predicting 4 of 4 images" in capsys.readouterr().out
    assert len(list(out.rglob("*.npy"))) == 4


def test_files_that_are_something_else_are_never_replaced(bundle, photos, tmp_path):
    truth = photos / "masks"
    truth.mkdir()
    Image.fromarray(np.ones((16, 24), np.uint8)).save(truth / "a.png")
    with pytest.raises(ValueError, match="was not written by this command: give another folder with -o"):
        predict(bundle, photos / "images", "-o", photos, "--device", "cpu")
    assert np.asarray(Image.open(truth / "a.png")).all()
    predict(bundle, photos / "images" / "a.png", "-o", tmp_path / "out", "--device", "cpu")
    other = shutil.copytree(photos, tmp_path / "others")
    with pytest.raises(ValueError, match="mask of another image of this name"):
        predict(bundle, other / "images" / "a.png", "-o", tmp_path / "out", "--device", "cpu")


def test_the_folder_of_the_results_may_lie_in_that_of_the_images(bundle, photos, capsys):
    for _ in range(2):
        predict(bundle, photos, "-o", photos / "predicted", "--overlays", "--device", "cpu")
    output = capsys.readouterr().out
    assert "predicting 0 of 4 images" in output
    for name in ("masks", "overlays"):
        assert f"wrote {photos / 'predicted' / name}\n" in output
        assert f"complete: {photos / 'predicted' / name}\n" in output


def test_results_beside_the_images_are_never_taken_for_images(bundle, photos, capsys):
    everything = (
        bundle,
        photos / "images",
        "-o",
        photos / "images",
        "--overlays",
        "--probabilities",
        "--device",
        "cpu",
    )
    predict(*everything)
    before = written(photos)
    predict(*everything)
    assert "predicting 0 of 4 images" in capsys.readouterr().out
    assert written(photos) == before


def test_masks_among_the_images_are_left_out(bundle, photos, tmp_path, capsys):
    (photos / "masks").mkdir()
    Image.fromarray(np.ones((16, 24), np.uint8)).save(photos / "masks" / "a.png")
    predict(bundle, photos, "-o", tmp_path / "out", "--device", "cpu")
    output = capsys.readouterr().out
    assert "predicting 4 of 4 images" in output
    assert "files left out because they are in folders of masks: 1\n" in output


def test_an_npz_file_and_a_uri_become_a_submission(bundle, tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (11, 16, 24), dtype=np.uint8)
    np.savez(tmp_path / "new.npz", test_set=images, other=np.zeros(3))
    out = tmp_path / "out"
    predict(bundle, f"file://{tmp_path}/new.npz", "-o", out, "--submission", "--device", "cpu")
    rows = list(csv.reader((out / "submission.csv").open()))
    assert rows[0] == ["id", *map(str, range(16 * 24))]
    model = load_model(bundle, device="cpu")
    expected = np.stack([model.labels(image).ravel() for image in images])
    np.testing.assert_array_equal(np.array(rows[1:], int)[:, 1:], expected)
    assert {path.name for path in (out / "masks").iterdir()} == {f"new_{index:02}.png" for index in range(11)}


def test_masks_are_scored(bundle, photos, tmp_path, capsys):
    out, truth = tmp_path / "out", tmp_path / "truth"
    truth.mkdir()
    rng, total = np.random.default_rng(1), np.zeros((5, 5), int)
    model = load_model(bundle, device="cpu")
    for name, shape in SHAPES.items():
        mask = rng.integers(0, 5, shape, dtype=np.uint8)
        Image.fromarray(mask).save(truth / f"{Path(name).name}_mask.png")
        total += confusion(mask, model.labels(photos / "images" / f"{name}.png"), 5)
    total[0] = 0
    predict(bundle, photos, "-o", out, "--masks", truth, "--device", "cpu")
    scores = json.loads((out / "scores.json").read_text())
    assert scores["images"] == 4
    assert scores["score"]["value"] == pytest.approx(float(mean_iou(total, 0)))
    assert scores["score"]["low"] <= scores["score"]["value"] <= scores["score"]["high"]
    assert scores["confusion"]["pixels"] == total.tolist()
    assert list(scores["classes"]) == ["soil", "bedrock", "sand", "big rock"]
    assert scores["classes"]["sand"]["images"] == 4
    output = capsys.readouterr().out
    assert re.search(r"mean IoU 0\.\d{3} \(0\.\d{3} to 0\.\d{3}\) on 4 images", output)
    assert "confusion matrix" in output


def test_unlabelled_pixels_of_true_masks_may_be_below_0(bundle, photos, tmp_path):
    contents = json.loads((bundle / CONTENTS).read_text())
    contents["description"]["values"] = [-1, 1, 2, 3, 4]
    (bundle / CONTENTS).write_text(json.dumps(contents))
    (tmp_path / "truth").mkdir()
    for name, shape in SHAPES.items():
        mask = np.resize(np.array([-1, 1, 2], np.int16), shape)
        np.save(tmp_path / "truth" / f"{Path(name).name}.npy", mask)
    predict(bundle, photos, "-o", tmp_path / "out", "--masks", tmp_path / "truth", "--device", "cpu")
    pixels = np.array(json.loads((tmp_path / "out" / "scores.json").read_text())["confusion"]["pixels"])
    assert pixels.sum(1)[0] == 0
    assert pixels.sum() == sum(height * width - -(-height * width // 3) for height, width in SHAPES.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda truth: (truth / "a.png").unlink(), r"holds no mask for 1 of 4 images: images/a.png"),
        (lambda truth: shutil.copy(truth / "a.png", truth / "a_mask.png"), r"holds 2 masks for images/a.png"),
        (lambda truth: shutil.rmtree(truth), "cannot be listed|holds no mask"),
        (lambda truth: Image.fromarray(np.full((16, 24), 9, np.uint8)).save(truth / "a.png"), "holds 9 at row 0"),
        (
            lambda truth: Image.fromarray(np.zeros((16, 25), np.uint8)).save(truth / "a.png"),
            "is 16x25, its image 16x24",
        ),
    ],
)
def test_masks_that_do_not_fit_are_refused(change, message, bundle, photos, tmp_path):
    truth = tmp_path / "truth"
    truth.mkdir()
    for name, shape in SHAPES.items():
        Image.fromarray(np.zeros(shape, np.uint8)).save(truth / f"{Path(name).name}.png")
    change(truth)
    with pytest.raises(ValueError, match=message):
        predict(bundle, photos, "-o", tmp_path / "out", "--masks", truth, "--device", "cpu")


def test_images_that_cannot_be_read_do_not_stop_the_others(bundle, photos, tmp_path, capsys):
    (photos / "images" / "a.png").write_bytes(b"<html>")
    Image.fromarray(np.zeros((4, 4, 4), np.uint8)).save(photos / "images" / "e.png")
    with pytest.raises(ValueError, match=r"1 of 5 images could not be predicted: .*a\.png: is an HTML page"):
        predict(bundle, photos, "-o", tmp_path / "out", "--submission", "--device", "cpu")
    assert {path.stem for path in (tmp_path / "out" / "masks").iterdir()} == {"b", "c", "d", "e"}
    assert not (tmp_path / "out" / "submission.csv").exists()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["notes.txt"], r"notes.txt: is no image \(.png"),
        (["empty"], "empty: holds no image"),
        (["broken.npz"], "is no npz file"),
        (["other.npz"], r"has no array test_images, .* \(it has other\): name the array of images with --images"),
        (["other.npz", "--images", "other"], r"other has shape \(3,\)"),
        (["photos", "--images", "x"], "--images names an array in an npz file, and no INPUT is one"),
        (["photos", "--submission"], "the images have 3 sizes, such as 24x16"),
        (["photos", "--device", "cuda:77"], "device 'cuda:77' cannot be used here"),
    ],
)
def test_mistakes_are_refused(inputs, message, bundle, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("x")
    Path("empty").mkdir()
    Path("broken.npz").write_bytes(b"x")
    np.savez("other.npz", other=np.zeros(3))
    device = [] if "--device" in inputs else ["--device", "cpu"]
    with pytest.raises(ValueError, match=message):
        predict(bundle, *inputs, "-o", tmp_path / "out", *device)


def test_help_needs_no_heavy_import():
    code = (
        "import sys, runpy; sys.argv = ['predict.py', '--help']\n"
        "try: runpy.run_path('reports/predict.py', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print('heavy:', {'torch', 'numpy', 'matplotlib', 'optuna', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=HANGS_AFTER)
    assert "--probabilities" in done.stdout
    assert "heavy: set()" in done.stderr


@pytest.mark.slow
def test_the_real_command(bundle, photos, tmp_path):
    command = [sys.executable, str(ROOT / "reports" / "predict.py")]
    done = subprocess.run(
        [*command, str(bundle), str(photos), "-o", "out", "--device", "cpu"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0] == f"loading the model of {bundle}"
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 4
    done = subprocess.run(
        [*command, "gone", "x", "-o", "out"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "error: gone: there is no such folder" in done.stderr
    assert "Traceback" not in done.stderr
