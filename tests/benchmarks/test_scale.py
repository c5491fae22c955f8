import pytest

from benchmarks import distribution, scale

ROWS = [
    {"stage": "store", "images": 1000, "grown": 2_000_000, "speed": 5000.4, "disk": 3235.1},
    {"stage": "store", "images": 11_000, "grown": 3_000_000, "speed": 6000.0, "disk": 3235.1},
    {"stage": "training", "images": 1000, "grown": 5_000_000, "speed": 900.0},
]


def test_the_table_says_what_a_further_image_takes(tmp_path):
    lines = scale.table(ROWS).splitlines()
    assert lines[2] == "| store | 1,000 | 2 MB |  | 5,000 | 3,235 bytes |"
    assert lines[3] == "| store | 11,000 | 3 MB | 100 bytes | 6,000 | 3,235 bytes |"
    assert lines[4] == "| training | 1,000 | 5 MB |  | 900 |  |"
    scale.draw(ROWS, tmp_path / "scale.png")
    assert (tmp_path / "scale.png").stat().st_size > 1000


def test_rounds_become_the_median_of_speed_and_the_most_of_memory():
    rounds = [ROWS[0] | {"speed": speed, "grown": grown} for speed, grown in ((5, 10), (9, 30), (6, 20))]
    assert scale.over_rounds("store", 1000, [*rounds, *ROWS[1:]]) == ROWS[0] | {"speed": 6, "grown": 30}
    assert scale.over_rounds("extraction", 1000, ROWS) is None


def test_anonymous_memory_that_is_taken_counts():
    with scale.Memory() as memory:
        taken = bytearray(b"x" * 50_000_000)
        memory.over.wait(0.2)
    assert len(taken) <= memory.grown < 3 * len(taken)


def test_the_bytes_of_a_step_are_those_of_its_sums(tmp_path):
    (tmp_path / "module_0003.jit_train_step.cpu_after_optimizations.txt").write_text(
        "%all-reduce.1 = (f32[3,4]{1,0}, f32[]) all-reduce(%a, %b), channel_id=1\n"
        "%x = bf16[10]{0} all-reduce-start(%c)\n%y = f32[9]{0} add(%d, %e)\n"
    )
    assert distribution.bytes_of_a_step(tmp_path) == (2, 12 * 4 + 4 + 10 * 2)
    with pytest.raises(ValueError):
        distribution.bytes_of_a_step(tmp_path / "empty")
