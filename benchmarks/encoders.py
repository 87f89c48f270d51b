"""Which encoder families train under our configs: docs/encoders.md.

    python benchmarks/encoders.py

Every family that the tutorial lists gets a tiny encoder of random weights and a tiny
tokenizer, takes two steps under configs/tutorial.cfg and predicts. There is nothing
to download.
"""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import typer

from spacy_wnut.files import replacing

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs" / "encoders.md"
CONFIG = ROOT / "configs" / "tutorial.cfg"

TEXTS = [
    "Pretty bad storm in New York last evening.",
    "Ada Lovelace moved to Oslo , so did Grace Hopper .",
]
ENTITIES = [
    [(20, 28, "location")],
    [(0, 12, "person"), (22, 26, "location"), (36, 48, "person")],
]
# The same last word, in as many pieces.
CONTEXTS = ["York Oslo", "Oslo Oslo"]

PAGE = """\
# Encoders

<!-- written by benchmarks/encoders.py -->

The table shows which encoder families of transformers' token-classification tutorial
can be trained with the configs of this package. In the test, a tiny encoder of each
family with random weights takes two training steps under `configs/tutorial.cfg` and
predicts, with transformers {version} on a CPU. `tests/models/test_encoder_families.py`
repeats the test.

| family | `model_type` | trains | |
| --- | --- | --- | --- |
{rows}

An encoder of another family works if `AutoModel` loads it, if it computes vectors from
word pieces alone, and if it has a fast tokenizer.
"""

app = typer.Typer(pretty_exceptions_enable=False)

# Most architectures call the same things by these names.
SMALL = {
    "hidden_size": 16,
    "embedding_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    # RoBERTa's begin behind the number of the padding.
    "max_position_embeddings": 514,
}


class Family(NamedTuple):
    """An encoder family by its `title`, its `model_type` in transformers, `settings`
    beside SMALL (None leaves one out), and `tokens`: whether its tokenizer is made to
    give pieces with special tokens around ("wordpiece"; "any" is the same, though not
    of the family's class), bytes without ("bytes"), or is what transformers has ("slow"). `why_not` says why it can't be trained, if it can't, `note` what else to know.
    """

    title: str
    model_type: str
    settings: dict[str, Any] = {}  # noqa: RUF012
    tokens: str = "wordpiece"
    why_not: str = ""
    note: str = ""


