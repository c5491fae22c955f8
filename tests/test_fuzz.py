"""Damaged files through predict.py; `python tests/fuzz.py` tries a thousand."""

from pathlib import Path

import fuzz
import numpy as np
import pytest
from PIL import Image

from classify.command import Problem
from classify.data import pictures


def test_the_command_answers_or_names_each_damaged_file(tmp_path):
    fuzz.write_damaged(tmp_path, [f"{i:03}" for i in range(60)], np.random.default_rng(2))
    Image.new("RGB", (8, 8)).save(tmp_path / "whole.png")
    answered, faults = fuzz.check(tmp_path, timeout=300)
    assert faults == [] and 1 <= answered < 61


@pytest.mark.parametrize("damage", fuzz.DAMAGE)
def test_every_format_with_each_kind_of_damage(damage, tmp_path, rng, recwarn, capfd):
    for extension, modes in fuzz.FORMATS.items():
        for mode in modes * 5:
            path = tmp_path / f"x.{extension}"
            path.write_bytes(damage(bytearray(fuzz.encoded(extension, mode, rng)), rng))
            try:
                assert pictures.load(path, 32, 32).shape == (32, 32, 3)
            except Problem as problem:
                assert str(problem).startswith(str(path)) and "\n" not in str(problem)
    ours = [warning for warning in recwarn.list if "/PIL/" not in Path(warning.filename).as_posix()]
    assert not ours and capfd.readouterr() == ("", "")  # pytest lifts the filter that keeps Pillow's own warnings away
