"""The command `evaluate.py`, as a user runs it; mostly in this process, since Keras takes long to start."""

import csv
import functools
import json
import shutil
from pathlib import Path

import jsonschema
import keras
import numpy as np
import pytest
from conftest import PROJECT, script
from PIL import Image
from sklearn import metrics as reference
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import evaluate
import train_cnn
from classify import files
from classify.command import Problem
from classify.data import sources, splits
from classify.evaluation import robustness
from classify.inference import tta
from classify.runs.history import COLUMNS, as_csv

SCHEMA = json.loads((PROJECT / "docs" / "evaluate.schema.json").read_text())


@pytest.fixture(scope="module")
def linear_run(tmp_path_factory):
    """A finished run on digits of a small and quick model: linear discriminant analysis."""
    train = splits.read_split(sources.find("digits"), "train")
    shrink = [keras.layers.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255), keras.layers.AveragePooling2D(4)]
    last = keras.layers.Dense(10, "softmax")
    model = keras.Sequential([*shrink, keras.layers.Flatten(), last])
    pixels = keras.Sequential([*shrink, keras.layers.Flatten()]).predict(train.images, verbose=0)
    fitted = LinearDiscriminantAnalysis("lsqr", shrinkage=0.1).fit(pixels, train.labels)
    last.set_weights([0.3 * fitted.coef_.T, 0.3 * fitted.intercept_])  # or it would be surer than float32 can say
    folder = tmp_path_factory.mktemp("linear")
    model.save(folder / "model.keras")
    epochs = [dict.fromkeys(COLUMNS, 0.5) | {"epoch": epoch} for epoch in (1, 2)]
    (folder / "history.csv").write_text(as_csv(epochs))
    info = {"status": "finished", "recipe": "standard", "data": "digits", "class_names": list("0123456789")}
    info |= {"options": {"data": "digits", "validation": 0.1}, "splits": {"train": 1293, "validation": 144}}
    info["validation_fingerprint"] = splits.fingerprint(splits.read_split(sources.find("digits"), "validation"))
    (folder / "run.json").write_text(json.dumps(info))
    return folder


@pytest.fixture
def folder(linear_run, tmp_path):
    """A working folder with two runs on digits and one of other data."""
    for name, changes in (
        ("cnn-digits", {}),
        ("second", {"recipe": "tutorial"}),
        ("other", {"data": "no-such-data", "options": {"data": "no-such-data"}}),
    ):
        run = shutil.copytree(linear_run, tmp_path / "runs" / name)
        info = json.loads((run / "run.json").read_text()) | changes
        (run / "run.json").write_text(json.dumps(info))
    return tmp_path


@pytest.fixture
def run(in_process):
    """A function that runs `evaluate.py` in a folder."""
    return functools.partial(in_process, evaluate.main)


@pytest.fixture
def results(run):
    """A function that returns what `evaluate.py --json` prints."""

    def results(*arguments, cwd):
        process = run("--json", *arguments, cwd=cwd)
        assert process.returncode == 0, process.stderr
        printed = json.loads(process.stdout)
        jsonschema.validate(printed, SCHEMA)
        return printed

    return results


@pytest.fixture
def rows(results):
    """A function that returns its entries of the models."""
    return lambda *arguments, cwd: results(*arguments, cwd=cwd)["models"]


