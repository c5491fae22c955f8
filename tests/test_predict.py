"""The command `predict.py`, as a user runs it."""

import csv
import functools
import io
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import PROJECT, script
from PIL import Image

import predict
from classify.command import Problem
from classify.data import sources
from classify.inference import litert, ood, predictor
from classify.inference.loading import load_keras
from classify.inference.tta import average
from classify.runs.saved import SHIPPED
from classify.safety import keras_file


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """The first five digits of the test split as PNG files, and their arrays."""
    folder = tmp_path_factory.mktemp("pictures")
    test = sources.find("digits").read("test")
    for i in range(5):
        Image.fromarray(test.images[i]).save(folder / f"digit {i}.png")
    return folder, test.images[:5]


def test_a_png_gets_the_class_and_probability_of_its_pixels(digits_run, pictures):
    folder, pixels = pictures
    process = script("predict.py", folder, "--model", digits_run.folder, "--json", cwd=digits_run.cwd)
    assert process.returncode == 0 and process.stderr == ""
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    expected = predictor.predict(load_keras(digits_run.folder / "model.keras"), pixels)
    assert [answer["image"] for answer in answers] == [str(folder / f"digit {i}.png") for i in range(5)]
    for answer, probabilities in zip(answers, expected, strict=True):
        assert answer["class"] == str(probabilities.argmax())
        assert answer["probability"] == pytest.approx(probabilities.max(), abs=1e-4)
        assert list(answer["probabilities"].values()) == pytest.approx(probabilities.tolist(), abs=1e-4)


