import sys

from classify import environment


def test_processor_has_a_name_and_cores(tmp_path, monkeypatch):
    assert " cores" in environment.processor()
    monkeypatch.setattr(environment, "CPU_INFO", tmp_path / "missing")
    assert " cores" in environment.processor()


def test_packages_are_those_in_use():
    import keras

    packages = environment.packages()
    assert packages["keras"] == keras.__version__ and packages["python"] == sys.version.split()[0]


def test_outside_a_git_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "PROJECT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.commit() is None
