import importlib
import os
import signal
import subprocess
import sys

import pytest
from conftest import PROJECT

from classify import command
from classify.command import Problem


def status(main):
    with pytest.raises(SystemExit) as stop:
        command.run(main)
    return stop.value.code


def raiser(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (Problem("x.png: cannot be read"), 1, "x.png: cannot be read"),
        (Problem("refused", status=2), 2, "refused"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device", "runs/cnn/model.keras"), 1, "runs/cnn/model.keras: no space left"),
        (ModuleNotFoundError("no", name="keras"), 1, "keras is not installed; python -m pip install -r"),
    ],
)
def test_a_problem_is_one_line_with_its_status(error, code, words, capsys):
    assert status(raiser(error)) == code
    output = capsys.readouterr()
    assert words in output.err and output.err.strip().count("\n") == 0 and output.out == ""


def test_status_of_main_is_the_exit_status():
    assert status(lambda: None) == 0
    assert status(lambda: 130) == 130


def test_a_mistake_in_the_code_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        command.run(lambda: 1 / 0)


@pytest.mark.parametrize("module", ["classify.nonexistent", "models.nonexistent"])
def test_a_missing_module_of_this_project_is_a_mistake_in_the_code(module):
    with pytest.raises(ModuleNotFoundError):
        command.run(lambda: importlib.import_module(module))


def test_each_leaves_out_what_fails_and_names_it(capsys):
    def use(item):
        if item == 2:
            raise Problem("2 is bad")
        return item * 10

    assert command.each([1, 2, 3], use) == ([10, 30], True)
    assert command.each([1, 3], use) == ([10, 30], False)
    assert capsys.readouterr().err == "2 is bad\n"


def test_keras_starts_without_a_word():
    code = "from classify.command import start_keras; start_keras(); import keras; print(keras.backend.backend())"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "tensorflow\n" and process.stderr == ""


def test_another_backend_is_refused_and_not_overwritten(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(Problem, match="KERAS_BACKEND=torch does not work here; unset it or set it to tensorflow or"):
        command.start_keras()


def test_any_file_name_can_be_printed_into_a_pipe():
    code = "from classify.command import run; run(lambda: print('caf\\u00e9 \\udcff \\u2588'))"
    environment = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environment, cwd=PROJECT, check=True
    )
    assert process.stdout.decode("utf-8").strip() == "caf\u00e9 \\udcff \u2588"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Ä 図 ж 👨\u200d👩.png", "Ä 図 ж 👨\u200d👩.png"),
        ("a\nb\r\u2028\x85.png", r"a\nb\r\u2028\x85.png"),
        ("\x1b[2J\x9b31m\x07\x00.png", r"\x1b[2J\x9b31m\x07\x00.png"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\udcff.png", r"\udcff.png"),
    ],
)
def test_a_name_cannot_forge_lines_or_steer_the_terminal(name, text):
    assert command.printable(name) == text


CLOSED = [
    ("<&-", "print('result')", 0, "result\n", ""),
    ("<&-", "print(len(sys.stdin.buffer.read()))", 0, "0\n", ""),
    (">&-", "print('result')", 1, "", "-c: standard output is closed, so there is nowhere to print results\n"),
    ("2>&-", "command.note('notice'); print('result')", 0, "result\n", ""),
    ("<&- 2>&-", "print(open('new', 'w').fileno())", 0, "3\n", ""),
]


@pytest.mark.skipif(os.name != "posix", reason="its shell closes streams in another way")
@pytest.mark.parametrize(("closing", "code", "status", "output", "error"), CLOSED)
def test_a_closed_standard_stream_is_no_traceback(closing, code, status, output, error, tmp_path):
    code = f"import sys; from classify import command\ndef main():\n    {code}\ncommand.run(main)"
    shell = ["sh", "-c", f'exec "$0" -c "$1" {closing}', sys.executable, code]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (process.returncode, process.stdout, process.stderr) == (status, output, error)


def test_a_reader_that_has_gone_is_no_error():
    code = "from classify import command; from classify.reporting import terminal; "
    code += "command.run(lambda: terminal.show(*['x' * 70] * 5000))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=PROJECT
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0


def test_a_second_ctrl_c_waits_until_it_is_released(ctrl_c):
    with command.Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()
        ctrl_c()  # held back
        with pytest.raises(KeyboardInterrupt):
            interrupts.release()
        interrupts.release()  # none waits any more
        interrupts.hold()
        ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()  # the former handler is back


def test_sigterm_is_told_from_ctrl_c(ctrl_c):
    with command.Interrupts() as interrupts:
        interrupts.hold()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt) as first:
            interrupts.check()
        ctrl_c()  # waits, as check() does not release
        with pytest.raises(KeyboardInterrupt) as second:
            interrupts.check()
        interrupts.check()
    assert [command.interrupted_status(error.value) for error in (first, second)] == [143, 130]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert status(raiser(first.value)) == 143


def test_a_job_that_ignores_ctrl_c_goes_on_ignoring_it(monkeypatch):
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with command.Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            interrupts.release()
    finally:
        signal.signal(signal.SIGINT, former)


def test_some_names_stand_for_many():
    assert command.some(["a", "b"]) == "a, b" and "\n" not in command.some(["b\n"])
    assert command.some([str(i) for i in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert command.some([str(i) for i in range(11)], most=2) == "0, 1, …"
