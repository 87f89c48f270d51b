"""One pipeline used by several threads."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

# Of mixed lengths, from no words to several windows.
TEXTS = [
    "Pretty bad storm in New York last evening.",
    "",
    "Ada Lovelace moved to Oslo",
    " \n ",
    "nothing to see here",
    "lol Grace Hopper and Alan Turing are in London " * 40,
    "Oslo",
    "@ada_l #London 😀 https://x.io/?q=1 Alan Turing!!!",
]
N_THREADS = 8


def found_in(doc):
    return [
        (ent.start_char, ent.end_char, ent.label_, ent._.confidence) for ent in doc.ents
    ]


def call(nlp):
    return [found_in(nlp(text)) for text in TEXTS]


def stream(nlp):
    return [found_in(doc) for doc in nlp.pipe(TEXTS, batch_size=3)]


def in_threads(nlp, rounds=2):
    """The entities that concurrent calls and streams find, `rounds` per thread."""
    with ThreadPoolExecutor(N_THREADS) as pool:
        runs = [
            pool.submit(call if i % 2 else stream, nlp)
            for i in range(N_THREADS * rounds)
        ]
        return [run.result() for run in runs]


def alike(found, expected):
    """Whether the entities are equal, and the confidences up to the rounding of float32:
    a batch of several texts is multiplied in another order than one text.
    """
    return [[ent[:3] for ent in post] for post in found] == [
        [ent[:3] for ent in post] for post in expected
    ] and [ent[3] for post in found for ent in post] == pytest.approx(
        [ent[3] for post in expected for ent in post], abs=1e-5
    )


def test_threads_find_the_same(pipeline):
    expected = call(pipeline)
    assert sum(map(len, expected)) > 10
    assert all(alike(found, expected) for found in in_threads(pipeline))


def test_threads_find_the_same_right_after_training(make_nlp, train, make_examples):
    # The first prediction after an update switches the encoder to evaluation mode.
    nlp = make_nlp()
    train(nlp)
    expected = call(nlp)
    for _ in range(3):
        nlp.get_pipe("transformer").model.transformer.train()
        found = in_threads(nlp, rounds=1)
        assert all(alike(run, expected) for run in found)


def test_dropout_is_active_in_updates_only(make_nlp, make_examples):
    nlp = make_nlp()
    optimizer = nlp.initialize(lambda: make_examples(nlp))
    encoder = nlp.get_pipe("transformer").model.transformer
    modes = []
    encoder.register_forward_pre_hook(lambda *_: modes.append(encoder.training))
    nlp("Oslo")
    nlp.update(make_examples(nlp), sgd=optimizer)
    nlp("Oslo")
    assert modes == [False, True, False]
    assert not any(module.training for module in encoder.modules())


def test_padding_and_truncation_set_by_others_change_nothing(nlp):
    # transformers sets padding and truncation on each call, and they stay set.
    expected = call(nlp)
    tokenizer = nlp.get_pipe("transformer").model.tokenizer
    tokenizer(TEXTS, padding="max_length", truncation=True, max_length=4)
    assert call(nlp) == expected
    # The pipeline does not change them for others.
    assert tokenizer.backend_tokenizer.truncation["max_length"] == 4


def test_asyncio_finds_the_same(pipeline):
    async def gather():
        runs = [asyncio.to_thread(call, pipeline) for _ in range(N_THREADS)]
        return await asyncio.gather(*runs)

    expected = call(pipeline)
    assert asyncio.run(gather()) == [expected] * N_THREADS
