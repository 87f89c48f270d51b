from ._app import app, main
from .convert import convert_cli
from .evaluate import evaluate_cli
from .score import score_cli

__all__ = ["app", "convert_cli", "evaluate_cli", "main", "score_cli"]
