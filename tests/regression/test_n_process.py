"""nlp.pipe(n_process=2) hung with a transformer (spaCy, issues 6662 and 9922)."""

import os
import subprocess
import sys

SCRIPT = """
import spacy, sys
nlp = spacy.load(sys.argv[1])
texts = ["Ada Lovelace moved to Oslo", "", "nothing to see here"] * 5
texts.append("lol Grace Hopper and Alan Turing are in London " * 20)

def annotate(**options):
    return [
        (
            [(ent.text, ent.label_, ent._.confidence) for ent in doc.ents],
            doc.spans["wnut"].attrs["scores"].tolist(),
        )
        for doc in nlp.pipe(texts, batch_size=4, **options)
    ]

# Torch starts its threads here, in the process that is forked afterwards.
before = annotate()
assert before[0][1], "no entities"
assert annotate(n_process=2) == before
print("equal")
"""


def test_several_processes_give_the_same(trained_folder):
    # They hung where torch had more than one thread, whatever the texts.
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(trained_folder)],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["equal"], done.stderr