@pytest.fixture
def without_keras(tmp_path):
    """An environment in which importing TensorFlow or Keras ends the program."""
    folder = tmp_path / "broken"
    folder.mkdir()
    for name in ("tensorflow", "keras"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported')")
    return {"PYTHONPATH": str(folder)}


def test_with_a_litert_copy_neither_tensorflow_nor_keras_is_imported(digits_run, pictures, without_keras, tmp_path):
    arguments = (pictures[0], "--json", "--model")
    process = script("predict.py", *arguments, digits_run.folder, cwd=tmp_path, env=without_keras)
    assert process.returncode == 0 and process.stderr == ""
    with_litert = [json.loads(line) for line in process.stdout.splitlines()]

    shutil.copytree(digits_run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("*.tflite"))
    process = script("predict.py", *arguments, "run", cwd=tmp_path)
    assert process.returncode == 0 and process.stderr == ""
    with_keras = [json.loads(line) for line in process.stdout.splitlines()]
    for answer, expected in zip(with_litert, with_keras, strict=True):
        assert answer["class"] == expected["class"]
        probabilities = list(answer["probabilities"].values())
        assert probabilities == pytest.approx(list(expected["probabilities"].values()), abs=1e-4)


def test_the_shipped_model_has_a_current_litert_copy():
    assert litert.find(SHIPPED, keras_file.check(SHIPPED)) is not None


def test_standard_input_and_odd_names(digits_run, pictures, tmp_path):
    content = (pictures[0] / "digit 2.png").read_bytes()
    names = ["-", "./-dash.png", "a b.png", "Ä 図 ж.png"]
    for name in names[1:]:
        (tmp_path / name).write_bytes(content)
    arguments = (*names, "--json", "--model", digits_run.folder)
    process = script("predict.py", *arguments, cwd=tmp_path, input=content, text=False)
    assert process.returncode == 0, process.stderr
    answers = [json.loads(line) for line in process.stdout.decode().splitlines()]
    assert [answer.pop("image") for answer in answers] == ["-", "-dash.png", *names[2:]]
    assert all(answer == answers[0] for answer in answers)


def test_several_models_side_by_side(digits_run, pictures, tmp_path):
    shutil.copy(pictures[0] / "digit 3.png", tmp_path / "x.png")
    models = ("--model", digits_run.folder, "--model", SHIPPED)
    process = script("predict.py", "x.png", *models, cwd=tmp_path)
    assert process.returncode == 0 and process.stderr == ""
    first, second, *charts = process.stdout.splitlines()
    assert first == "x.png" and second.split() == ["cnn-digits", "cnn"] and len(charts) == 4
    process = script("predict.py", "x.png", *models, "--json", cwd=tmp_path)
    answer = json.loads(process.stdout)
    assert answer["image"] == "x.png" and [result["model"] for result in answer["models"]] == ["cnn-digits", "cnn"]
    assert answer["models"][0]["class"] == charts[0].split()[0] and answer["models"][0]["unsure"] is False
    assert len(answer["models"][1]["probabilities"]) == 10


def test_test_time_augmentation_answers_beside_the_plain_answer(digits_run, pictures, without_keras, tmp_path):
    folder, pixels = pictures
    arguments = (folder, "--tta", "--model", digits_run.folder)
    process = script("predict.py", *arguments, "--json", cwd=tmp_path, env=without_keras)
    assert process.returncode == 0 and process.stderr == ""
    model = load_keras(digits_run.folder / "model.keras")
    predict_pixels = functools.partial(predictor.predict, model)
    plain, expected = predictor.predict(model, pixels), average(predict_pixels, pixels, mirror=False)
    mirrored = average(predict_pixels, pixels, mirror=True)
    assert all(np.abs(np.log(expected / other)).max() > 0.01 for other in (plain, mirrored))
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    for answer, before, after in zip(answers, plain, expected, strict=True):
        assert list(answer["probabilities"].values()) == pytest.approx(before.tolist(), abs=1e-4)
        assert list(answer["tta"]["probabilities"].values()) == pytest.approx(after.tolist(), abs=1e-4)
        assert answer["tta"]["class"] == str(after.argmax())
        assert answer["tta"]["probability"] == pytest.approx(after.max(), abs=1e-4)
    arguments = ("digit 0.png", *arguments[1:])
    first, *_ = script("predict.py", *arguments, cwd=folder, env=without_keras).stdout.splitlines()
    top = plain[0].argmax()
    assert f"{100 * plain[0, top]:.1f} %  █" in first and first.endswith(f"TTA {100 * expected[0, top]:5.1f} %")


def test_a_chart_of_the_top_classes(digits_run, pictures, tmp_path):
    shutil.copy(pictures[0] / "digit 0.png", tmp_path / "x.png")
    process = script("predict.py", "x.png", "--top", "2", "--model", digits_run.folder, cwd=tmp_path)
    lines = process.stdout.splitlines()
    assert process.returncode == 0 and len(lines) == 3
    assert lines[0].startswith("x.png  ") and "█" in lines[0] and "8 others" in lines[2]


def test_a_picture_unlike_the_classes_is_called_unsure_in_words(digits_run, pictures, tmp_path):
    run = shutil.copytree(digits_run.folder, tmp_path / "run")
    folder, pixels = pictures
    info = json.loads((run / "run.json").read_text())
    assert info["unsure"]["score"] == ood.SCORE and info["unsure"]["threshold"] > 0
    scores = ood.generalized_entropy(predictor.predict(load_keras(run / "model.keras"), pixels[:2]))
    scores += info["unsure"]["weight"] * ood.distance(ood.statistics(pixels[:2]), info["unsure"])
    info["unsure"]["threshold"] = scores.mean()  # between the two, whichever the network is surer of
    (run / "run.json").write_text(json.dumps(info))
    sure, unsure = (f"digit {i}.png" for i in np.argsort(scores))
    arguments = (sure, unsure, "--model", run)
    lines = script("predict.py", *arguments, cwd=folder).stdout.splitlines()
    assert len(lines) == 5 and lines[0].startswith(f"{sure}  ") and "█" in lines[0]
    assert lines[4].startswith(f"{unsure}  not sure: perhaps none of the 10 classes (best guess ")
    assert len(lines[4]) <= 80
    answers = script("predict.py", *arguments, "--json", cwd=folder).stdout.splitlines()
    assert [json.loads(answer)["unsure"] for answer in answers] == [False, True]


def test_an_explanation_of_each_image_is_written(digits_run, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    digit, model = str(pictures[0] / "digit 0.png"), str(digits_run.folder)
    assert predict.main([digit, "--model", model, "--explain-to", "why"]) == 0
    explained = tmp_path / "why" / "digit 0.png.explained.png"
    assert "explained in why/digit 0.png.explained.png\n" in capsys.readouterr().err
    assert min(Image.open(explained).size) > 300
    content = Path(digit).read_bytes()
    process = script("predict.py", "-", "--model", model, "--explain", cwd=tmp_path, input=content, text=False)
    assert process.returncode == 0 and process.stderr == b"-: explained in stdin.explained.png\n"
    shown = [np.asarray(Image.open(path)) for path in (explained, tmp_path / "stdin.explained.png")]
    np.testing.assert_array_equal(*shown)


def test_an_explanation_of_a_class_that_is_none_or_of_two_models_is_one_line(digits_run, pictures, capsys):
    arguments = [str(pictures[0] / "digit 0.png"), "--model", str(digits_run.folder)]
    with pytest.raises(Problem, match="^--explain-class: there is no class 11; did you mean 1\\?$") as problem:
        predict.main([*arguments, "--explain-class", "11"])
    assert problem.value.status == 2 and capsys.readouterr().out == ""
    with pytest.raises(SystemExit) as exit:
        predict.main([*arguments, "--model", str(SHIPPED), "--explain"])
    assert exit.value.code == 2 and capsys.readouterr().err.endswith(": --explain takes one --model\n")


def test_a_table_as_csv(digits_run, pictures, tmp_path, in_process):
    name = 'a,"b"\nc.png'
    shutil.copy(pictures[0] / "digit 3.png", tmp_path / name)
    (tmp_path / "empty.png").touch()
    process = in_process(predict.main, tmp_path, "--csv", "--model", digits_run.folder, cwd=tmp_path)
    assert process.returncode == 1 and process.stderr.startswith(f"{tmp_path}/empty.png: ")
    [heading, row] = csv.reader(io.StringIO(process.stdout))
    assert heading == ["file", "class", "probability", "unsure"]
    [expected] = predictor.predict(load_keras(digits_run.folder / "model.keras"), pictures[1][3:4])
    assert row[:2] == [str(tmp_path / name), str(expected.argmax())] and row[3] in ("true", "false")
    assert float(row[2]) == pytest.approx(expected.max(), abs=1e-4)


def test_pictures_sorted_into_folders(digits_run, pictures, tmp_path, in_process):
    run = shutil.copytree(digits_run.folder, tmp_path / "run")
    info = json.loads((run / "run.json").read_text())
    scores = ood.generalized_entropy(predictor.predict(load_keras(run / "model.keras"), pictures[1]))
    info["unsure"] = {"score": ood.ENTROPY, "threshold": np.sort(scores)[-2:].mean()}  # one of the five is not sure
    info["class_names"] = [f"digit/{i}" for i in range(10)]
    (run / "run.json").write_text(json.dumps(info))
    shutil.copytree(pictures[0], tmp_path / "new")
    (tmp_path / "new" / "empty.png").touch()
    command = ("new", "--json", "--model", "run", "--sort-into", "new/sorted")  # within the folder that is read
    for _ in range(2):  # the second time there is nothing left to do
        process = in_process(predict.main, *command, cwd=tmp_path)
        assert process.returncode == 1
        answers = [json.loads(line) for line in process.stdout.splitlines()]
        folders = ["not sure" if a["unsure"] else a["class"].replace("/", "_") for a in answers]
        assert folders.count("not sure") == 1 and len(folders) == 5
        expected = {f"{folder}/digit {i}.png" for i, folder in enumerate(folders)}
        found = [path for path in (tmp_path / "new" / "sorted").rglob("*") if path.is_file()]
        assert {path.relative_to(tmp_path / "new" / "sorted").as_posix() for path in found} == expected
        assert all(path.read_bytes() == (tmp_path / "new" / path.name).read_bytes() for path in found)
        renamed, problem, counts = process.stderr.splitlines()[0], *process.stderr.splitlines()[-2:]
        assert renamed == "pictures of digit/0 go into new/sorted/digit_0" and problem.startswith("new/empty.png: ")
        assert counts.startswith("new/sorted: 1 digit_") and counts.endswith(" · 1 not sure")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--csv", "--json"), "argument --json: not allowed with argument --csv"),
        (("--csv", "--tta"), "--csv has no column for --tta; pass --json"),
        (("--csv", "--model", "a", "--model", "b"), "--csv takes one --model"),
        (("--sort-into", "x", "--model", "a", "--model", "b"), "--sort-into takes one --model"),
    ],
)
def test_options_that_exclude_each_other(arguments, line, capsys):
    with pytest.raises(SystemExit) as exit:
        predict.parse(["x.png", *arguments])
    assert exit.value.code == 2 and capsys.readouterr().err.endswith(f": {line}\n")


