"""A long document must not fill the memory, nor pad the short ones beside it to its
own length (spaCy, issue 7593).
"""

BUDGET = 512  # batch_pieces, special tokens and padding counted.


def test_what_the_encoder_gets_at_once_stays_within_the_budget(nlp):
    encoder = nlp.get_pipe("transformer").model.transformer
    shapes = []

    def record(module, args, kwargs):
        shapes.append(kwargs["input_ids"].shape)

    hook = encoder.register_forward_pre_hook(record, with_kwargs=True)
    long = "lol Grace Hopper and Alan Turing are in London " * 700
    short = ["Ada Lovelace moved to Oslo"] * 20
    try:
        docs = list(nlp.pipe([*short[:10], long, *short[10:]], batch_size=128))
    finally:
        hook.remove()
    pieces = [len(doc._.trf_data.wordpieces.input_ids[0]) for doc in docs]
    assert max(pieces) > 10 * BUDGET
    assert max(rows * length for rows, length in shapes) <= BUDGET
    # Windows overlap by a quarter; padded to the longest it would be twenty times.
    assert sum(rows * length for rows, length in shapes) < 1.5 * sum(pieces)
