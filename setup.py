from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

about: dict[str, str] = {}
exec((ROOT / "spacy_wnut" / "about.py").read_text(encoding="utf8"), about)

# Lower bounds keep resolvers from going back to releases that can't work:
# without the one on transformers, pip answers datasets 5.2 with transformers 4.12.
TORCH = [
    "torch>=2.4",
    "transformers>=4.45",
    "spacy-transformers>=1.3.5",
]
# 1.23 has the operator Attention of ONNX on CPUs.
ONNX = ["onnxruntime>=1.23", "tokenizers>=0.20"]
ANNOTATE = ["pyarrow>=17"]
RAY = [*ANNOTATE, "ray[data]>=2.50"]
TRAIN = [
    *TORCH,
    *ONNX,
    # transformers' Trainer, for `spacy-wnut pretrain`.
    "accelerate>=1.0",
    "build>=1.2",
    "datasets>=4.0,<5.2",
    "huggingface-hub>=0.26",
    "onnx>=1.18",
    "seqeval>=1.2.2",
]
DOCS = ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.29"]
DEV = [
    *TRAIN,
    *DOCS,
    *RAY,
    "fastapi>=0.115",
    "httpx>=0.27",
    "hypothesis>=6.100",
    "mypy>=1.11",
    "pip-audit>=2.7",
    "psutil>=5.9",
    "pytest>=8.0",
    "pytest-cov>=5.0",
    "pytest-xdist>=3.6",
    "ruff>=0.6",
    "selenium>=4.20",
    "uvicorn>=0.50",
]

setup(
    name=about["__title__"],
    version=about["__version__"],
    description=about["__summary__"],
    long_description=(ROOT / "README.md").read_text(encoding="utf8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["spacy_wnut", "spacy_wnut.*"]),
    package_data={"spacy_wnut": ["py.typed", "display/assets/*"]},
    python_requires=">=3.10,<3.14",
    # spaCy brings typer, thinc, wasabi, srsly and numpy.
    # packaging.licenses is in 24.2.
    install_requires=["spacy>=3.8.7,<3.9", "packaging>=24.2"],
    extras_require={
        "torch": TORCH,
        "onnx": ONNX,
        "annotate": ANNOTATE,
        "ray": RAY,
        "train": TRAIN,
        "docs": DOCS,
        "dev": DEV,
    },
    entry_points={
        "console_scripts": ["spacy-wnut = spacy_wnut.cli:main"],
        "spacy_factories": [
            "entity_tagger = spacy_wnut.pipeline.factory:make_entity_tagger",
        ],
        "spacy_architectures": [
            "spacy-wnut.TransformerModel.v1 = spacy_wnut.models.transformer_model:create_transformer_model",
            "spacy-wnut.Tok2VecTransformer.v1 = spacy_wnut.models.transformer_model:create_tok2vec_transformer",
            "spacy-wnut.OnnxTagger.v1 = spacy_wnut.models.onnx_tagger:create_onnx_tagger",
            "spacy-wnut.TransformerTagger.v1 = spacy_wnut.models.transformer_tagger:create_transformer_tagger",
        ],
        "spacy_readers": [
            "spacy-wnut.MixedCorpus.v1 = spacy_wnut.corpus.mixed:create_mixed_reader",
        ],
        "spacy_scorers": [
            "spacy-wnut.scorer.v1 = spacy_wnut.scoring.scorer:make_scorer",
        ],
        "spacy_tokenizers": [
            "spacy-wnut.StoredTokenizer.v1 = spacy_wnut.pipeline.tokenizer:create_stored_tokenizer",
        ],
        "spacy_displacy_colors": [
            "spacy-wnut.colors.v1 = spacy_wnut.display.colors:make_colors",
        ],
        "thinc_layers": [
            "spacy-wnut.reduce_first.v1 = spacy_wnut.models.reduce_first:reduce_first",
        ],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