def test_a_run_on_ones_own_pictures_says_all_that_prediction_needs(digits_run, pictures, elsewhere, in_process):
    """The newest run is one on digits; the run before it is on a person's own pictures, in other classes."""
    for name, changes in (
        ("cnn-photos", {"data": "photos", "data_fingerprint": "1" * 32, "class_names": list("abcdefghij")}),
        ("cnn-digits", {}),
    ):
        run = shutil.copytree(digits_run.folder, elsewhere / "runs" / name)
        info = json.loads((run / "run.json").read_text()) | changes
        (run / "run.json").write_text(json.dumps(info))
    process = in_process(predict.main, pictures[0] / "digit 0.png", "--json", cwd=elsewhere)
    assert process.returncode == 0 and process.stderr == "model: cnn-photos (runs/cnn-photos/model.keras)\n"
    assert list(json.loads(process.stdout)["probabilities"]) == list("abcdefghij")
    info = json.loads((elsewhere / "runs/cnn-photos/run.json").read_text()) | {"reduction": "of the future"}
    (elsewhere / "runs/cnn-photos/run.json").write_text(json.dumps(info))
    process = in_process(predict.main, pictures[0] / "digit 0.png", "--model", "cnn-photos", cwd=elsewhere)
    assert process.returncode == 1 and process.stdout == "" and process.stderr.count("\n") == 1
    assert "reduced pictures in a way that is unknown here, of the future" in process.stderr