def test_the_schema_is_one_and_notices_what_is_missing():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    empty = {"version": 1, "models": [], "comparisons": []}
    jsonschema.validate(empty, SCHEMA)
    for wrong in (empty | {"version": 2}, empty | {"models": [{"name": "cnn"}]}, empty | {"more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, SCHEMA)


def test_its_figures_are_scikit_learns_from_the_models_predictions(folder, results):
    result = results("cnn-digits", "second", "--tta", cwd=folder)
    row, same = result["models"]
    test = sources.find("digits").read("test")
    model = keras.saving.load_model(folder / "runs/cnn-digits/model.keras")
    probabilities = model.predict(test.images, verbose=0)
    predicted = probabilities.argmax(axis=1)
    assert row["accuracy"] == pytest.approx(reference.accuracy_score(test.labels, predicted))
    assert row["macro"]["f1"] == pytest.approx(reference.f1_score(test.labels, predicted, average="macro"))
    assert row["loss"] == pytest.approx(reference.log_loss(test.labels, probabilities), abs=1e-5)
    assert row["confusion_matrix"] == reference.confusion_matrix(test.labels, predicted).tolist()
    assert row["calibration"]["nll"] == pytest.approx(row["loss"])
    assert sum(part["count"] for part in row["calibration"]["bins"]) == row["n"] == 360
    assert row["parameters"] == model.count_params() == 1930 and row["images_per_second"] > 0
    assert row["bytes"] == (folder / "runs/cnn-digits/model.keras").stat().st_size
    averaged = tta.average(lambda images: model.predict(images, verbose=0), test.images, mirror=False)
    assert row["tta"]["accuracy"] == pytest.approx(reference.accuracy_score(test.labels, averaged.argmax(axis=1)))
    own = ("name", "images_per_second")
    assert {key: same[key] for key in same if key not in own} == {key: row[key] for key in row if key not in own}
    [comparison] = result["comparisons"]
    assert comparison["models"] == ["cnn-digits", "second"]
    assert (comparison["difference"], comparison["p"], comparison["disagreements"]) == (0, 1, 0)
    assert comparison["both_right"] + comparison["both_wrong"] == 360


def test_a_wrong_on_purpose_classifier(tmp_path, rows):
    """A model that calls everything a 3, on the digits test split: wrong nine times in ten, recall 1 for 3 alone."""
    model = keras.Sequential([keras.layers.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    model.add(keras.layers.Softmax())
    model.layers[1].set_weights([np.zeros((3072, 10)), np.eye(10)[3] * 5])
    model.save(tmp_path / "three.keras")
    [row] = rows("three.keras", "--data", "digits", cwd=tmp_path)
    share = row["per_class"]["3"]["support"] / 360
    assert row["accuracy"] == pytest.approx(share)
    assert row["per_class"]["3"] == pytest.approx(
        {"precision": share, "recall": 1, "f1": 2 * share / (1 + share), "support": 37}
    )
    assert row["macro"]["recall"] == pytest.approx(0.1) and row["macro"]["precision"] == pytest.approx(share / 10)


def test_it_repeats_what_training_measured(digits_run, rows):
    [row] = rows(digits_run.folder, cwd=digits_run.cwd)
    stored = json.loads((digits_run.folder / "metrics.json").read_text())
    assert {key: row[key] for key in stored} == stored


def test_the_validation_split_is_the_one_the_run_chose_on(tmp_path, in_process, without_litert, rows):
    options = ("--data", "digits", "--limit", "256", "--epochs", "3", "--validation", "0.2", "--precision", "float32")
    assert in_process(train_cnn.main, *options, "--recipe", "tutorial", cwd=tmp_path).returncode == 0
    [row] = rows("cnn-tutorial-digits", "--split", "validation", cwd=tmp_path)
    assert "flatter" in (tmp_path / "runs/report-digits-validation.html").read_text(encoding="utf-8")
    assert not (tmp_path / "runs/report-digits.html").exists()
    epochs = (tmp_path / "runs" / "cnn-tutorial-digits" / "history.csv").read_text().splitlines()[1:]
    best = max(float(epoch.split(",")[4]) for epoch in epochs)
    assert row["n"] == 288 and row["accuracy"] == pytest.approx(best, abs=1e-5)


def test_runs_that_cut_validation_differently_are_not_compared_on_validation(folder, run):
    info = json.loads((folder / "runs/second/run.json").read_text())
    info["options"]["validation"] = 0.2
    (folder / "runs/second/run.json").write_text(json.dumps(info))
    process = run("cnn-digits", "second", "--split", "validation", cwd=folder)
    assert process.returncode == 1 and "second was trained with another --validation" in process.stderr


def test_one_table_a_data_set_and_one_that_is_missing_stops_no_other(folder, run):
    process = run(cwd=folder)  # the run named other is of data that nobody has
    assert process.returncode == 1 and "digits test, 360 images" in process.stdout
    assert "there is no data set no-such-data" in process.stderr and "Traceback" not in process.stderr


def test_logits_are_no_probabilities(tmp_path, run):
    layers = [keras.layers.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)]
    keras.Sequential(layers).save(tmp_path / "logits.keras")
    keras.Sequential(layers[:1] + [keras.layers.Conv2D(10, 3)]).save(tmp_path / "map.keras")
    process = run("logits.keras", "map.keras", "--data", "digits", cwd=tmp_path)
    assert process.returncode == 1 and "do not sum to 1" in process.stderr and "map.keras does not" in process.stderr
    assert "Traceback" not in process.stderr


def test_a_description_of_class_names_alone(folder, run, rows):
    shutil.copy(folder / "runs/cnn-digits/model.keras", folder / "named.keras")
    (folder / "named.json").write_text(json.dumps({"class_names": list("0123456789")}))
    assert "pass --data" in run("named.keras", cwd=folder).stderr
    [row] = rows("named.keras", "--data", "digits", cwd=folder)
    assert row["accuracy"] > 0.9


def test_tables_for_people(folder):
    process = script("evaluate.py", "cnn-digits", "runs/second", cwd=folder)
    *doing, page = process.stderr.splitlines()
    assert process.returncode == 0 and Path(page) == Path("runs/report-digits.html")
    assert doing == ["measuring cnn-digits on 360 images", "measuring second on 360 images"]
    lines = process.stdout.splitlines()
    assert lines[0] == "digits test, 360 images; below each figure its 95 % interval"
    assert [lines[i].split()[0] for i in (4, 6)] == ["cnn-digits", "second"]
    assert [line.split()[0] for line in lines[11:13]] == ["cnn-digits", "second"]
    assert "cnn-digits and second are equally accurate" in process.stdout
    assert "They give the same answer to every image." in lines
    assert max(map(len, lines)) <= 80
    page = (folder / "runs/report-digits.html").read_text(encoding="utf-8")
    assert "digits test: cnn-digits and second" in page and "cnn-digits and second are equally accurate" in page
    assert page.count("<picture>") == 7 and "Epoch " in page


def test_accuracy_on_corrupted_images(folder, rows):
    [row] = rows("cnn-digits", "--robust-images", "60", cwd=folder)
    robust = row["robustness"]
    assert robust["n"] == 60 and robust["clean"] > 0.9 and robust["precision"] == "float32"
    accuracies = [corruption["accuracies"] for corruption in robust["corruptions"].values()]
    assert np.shape(accuracies) == (7, 5) and robust["mean"] == pytest.approx(np.mean(accuracies))
    assert robust["interval"][0] < robust["mean"] < robust["interval"][1]
    assert 0.3 < robust["mean"] < robust["clean"] and robust["corruptions"]["shift"]["accuracies"][4] < robust["clean"]


def test_without_a_name_the_newest_run_of_each_recipe(digits_run, run):
    process = run(cwd=digits_run.cwd)
    assert process.returncode == 0 and "cnn-digits" in process.stdout


COLOURS = ("blue", "green", "red")  # each is a class of pictures of that colour


def coloured(root, class_names=COLOURS, n=10):
    """Make a folder of ``n`` pictures a class, no two alike, and return it."""
    for class_name in class_names:
        (root / class_name).mkdir(parents=True)
        channel = ("red", "green", "blue").index(class_name)
        for i in range(n):
            pixels = np.zeros((40, 50, 3), "uint8")
            pixels[..., channel] = 100 + 10 * i
            Image.fromarray(pixels).save(root / class_name / f"{class_name}-{i}.png")
    return root


def colour_run(folder, name, data, class_names=COLOURS, size=32, **changes):
    """Make a finished run of a network that knows colours, as if it had been trained on a folder of pictures."""
    kernel = np.eye(3)[:, [("red", "green", "blue").index(class_name) for class_name in class_names]]
    model = keras.Sequential([keras.layers.Input((size, size, 3)), keras.layers.GlobalAveragePooling2D()])
    model.add(keras.layers.Dense(len(class_names), "softmax"))
    model.layers[-1].set_weights([0.01 * kernel, np.zeros(len(class_names))])
    run = folder / "runs" / name
    run.mkdir(parents=True)
    model.save(run / "model.keras")
    info = {"status": "finished", "recipe": name, "class_names": list(class_names), "data": data.name}
    info |= {"data_fingerprint": sources.find(str(data)).fingerprint(), "reduction": "centre-lanczos"}
    info |= {"options": {"data": str(data), "validation": 0.1, "test": 0.2}} | changes
    (run / "run.json").write_text(json.dumps(info))


def test_models_of_two_image_sizes_on_a_folder_of_pictures(elsewhere, results, run):
    photos = coloured(elsewhere / "photos")
    colour_run(elsewhere, "cnn-photos", photos, size=32)
    colour_run(elsewhere, "inception-photos", photos, size=48)
    result = results(cwd=elsewhere)
    assert [row["name"] for row in result["models"]] == ["inception-photos", "cnn-photos"]
    assert [(row["data"], row["n"], row["accuracy"]) for row in result["models"]] == [("photos", 6, 1)] * 2
    [comparison] = result["comparisons"]
    assert comparison["both_right"] == 6
    assert (elsewhere / "runs/report-photos.html").is_file()
    (photos / "blue" / "blue-0.png").unlink()
    process = run("cnn-photos", cwd=elsewhere)
    assert process.returncode == 1 and process.stdout == "" and process.stderr.count("\n") == 1
    assert process.stderr.startswith("photos has changed since cnn-photos was trained on it")


def test_another_folder_is_measured_by_the_names_of_its_classes(elsewhere, results, run):
    photos, other = coloured(elsewhere / "photos"), coloured(elsewhere / "other", ("green", "red"), n=4)
    colour_run(elsewhere, "cnn-photos", photos, class_names=("red", "blue", "green"))
    [row] = results("cnn-photos", "--data", other, cwd=elsewhere)["models"]
    assert (row["data"], row["n"], row["accuracy"]) == ("other", 8, 1)
    assert row["class_names"] == ["red", "blue", "green"] and row["per_class"]["blue"]["support"] == 0
    assert (elsewhere / "runs/report-other.html").is_file()
    (other / "green").rename(other / "wasps")
    process = run("cnn-photos", "--data", other, cwd=elsewhere)
    assert process.returncode == 1 and process.stderr == "other has classes that cnn-photos does not know: wasps\n"


def test_two_folders_of_one_name_have_a_table_and_a_report_each(elsewhere, run):
    folders = [coloured(elsewhere / place / "photos", n=n) for place, n in (("a", 10), ("b", 15))]
    for name, photos in zip(("cnn-a", "cnn-b"), folders, strict=True):
        colour_run(elsewhere, name, photos)
    process = run(cwd=elsewhere)
    assert process.returncode == 0
    assert "photos test, 6 images" in process.stdout and "photos test, 9 images" in process.stdout
    fingerprint = sources.find(str(folders[1])).fingerprint()
    reports = [elsewhere / "runs" / name for name in ("report-photos.html", f"report-photos-{fingerprint[:8]}.html")]
    assert [name in report.read_text("utf-8") for report in reports for name in ("cnn-a", "cnn-b")] == [1, 0, 0, 1]
    process = run("cnn-a", "cnn-b", cwd=elsewhere)
    assert process.returncode == 2 and f"({folders[0]}) and photos ({folders[1]})" in process.stderr
    shutil.rmtree(folders[0])
    process = run("cnn-a", cwd=elsewhere)
    gone = f"cnn-a was trained on {folders[0]}, which is not there any more; pass --data with its new place\n"
    assert process.returncode == 1 and process.stderr == gone


def test_a_report_that_cannot_be_written_costs_no_figures(digits_run, tmp_path, run):
    (tmp_path / "runs").touch()
    process = run(digits_run.folder, "--json", cwd=tmp_path)
    assert process.returncode == 1 and len(json.loads(process.stdout)["models"]) == 1
    _, line = process.stderr.splitlines()
    assert line.startswith("there is no report: ")


def test_a_full_disk_costs_the_report_and_no_figures(digits_run, tmp_path, run, monkeypatch):
    def full(*args):
        raise files.DiskFull("report.html cannot be written, the disk is full")

    monkeypatch.setattr(files, "write_text", full)
    process = run(digits_run.folder, "--json", cwd=tmp_path)
    assert process.returncode == 1 and len(json.loads(process.stdout)["models"]) == 1
    assert process.stderr.splitlines()[-1].startswith("there is no report: report.html cannot be written")


def test_models_of_different_data_are_not_compared(folder, run):
    process = run("cnn-digits", "other", cwd=folder)
    assert process.returncode == 2 and "must share their data" in process.stderr and process.stdout == ""
    assert process.stderr.count("\n") == 1


def test_a_command_line_becomes_settings():
    plain = evaluate.parse([])
    assert plain == evaluate.Settings((), "test", None, None, None, False, False, 0, False)
    assert evaluate.parse(["--robust"]).robust_images == evaluate.ROBUST_IMAGES == 1000
    assert evaluate.parse(["--robust-images", "60"]) == evaluate.parse(["--robust", "--robust-images", "60"])
    given = evaluate.parse(["a", "b", "--data", "x", "--label", "coarse", "--split", "train", "--tta", "--json"])
    assert given == evaluate.Settings(("a", "b"), "train", "x", None, "coarse", False, True, 0, True)


def test_two_models_of_one_name_are_told_apart(folder, results):
    for place in ("first", "last"):
        shutil.copytree(folder / "runs/cnn-digits", folder / place / "cnn")
    printed = results("first/cnn", "second", "last/cnn", "runs/../last/cnn", cwd=folder)
    names = [Path(row["name"]) for row in printed["models"]]
    assert names == [Path("first/cnn"), Path("second"), Path("last/cnn")]
    assert [Path(name) for name in printed["comparisons"][0]["models"]] == [Path("first/cnn"), Path("second")]


def test_a_measurement_that_fails_late_costs_no_other_model_its_row(folder, run, monkeypatch):
    robust = robustness.measure

    def fails(model, sample, name):
        if name == "cnn-digits":
            raise Problem("cnn-digits gives up")
        return robust(model, sample, name)

    monkeypatch.setattr(robustness, "measure", fails)
    process = run("cnn-digits", "second", "--robust-images", "20", "--json", cwd=folder)
    assert process.returncode == 1 and "cnn-digits gives up" in process.stderr
    assert [row["name"] for row in json.loads(process.stdout)["models"]] == ["second"]
    assert "digits test: second" in (folder / "runs/report-digits.html").read_text(encoding="utf-8")


def test_what_cannot_be_used_is_named_and_the_others_are_measured(folder, run):
    (folder / "broken.keras").write_text("no model")
    (folder / "half.keras").write_bytes((folder / "runs/cnn-digits/model.keras").read_bytes()[:5000])
    process = run("cnn-digits", "broken.keras", "half.keras", "nowhere", cwd=folder)
    assert process.returncode == 1 and "cnn-digits" in process.stdout
    for name in ("broken.keras", "half.keras", "nowhere"):
        assert sum(name in line for line in process.stderr.splitlines()) == 1
    assert "Traceback" not in process.stderr


def test_a_model_of_unknown_data_needs_to_be_told(folder, run, rows):
    shutil.copy(folder / "runs/cnn-digits/model.keras", folder / "bare.keras")
    process = run("bare.keras", cwd=folder)
    assert process.returncode == 1 and "pass --data" in process.stderr
    [row] = rows("bare.keras", "--data", "digits", cwd=folder)
    assert row["name"] == "bare" and row["accuracy"] > 0.9


def test_labels_that_look_wrong_are_listed_in_json_in_the_report_and_in_a_table(folder, results):
    printed = results("second", "cnn-digits", "--check-labels", cwd=folder)
    [entry] = [row["labels"] for row in printed["models"] if "labels" in row]
    assert entry["splits"] == ["validation", "test"] and entry["n"] == 144 + 360
    model = keras.saving.load_model(folder / "runs/cnn-digits/model.keras")
    for doubt in entry["doubtful"]:
        split = splits.read_split(sources.find("digits"), doubt["split"])
        [probabilities] = model.predict(split.images[[doubt["row"]]], verbose=0)
        label = split.labels[doubt["row"]]
        assert doubt["label"] == str(label) and doubt["label_quality"] == pytest.approx(probabilities[label], abs=1e-5)
        assert probabilities.argmax() != label
    assert 0 < len(entry["doubtful"]) < 30
    with open(folder / "runs/labels-digits.csv", encoding="utf-8", newline="") as file:
        rows = [(row["split"], int(row["row"])) for row in csv.DictReader(file)]
    assert rows == [(doubt["split"], doubt["row"]) for doubt in entry["doubtful"]]
    page = (folder / "runs/report-digits.html").read_text(encoding="utf-8")
    assert page.count('alt="labelled ') == len(rows)


def test_labels_are_checked_on_a_runs_own_data_and_only_with_cleanlab(folder, run, monkeypatch):
    process = run("cnn-digits", "--check-labels", "--data", "digits", cwd=folder)
    assert process.returncode == 2 and "--check-labels takes neither --data nor --label nor --split" in process.stderr
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    process = run("cnn-digits", "--check-labels", cwd=folder)
    assert process.returncode == 1 and process.stdout == ""
    assert process.stderr == (
        "evaluate.py: cleanlab is not installed; python -m pip install -r requirements-labels.txt\n"
    )
