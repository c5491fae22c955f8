import numpy as np

from classify.data.dataset import Data, Joined, Source, Split, Subset


def test_rows_of_an_array_are_copied():
    images, labels = np.arange(2 * 2 * 3 * 5, dtype="uint8").reshape(5, 2, 2, 3), np.arange(5)
    split = Split(images, labels).take(np.array([3, 1, 3]))
    assert isinstance(split.images, np.ndarray) and len(split) == 3
    np.testing.assert_array_equal(split.images, images[[3, 1, 3]])
    np.testing.assert_array_equal(split.labels, [3, 1, 3])


class Rows:
    """Images that are no array; it keeps which rows were read."""

    def __init__(self, n):
        self.n, self.read = n, []

    def __len__(self):
        return self.n

    def __getitem__(self, rows):
        self.read += rows.tolist()
        return np.full((len(rows), 2, 4, 3), rows[:, None, None, None], "uint8")


def test_rows_of_other_images_are_read_when_they_are_used():
    images = Rows(9)
    split = Split(images, np.arange(9)).take(np.array([8, 2, 5, 7])).take(np.array([3, 0, 2]))
    assert isinstance(split.images, Subset) and len(split) == len(split.images) == 3 and images.read == []
    np.testing.assert_array_equal(split.labels, [7, 8, 5])
    np.testing.assert_array_equal(split.images[np.array([2, 0])][:, 0, 0, 0], [5, 7])
    assert images.read == [5, 7]


def test_joined_images_are_read_from_their_parts():
    first, second = Rows(3), Rows(4)
    joined = Joined([first, second, Rows(0)])
    assert len(joined) == 7 and joined[np.arange(0)].shape == (0, 2, 4, 3)
    np.testing.assert_array_equal(joined[np.array([5, 0, 5, 2])][:, 0, 0, 0], [2, 0, 2, 2])
    assert first.read == [0, 2] and second.read == [2, 2]


def test_the_shape_of_an_image_takes_one_row():
    for images, read in ((Rows(9), [0]), (np.zeros((9, 2, 4, 3), "uint8"), None)):
        split = Split(images, np.zeros(9, "int64"))
        assert Data(None, split, split, split).image_shape == (2, 4, 3)
        assert getattr(images, "read", None) == read


def test_a_data_set_is_told_in_two_lines():
    source = Source("cifar10", "cifar10", "TFDS, ~/data", ("frog", "ship"), ("train", "test"), None)
    train, none = Split(np.zeros((1200, 2, 2, 3)), np.zeros(1200)), Split(np.zeros((0, 2, 2, 3)), np.zeros(0))
    assert source.title == "CIFAR-10" and source.mirror
    assert str(Data(source, train, none, train)) == "CIFAR-10   1,200 train · 1,200 test\nfrom       TFDS, ~/data"


def test_a_data_sets_name_cannot_forge_lines_on_the_terminal():
    assert Source("a\nb\x1b[2J", "", "", (), (), None).title.isprintable()
