"""The pictures to try."""

from PIL import Image

from classify.data import examples


def test_two_photographs_and_a_digit(tmp_path):
    files = examples.write(tmp_path)
    assert [Image.open(file).size for file in files] == [(640, 427), (640, 427), (8, 8)]
    assert files[2] == tmp_path / "digit.png" and Image.open(files[2]).getextrema() == (0, 239)
    assert all(name in examples.LICENCE for name in ("danielbuechele", "vultilion", "CC BY 2.0", "scikit-learn"))
