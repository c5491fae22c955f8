import shutil

import numpy as np
import pytest

from classify.command import Problem
from classify.data import sources


@pytest.mark.parametrize("option", ["cifar10", "folder"])
def test_a_prepared_folder_is_read_to_the_byte_and_in_order(prepared_cifar10, option):
    root, arrays = prepared_cifar10
    source = sources.find("cifar10", root) if option == "cifar10" else sources.find(str(root / "cifar10" / "3.0.2"))
    assert source.name == "cifar10" and source.class_names == ("frog", "ship", "horse") and source.mirror
    for split, (images, labels) in arrays.items():
        read = source.read(split)
        np.testing.assert_array_equal(read.images, images)
        np.testing.assert_array_equal(read.labels, labels)
        assert read.labels.dtype == np.int64


def test_the_environment_says_where_data_sets_are_prepared(prepared_cifar10, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared_cifar10[0]))
    assert len(sources.find().read("test")) == 21


def test_a_damaged_record_is_a_problem_that_names_the_folder(prepared_cifar10, tmp_path):
    folder = shutil.copytree(prepared_cifar10[0] / "cifar10" / "3.0.2", tmp_path / "copy")
    records = next(folder.glob("*test.tfrecord*"))
    content = bytearray(records.read_bytes())
    content[len(content) // 2] ^= 255
    records.write_bytes(content)
    with pytest.raises(Problem, match="copy.*test split cannot be read"):
        sources.find(str(folder)).read("test")
    records.unlink()
    with pytest.raises(Problem, match="copy"):
        sources.find(str(folder)).read("test")


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_a_folder_that_tfds_did_not_prepare_is_a_problem(content, tmp_path):
    if content is not None:
        (tmp_path / "dataset_info.json").write_text(content)
    with pytest.raises(Problem, match="TFDS prepared"):
        sources.find(str(tmp_path))