FAMILIES = [
    Family("ALBERT", "albert"),
    Family("BERT", "bert"),
    Family("BigBird", "big_bird"),
    Family("BioGPT", "biogpt"),
    Family("BLOOM", "bloom", {"n_layer": 1, "n_head": 2}, "bytes"),
    Family("BROS", "bros", why_not="needs the boxes of words on a page"),
    Family("CamemBERT", "camembert"),
    Family(
        "CANINE",
        "canine",
        tokens="slow",
        why_not="has no fast tokenizer: it reads the numbers of characters",
    ),
    Family("ConvBERT", "convbert", {"conv_kernel_size": 3, "head_ratio": 1}),
    Family("Data2VecText", "data2vec-text"),
    Family("DeBERTa", "deberta", {}),
    Family("DeBERTa-v2", "deberta-v2", {}),
    Family("DistilBERT", "distilbert", {"dim": 16, "hidden_dim": 16, "n_layers": 1}),
    Family("ELECTRA", "electra"),
    Family("ERNIE", "ernie"),
    Family("ErnieM", "ernie_m"),
    Family("ESM", "esm", {"pad_token_id": 0, "mask_token_id": 4}),
    Family("Falcon", "falcon", {}, "bytes"),
    Family("FlauBERT", "flaubert", {"emb_dim": 16, "n_layers": 1, "n_heads": 2}),
    Family("FNet", "fnet", note="has no mask: padding changes its vectors a little"),
    Family(
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
    Family("GPT-Sw3", "gpt-sw3", {"n_embd": 16, "n_layer": 1, "n_head": 2}, "bytes"),
    Family("GPT-2", "gpt2", {"n_embd": 16, "n_layer": 1, "n_head": 2}, "bytes"),
    Family(
        "GPTBigCode", "gpt_bigcode", {"n_embd": 16, "n_layer": 1, "n_head": 2}, "bytes"
    ),
    Family(
        "GPT-Neo",
        "gpt_neo",
        {"num_layers": 1, "num_heads": 2, "attention_types": [[["global"], 1]]},
        "bytes",
    ),
    Family("GPT-NeoX", "gpt_neox", {}, "bytes"),
    Family("I-BERT", "ibert"),
    Family("LayoutLM", "layoutlm"),
    Family("LayoutLMv2", "layoutlmv2", why_not="needs an image, and detectron2"),
    Family("LayoutLMv3", "layoutlmv3", {"coordinate_size": 2, "shape_size": 4}),
    Family("LiLT", "lilt", {"hidden_size": 24}),
    Family("Longformer", "longformer", {"attention_window": 8}),
    Family("LUKE", "luke", {"entity_vocab_size": 10, "entity_emb_size": 8}),
    Family("MarkupLM", "markuplm", {"max_depth": 4}),
    Family("MEGA", "mega"),
    Family("Megatron-BERT", "megatron-bert"),
    Family(
        "MobileBERT",
        "mobilebert",
        {"intra_bottleneck_size": 16, "true_hidden_size": 16},
    ),
    Family("MPNet", "mpnet"),
    Family("MPT", "mpt", {"d_model": 16, "n_heads": 2, "n_layers": 1}, "bytes"),
    Family(
        "MRA",
        "mra",
        why_not="needs a CUDA kernel: without it its attention gives zeros",
    ),
    Family("Nezha", "nezha"),
    Family(
        "Nystromformer",
        "nystromformer",
        {"num_landmarks": 8, "segment_means_seq_len": 8},
    ),
    Family(
        "QDQBert", "qdqbert", why_not="needs pytorch-quantization, which needs CUDA"
    ),
    Family("RemBERT", "rembert", {"input_embedding_size": 8}),
    Family("RoBERTa", "roberta"),
    Family("RoBERTa-PreLayerNorm", "roberta-prelayernorm"),
    Family(
        "RoCBert", "roc_bert", {"enable_pronunciation": False, "enable_shape": False}
    ),
    Family("RoFormer", "roformer", tokens="any", note="its own tokenizer needs rjieba"),
    Family("SqueezeBERT", "squeezebert"),
    Family("XLM", "xlm", {"emb_dim": 16, "n_layers": 1, "n_heads": 2}),
    Family("XLM-RoBERTa", "xlm-roberta"),
    Family("XLM-RoBERTa-XL", "xlm-roberta-xl"),
    Family(
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
    Family("X-MOD", "xmod", {"languages": ["en_XX"], "default_language": "en_XX"}),
    Family("YOSO", "yoso"),
]


def make_tiny(family: Family, folder: Path) -> None:
    """Write a family's encoder of random weights, and a tokenizer, to a folder.

    Raises whatever transformers raises if it can't make one.
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
    # Where a family has several encoders, AutoModel looks here.
    config.architectures = []
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tokenizer_classes(model_type: str) -> tuple[Any, Any]:
    """The classes of a model type's slow and fast tokenizer, None where it has none."""
    import transformers
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    slow, fast = TOKENIZER_MAPPING_NAMES.get(model_type, (None, None))
    return slow and getattr(transformers, slow), fast and getattr(transformers, fast)


def make_tokenizer(family: Family) -> Any:
    """A fast tokenizer, of the family's own class if it has one."""
    from tokenizers import (
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
        # Where RoBERTa has its own: padding at 1.
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
    """Take two steps with an encoder under configs/tutorial.cfg, and predict.

    Raises whatever can't be done on the way, and AssertionError if the encoder
    learns nothing or gives numbers that aren't any.
    """
    from spacy.training import Example
    from spacy.util import load_config, load_model_from_config

    config = load_config(CONFIG, overrides={"paths.encoder": str(encoder)})
    nlp = load_model_from_config(config, auto_fill=True)
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
        assert numpy.isfinite(losses["ner"]), "the loss is no number"
    moved = [
        not p.detach().equal(b)
        for p, b in zip(network.parameters(), before, strict=True)
    ]
    assert sum(moved) > len(moved) / 2, "most weights of the encoder stand still"
    docs = list(nlp.pipe(TEXTS))
    emissions = nlp.get_pipe("ner").model.predict(docs)
    for doc, scores in zip(docs, emissions, strict=True):
        assert len(scores) == len(doc) and numpy.isfinite(scores).all()
        assert numpy.ptp(scores, axis=0).all(), "all words have the same emissions"
    loaded = load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    again = loaded.get_pipe("ner").model.predict(list(loaded.pipe(TEXTS)))
    for scores, same in zip(emissions, again, strict=True):
        assert numpy.allclose(scores, same, atol=1e-5), "it isn't stored whole"
    in_contexts = nlp.get_pipe("ner").model.predict(list(nlp.pipe(CONTEXTS)))
    last, same = (scores[-1] for scores in in_contexts)
    assert not numpy.array_equal(last, same), "words don't see each other"


@app.command()
def main() -> None:
    """Try every family and write docs/encoders.md."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rows = []
    for family in FAMILIES:
        failure = is_there(family) and try_family(family)
        if is_there(family) and bool(failure) != bool(family.why_not):
            raise SystemExit(f"{family.title}: {failure or 'trains after all'}")
        rows.append(row_of(family))
        print(rows[-1])
    with replacing(DOCS) as beside:
        beside.write_text(page(rows), encoding="utf8")


def try_family(family: Family) -> str:
    """What goes wrong with a family, "" if nothing does."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            make_tiny(family, Path(folder) / "encoder")
            train_and_predict(Path(folder) / "encoder")
        # Whatever it is: to find that out is what this is for.
        except Exception as err:
            return f"{type(err).__name__}: {err}"
    return ""


def is_there(family: Family) -> bool:
    """Whether the installed transformers has the family."""
    from transformers import CONFIG_MAPPING

    return family.model_type in CONFIG_MAPPING


def row_of(family: Family) -> str:
    notes = family.why_not or family.note
    if not family.why_not and tokenizer_classes(family.model_type)[1] is None:
        notes = "AutoTokenizer has no fast tokenizer for it: needs a `tokenizer.json`"
    if not is_there(family):
        notes = "was removed from transformers"
    works = "no" if family.why_not or not is_there(family) else "yes"
    return f"| {family.title} | `{family.model_type}` | {works} | {notes} |"


def page(rows: list[str]) -> str:
    import transformers

    return PAGE.format(version=transformers.__version__, rows="\n".join(rows))


if __name__ == "__main__":
    app()
