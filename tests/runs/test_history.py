import pytest

from classify.runs import history
from classify.runs.folder import ROOT, Run

pytestmark = pytest.mark.usefixtures("elsewhere")
EPOCH = {"epoch": 1, "loss": 0.5, "accuracy": 0.8, "learning_rate": 0.1, "seconds": 3.0}


def test_history_has_the_promised_columns():
    with Run(ROOT / "cnn") as run:
        run.save_history([EPOCH])
    assert (run.folder / "history.csv").read_text().splitlines() == [
        "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds",
        "1,0.5,0.8,,,0.1,3.0",
    ]
    assert history.read(run.folder / "history.csv") == [EPOCH]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "epoch,loss\n1,2",
        "epoch,loss,accuracy,learning_rate\n1,2,x,4",
        "\0",
        "epoch\n1,2,3",
        pytest.param("epoch,loss,accuracy,learning_rate\n1,2,3," + "4" * 200_000, id="a field too long for csv"),
        "epoch,loss,accuracy,learning_rate,val_loss\n1,2,0.5,0.1,3",  # and no val_accuracy
        "epoch,loss,accuracy,learning_rate,val_accuracy\n1,2,0.5,0.1,0.4",
    ],
)
def test_a_missing_or_damaged_history_is_empty(text, elsewhere):
    if text is not None:
        (elsewhere / "history.csv").write_text(text)
    assert history.read(elsewhere / "history.csv") == []


def test_the_epoch_in_which_training_diverged_is_left_out(elsewhere):
    (elsewhere / "history.csv").write_text("epoch,loss,accuracy,learning_rate\n1,2,0.5,0.1\n2,nan,0.1,0.1")
    assert [epoch["epoch"] for epoch in history.read(elsewhere / "history.csv")] == [1]


def test_epochs_are_compared_by_accuracy_then_loss_and_else_by_their_number():
    validated = [{"val_accuracy": a, "val_loss": loss} for a, loss in [(0.5, 0.1), (0.8, 0.9), (0.8, 0.7)]]
    assert sorted(reversed(validated), key=history.score) == validated
    assert history.score({"epoch": 2}) > history.score({"epoch": 1})
