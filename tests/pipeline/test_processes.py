"""One pipeline used by several processes, forked after it has predicted."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import itertools, os, signal, sys, time
import spacy
from spacy.util import ignore_error
sys.path.insert(0, sys.argv[2])
from test_threads import alike, call, found_in, in_threads

# Forks as with preloading in gunicorn.

def all_alike(runs):
    return all(alike(run, expected) for run in runs)

def n_threads():
    return torch.get_num_threads() if torch else 0

torch = sys.modules.get("torch")
nlp = spacy.load(sys.argv[1])
expected = call(nlp)
in_threads(nlp, rounds=1)
# Ending threads free buffers of MKL under a lock. A child forked meanwhile would wait
# for this lock forever.
time.sleep(2)
before = n_threads()

def child():
    # Ends a child that hangs.
    signal.alarm(300)
    untouched = n_threads() == before
    same = alike(call(nlp), expected) and all_alike(in_threads(nlp, rounds=1))
    return 0 if untouched and same else 3

children = []
for _ in range(2):
    pid = os.fork()
    if not pid:
        os._exit(child())
    children.append(pid)
# The parent predicts while the children run.
assert all_alike(in_threads(nlp, rounds=1))
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
assert n_threads() == before
print("forks")

# Processes of nlp.pipe.
texts = ["Ada Lovelace moved to Oslo", "", "nothing to see here", " ", "😀 Oslo"] * 3

def annotate(stream, **options):
    return nlp.pipe(stream, n_process=2, batch_size=2, **options)

def found(docs):
    return [found_in(doc) for doc in docs]

expected = found(nlp.pipe(texts))
assert expected[0] and not expected[1]
docs = list(annotate(texts))
assert alike(found(docs), expected)
for doc in docs:
    scores = doc.spans["wnut"].attrs["scores"].tolist()
    assert scores == [ent._.confidence for ent in doc.ents]
assert alike(found(annotate(map(nlp.make_doc, texts))), expected)
print("same")

pairs = [(text, i) for i, text in enumerate(texts)]
assert [context for _, context in annotate(pairs, as_tuples=True)] == list(range(15))
print("contexts")

endless = itertools.cycle(texts)
stream = annotate(endless)
docs = list(itertools.islice(stream, 20))
assert alike(found(docs), (expected * 2)[:20])
stream.close()
print("stream")

ner = type(nlp.get_pipe("ner"))
predict = ner.predict

def fail_on_empty(self, docs):
    docs = list(docs)
    if any(not len(doc) for doc in docs):
        raise ValueError("empty")
    return predict(self, docs)

ner.predict = fail_on_empty
try:
    list(annotate(texts))
except ValueError as err:
    assert "empty" in str(err), err
    print("raised")
nlp.set_error_handler(ignore_error)
left = [doc.text for doc in nlp.pipe(texts, n_process=2, batch_size=1)]
assert left == [text for text in texts if text]
print("ignored")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_processes_find_the_same_without_a_warning(folder):
    env = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
    # In a subprocess with a timeout, in case the children hang.
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error::UserWarning:spacy"),
            *("-c", SCRIPT, str(folder), os.path.dirname(__file__)),
        ],
        # torch starts threads, which a child does not inherit. Waiting threads sleep,
        # since there are more of them than processors.
        env={**env, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    steps = ["forks", "same", "contexts", "stream", "raised", "ignored"]
    assert done.stdout.split() == steps, done.stderr[-3000:]
    # No warning of `tokenizers` about forks.
    assert done.stderr == ""