def test_bad_images_are_named_and_the_good_ones_answered(digits_run, pictures, tmp_path):
    shutil.copy(pictures[0] / "digit 1.png", tmp_path / "good.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    names = ("good.png", "empty.png", "notes.txt", "folder", "missing.png", "*.webp")
    process = script("predict.py", *names, "--json", "--model", digits_run.folder, cwd=tmp_path)
    assert process.returncode == 1
    assert [json.loads(line)["image"] for line in process.stdout.splitlines()] == ["good.png"]
    problems = process.stderr.splitlines()
    assert len(problems) == 5 and all(any(line.startswith(name) for line in problems) for name in names[1:])


def test_no_usable_image_at_all(tmp_path):
    process = script("predict.py", "missing.png", cwd=tmp_path)
    assert process.returncode == 1 and process.stderr == "missing.png: no such file\n" and process.stdout == ""


@pytest.mark.parametrize("model", ["nowhere", "text.keras"])
def test_a_model_that_is_none(model, pictures, tmp_path):
    (tmp_path / "text.keras").write_text("hello")
    process = script("predict.py", pictures[0] / "digit 0.png", "--model", model, cwd=tmp_path)
    assert process.returncode == 1 and model in process.stderr and process.stderr.count("\n") == 1


def test_models_that_cannot_be_used_are_named_and_the_good_one_answers(digits_run, pictures, tmp_path, in_process):
    (tmp_path / "text.keras").write_text("hello")
    corrupt = shutil.copytree(digits_run.folder, tmp_path / "corrupt")
    (corrupt / "run.json").write_text(json.dumps({"class_names": "0123456789"}))
    logits = keras.Sequential([keras.layers.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    logits.save(tmp_path / "logits.keras")
    models = ("nope", "text.keras", "corrupt", "logits.keras", digits_run.folder)
    options = [option for model in models for option in ("--model", model)]
    process = in_process(predict.main, pictures[0] / "digit 0.png", *options, "--json", cwd=tmp_path)
    assert process.returncode == 1 and "class" in json.loads(process.stdout)
    problems = process.stderr.splitlines()
    assert len(problems) == 4 and "class_names" in problems[1]
    assert all(any(model in line for line in problems) for model in models[:4])
    assert problems[3] == "logits.keras: the model does not return probabilities: its rows do not sum to 1"


def test_a_corrupt_run_does_not_stop_the_command_without_a_model(pictures, elsewhere, finished_run, in_process):
    finished_run("torn")
    (elsewhere / "runs" / "torn" / "run.json").write_text("{")
    process = in_process(predict.main, pictures[0] / "digit 0.png", "--json", cwd=elsewhere)
    assert process.returncode == 0 and len(json.loads(process.stdout)["probabilities"]) == 10
    problem, model = process.stderr.splitlines()
    assert problem.startswith("runs/torn/run.json is not a run's description: it is no JSON")
    assert model.startswith("model: shipped")


def test_two_models_of_one_name_are_told_apart(digits_run, pictures, tmp_path, in_process):
    shutil.copytree(digits_run.folder, tmp_path / "older" / "cnn-digits")
    shutil.copytree(digits_run.folder, tmp_path / "runs" / "cnn-digits")
    options = ("--model", "cnn-digits", "--model", "older/cnn-digits", "--model", "runs/cnn-digits")
    process = in_process(predict.main, pictures[0] / "digit 0.png", *options, "--json", cwd=tmp_path)
    answers = json.loads(process.stdout)["models"]
    assert [answer["model"] for answer in answers] == ["runs/cnn-digits", "older/cnn-digits"]


def test_file_and_class_names_forge_no_lines(digits_run, pictures, tmp_path, in_process):
    name = "x\nforged.png  cat 100 %\x1b[2J.png"
    shutil.copy(pictures[0] / "digit 0.png", tmp_path / name)
    (tmp_path / "\x1b]0;notes.txt").write_text("hello")
    run = shutil.copytree(digits_run.folder, tmp_path / "run")
    info = json.loads((run / "run.json").read_text())
    info["class_names"] = [f"{digit}\nforged" for digit in range(10)]
    (run / "run.json").write_text(json.dumps(info))
    process = in_process(predict.main, name, "\x1b]0;notes.txt", "--model", "run", "--top", 10, cwd=tmp_path)
    lines = process.stdout.splitlines()
    assert lines[0] == r"x\nforged.png  cat 100 %\x1b[2J.png" and len(lines) == 11
    assert all(line.isprintable() and r"\nforged" in line for line in lines)
    assert len(process.stderr.splitlines()) == 1 and process.stderr.strip().isprintable()
    process = in_process(predict.main, name, "--model", "run", "--json", cwd=tmp_path)
    assert json.loads(process.stdout)["image"] == name and process.stdout.count("\n") == 1


def test_a_model_without_a_description_gets_numbered_classes(digits_run, pictures, tmp_path):
    shutil.copy(digits_run.folder / "model.keras", tmp_path / "bare.keras")
    process = script("predict.py", pictures[0] / "digit 0.png", "--model", "bare.keras", "--json", cwd=tmp_path)
    answer = json.loads(process.stdout)
    assert answer["class"].startswith("class ") and answer["unsure"] is None
    assert "bare.keras has no run.json beside it" in process.stderr


def test_the_shipped_model_is_used_where_there_is_no_run(tmp_path, rng):
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype="uint8")).save(tmp_path / "x.png")
    process = script("predict.py", "x.png", "--json", cwd=tmp_path)
    assert process.returncode == 0
    assert process.stderr == f"model: shipped ({PROJECT / 'models' / 'pretrained' / 'cnn.keras'})\n"
    names = list(json.loads(process.stdout)["probabilities"])
    assert names[:2] == ["airplane", "automobile"] and len(names) == 10


def test_many_images_stream_in_order(digits_run, tmp_path):
    for i in range(2 * predictor.BATCH_SIZE + 3):
        Image.fromarray(np.full((8, 8, 3), i % 256, "uint8")).save(tmp_path / f"{i:04}.png")
    process = script("predict.py", tmp_path, "--json", "--model", digits_run.folder, cwd=tmp_path)
    names = [json.loads(line)["image"][-8:-4] for line in process.stdout.splitlines()]
    assert names == [f"{i:04}" for i in range(2 * predictor.BATCH_SIZE + 3)]


def test_shards_together_answer_for_all_images_once(tmp_path, rng, in_process):
    for n in range(3):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype="uint8")).save(tmp_path / f"{n}.png")

    def lines(*options):
        process = in_process(predict.main, tmp_path, "--json", "--model", SHIPPED, *options, cwd=tmp_path)
        assert process.returncode == 0, process.stderr
        return process.stdout.splitlines()

    parts = [lines("--shard", f"{i}/4") for i in (1, 2, 3, 4)]
    assert [len(part) for part in parts] == [1, 1, 1, 0]
    assert sorted(sum(parts, [])) == lines()
