"""Open a page to drop a picture on; it shows what each model says of it.

  python demo.py
  python demo.py runs/cnn inception
  python demo.py --port 8000

It needs: python -m pip install -r requirements-demo.txt. Open the address that
it prints: drop a picture, paste one, take one by webcam or click an example.
Without a RUN or MODEL it takes the newest finished run on CIFAR-10 or on your
own pictures, or the one that comes with this project. Ctrl-C ends it.

Only this computer can open the page, unless --host says otherwise. It asks no
other computer for anything. A picture is deleted as soon as it is answered.
"""

import os
import secrets
import signal
import socket
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from classify import command, options
from classify.command import Problem
from classify.data import examples
from classify.inference.predictor import Predictor
from classify.reporting.answers import STYLE, Answers
from predict import find_models

LARGEST = "50mb"  # of a file
UNUSED_AFTER = 60  # seconds until a file is deleted that came and was never asked about

# Ctrl-V anywhere in the page is as good as dropping.
PASTE = """() => document.addEventListener("paste", event => {
  const drop = new DragEvent("drop", {dataTransfer: event.clipboardData, bubbles: true, cancelable: true});
  if (event.clipboardData.files.length) document.querySelector("#picture button").dispatchEvent(drop);
})"""


@dataclass(frozen=True)
class Settings:
    """What the command line asks for."""

    models: list
    host: str
    port: int | None
    trust: bool


def parse(argv=None):
    """Return the ``Settings`` of a command line."""
    parser = options.Parser(__doc__)
    add = parser.add_argument
    add("models", nargs="*", metavar="RUN or MODEL", help="default: as predict.py's --model")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="0.0.0.0 lets others open the page. Default: 127.0.0.1")
    add("--port", type=options.whole_number(1, 65535), metavar="N", help="default: the first free one from 7860 on")
    options.add_trust(parser)
    return Settings(**vars(parser.parse_args(argv)))


def main(argv=None):
    settings = parse(argv)
    models, _ = find_models(settings.models, settings.trust)
    predictors, _ = command.each(models, Predictor)
    if not predictors:
        return 1
    socket.create_server((settings.host, settings.port or 0)).close()  # fails in a line where Gradio would try for long
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the folder below is deleted then, too
    with tempfile.TemporaryDirectory() as uploads:
        gradio = start_gradio(uploads)
        page = build(gradio, Answers(predictors), examples.write(uploads))
        serve(gradio, page, settings)


def start_gradio(uploads):
    """Import Gradio so that it asks no other computer, and keeps what it is given in the folder ``uploads``."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # Gradio would look for its own page through the proxy
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "GRADIO_TEMP_DIR": uploads}
    try:
        import gradio
        from gradio import processing_utils, route_utils
    except ModuleNotFoundError as error:
        raise Problem(f"{error.name} is not installed; python -m pip install -r requirements-demo.txt") from error

    class Upload(route_utils.GradioUploadFile):
        """A file under a name of its own: the first answer would delete the file of whoever drops the same one."""

        def __init__(self, *args, **keywords):
            super().__init__(*args, **keywords)
            self.sha.update(secrets.token_bytes(16))

    async def refuse(url):
        raise ValueError(f"{url} is not fetched")  # a request made by hand could name any address

    route_utils.GradioUploadFile = Upload
    processing_utils.async_ssrf_protected_get = refuse
    return gradio


def build(gradio, answers, samples):
    """Return the page: where pictures go in, the examples, and what comes out."""

    def result(path):
        text, seen = answers.answer(path)
        return None, text, seen, gradio.Button(visible=seen is not None)

    def answer(upload):
        if upload is None:  # the person has emptied the box
            return gradio.skip()
        try:
            return result(upload["path"])
        finally:
            Path(upload["path"]).unlink(missing_ok=True)

    with gradio.Blocks(title="What is in a picture?", delete_cache=(UNUSED_AFTER, UNUSED_AFTER)) as page:
        gradio.Markdown("# What is in a picture?")
        with gradio.Row():
            with gradio.Column(scale=1):
                picture = gradio.Image(type="filepath", label="Your picture", buttons=[], elem_id="picture")
                thumbnail = gradio.Image(type="filepath", render=False)
                offered = gradio.Dataset(
                    components=[thumbnail], samples=[[str(path)] for path in samples], type="index"
                )
                gradio.Markdown(f"Examples: {examples.LICENCE}.")
            with gradio.Column(scale=2):
                text = gradio.HTML("Drop a picture, or click an example.", elem_id="answers")
                seen = gradio.Textbox(visible=False)
                button = gradio.Button("Explain: what in the picture speaks for it?", visible=False, elem_id="explain")
        outputs = [picture, text, seen, button]
        # Gradio must not open the file first: it would fail on one that is no picture, and write others anew. And it
        # must not drop a picture that comes before the last answer: its own button to paste asks about nothing first.
        how = {"preprocess": False, "trigger_mode": "multiple"}
        picture.input(answer, picture, outputs, **how, show_progress_on=text)
        offered.click(lambda number: result(samples[number]), offered, outputs, show_progress_on=text)
        button.click(answers.explain, seen, text)
    return page


def serve(gradio, page, settings):
    """Serve the page until Ctrl-C."""
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])  # the computer's own fonts
    where = {"server_name": settings.host, "server_port": settings.port, "share": False, "prevent_thread_lock": True}
    how = {"max_file_size": LARGEST, "run_history": False, "enable_monitoring": False, "ssr_mode": False, "quiet": True}
    _, address, _ = page.launch(**where, **how, theme=theme, css=STYLE, js=PASTE, footer_links=[])
    print(f"{address}   Ctrl-C ends it", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    command.run(main)
