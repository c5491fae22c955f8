import pytest

from classify import environment, precision


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2", "float32"),
        ("fpu avx512f avx512_bf16", "bfloat16"),
        ("fpu amx_bf16 amx_tile", "bfloat16"),
        (None, "float32"),
    ],
)
def test_auto_takes_bfloat16_only_where_it_is_native(flags, expected, tmp_path, monkeypatch):
    file = tmp_path / "cpuinfo"
    if flags:
        file.write_text(f"model name\t: A Processor\nflags\t\t: {flags}\n")
    monkeypatch.setattr(environment, "CPU_INFO", file)
    assert precision.choose("auto")[0] == expected


def test_a_precision_asked_for_is_taken():
    assert precision.choose("float32") == ("float32", "as asked")
    assert precision.choose("bfloat16") == ("bfloat16", "as asked")
