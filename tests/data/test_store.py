import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from classify.command import Problem
from classify.data import store
from classify.data.store import Shards


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(store, "SHARD_IMAGES", 4)


class Pictures:
    """Ten pictures of one colour each; the third cannot be read."""

    def __init__(self):
        self.read_rows = []

    def items(self, first, last):
        return range(first, last)

    def read(self, row):
        self.read_rows.append(row)
        if row == 2:
            return None, {"problem": "broken"}
        return np.full((5, 5, 3), 10 * row, "uint8"), {"row": row}

    def make(self, folder):
        return store.make(folder, 10, self.items, self.read, 5, "looking")


def test_a_store_holds_every_picture_and_what_is_known_of_it(tmp_path, capsys):
    pictures = Pictures()
    images, facts = pictures.make(tmp_path / "stores" / "a")
    assert [array.shape for array in images.parts] == [(4, 5, 5, 3), (4, 5, 5, 3), (2, 5, 5, 3)]
    assert all(isinstance(array.base, np.memmap) for array in images.parts)
    rows = np.array([9, 0, 2, 9, 5])
    np.testing.assert_array_equal(images[rows][:, 4, 4, 2], [90, 0, 0, 90, 50])
    facts = list(facts)
    assert facts[2] == {"problem": "broken"} and facts[9] == {"row": 9} and len(facts) == len(images) == 10
    assert "store of 10 pictures, 0 MB; delete" in capsys.readouterr().err
    pictures.make(tmp_path / "stores" / "a")
    assert sorted(pictures.read_rows) == list(range(10)) and not capsys.readouterr().err


def test_a_store_goes_on_with_the_shard_that_was_being_made(tmp_path):
    pictures = Pictures()

    class Killed(BaseException):
        pass

    def read(row):
        if row == 6:
            raise Killed
        return pictures.read(row)

    with pytest.raises(Killed):
        store.make(tmp_path, 10, pictures.items, read, 5, "looking")
    assert sorted(file.name for file in tmp_path.iterdir() if file.suffix != ".lock") == ["00000.json", "00000.npy"]
    pictures.read_rows.clear()
    (tmp_path / ".123-00001.npy").touch()  # of a process that was killed
    images, _ = pictures.make(tmp_path)
    assert sorted(pictures.read_rows) == [4, 5, 6, 7, 8, 9] and not list(tmp_path.glob(".123*"))
    np.testing.assert_array_equal(images[np.arange(10)][:, 0, 0, 0], [0, 10, 0, 30, 40, 50, 60, 70, 80, 90])


def test_a_shard_that_another_process_makes_meanwhile_is_not_made_again(tmp_path):
    first, second = Pictures(), Pictures()

    def items(begin, end):
        if begin == 0:  # while this store's first shard is made, another process makes the rest
            second.make_from(4)
        return range(begin, end)

    def make_from(begin):
        for number in (1, 2):
            part = (4 * number, min(4 * number + 4, 10))
            with store.ThreadPoolExecutor(1) as threads:
                list(store._shard(tmp_path, number, part, second.items, second.read, 5, threads))

    second.make_from = make_from
    images, _ = store.make(tmp_path, 10, items, first.read, 5, "looking")
    assert sorted(first.read_rows) == [0, 1, 2, 3] and sorted(second.read_rows) == [4, 5, 6, 7, 8, 9]
    assert len(images) == 10


@pytest.mark.parametrize("damage", ["cut", "gone", "no facts", "other size"])
def test_a_damaged_shard_is_made_again(tmp_path, damage):
    pictures = Pictures()
    pictures.make(tmp_path)
    shard = tmp_path / "00001.npy"
    if damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-9])
    elif damage == "gone":
        shard.unlink()
    elif damage == "no facts":
        (tmp_path / "00001.json").write_text("[{")
    else:
        np.save(shard, np.zeros((4, 6, 6, 3), "uint8"))
    pictures.read_rows.clear()
    images, facts = pictures.make(tmp_path)
    assert sorted(pictures.read_rows) == [4, 5, 6, 7] and len(facts) == 10
    np.testing.assert_array_equal(images[np.arange(10)][:, 0, 0, 0], [0, 10, 0, 30, 40, 50, 60, 70, 80, 90])


def test_a_store_that_does_not_fit_the_disk_is_refused_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 300, 700))
    pictures = Pictures()
    with pytest.raises(Problem, match="needs 0 MB, and 0 MB are free; make room, or pass a smaller --image-size"):
        pictures.make(tmp_path / "a")
    assert not pictures.read_rows


def test_shards_return_any_rows_in_any_order():
    arrays = [np.arange(6.0).reshape(3, 2), np.empty((0, 2)), np.arange(6.0, 10).reshape(2, 2)]
    shards = Shards(arrays)
    np.testing.assert_array_equal(shards[np.array([4, 0, 4, 2])], [[8, 9], [0, 1], [8, 9], [4, 5]])
    assert len(shards) == 5 and shards[np.arange(0)].shape == (0, 2) and shards[np.arange(0)].dtype == float


def test_facts_are_plain_json(tmp_path):
    Pictures().make(tmp_path)
    assert json.loads((tmp_path / "00002.json").read_text()) == [{"row": 8}, {"row": 9}]


def test_two_processes_share_the_making_of_a_store(tmp_path):
    """In place of processes two threads, whose locks keep each other out as well."""
    pair, both = (Pictures(), Pictures()), threading.Barrier(2)

    def make(pictures):
        def items(first, last):
            if not pictures.read_rows:
                both.wait(60)  # each is in the middle of a shard
            return pictures.items(first, last)

        return store.make(tmp_path, 10, items, pictures.read, 5, "looking")

    with ThreadPoolExecutor(2) as threads:
        (one, facts), (other, _) = threads.map(make, pair)
    assert sorted(pair[0].read_rows + pair[1].read_rows) == list(range(10)) and all(p.read_rows for p in pair)
    np.testing.assert_array_equal(one[np.arange(10)], other[np.arange(10)])
    assert [fact.get("row") for fact in facts] == [0, 1, None, 3, 4, 5, 6, 7, 8, 9]
