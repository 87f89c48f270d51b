from ._app import app, main
from .annotate import annotate_cli
from .calibrate import calibrate_cli
from .check import check_cli
from .convert import convert_cli
from .encoder import encoder_cli
from .evaluate import evaluate_cli
from .export import export_cli
from .from_hf import from_hf_cli
from .package import package_cli
from .pretrain import pretrain_cli
from .pseudo_label import pseudo_label_cli
from .push import push_cli
from .report import report_cli
from .score import score_cli
from .show import show_cli
from .sweep import sweep_cli
from .tiny_encoder import tiny_encoder_cli
from .to_hf import to_hf_cli

__all__ = [
    "annotate_cli",
    "app",
    "calibrate_cli",
    "check_cli",
    "convert_cli",
    "encoder_cli",
    "evaluate_cli",
    "export_cli",
    "from_hf_cli",
    "main",
    "package_cli",
    "pretrain_cli",
    "pseudo_label_cli",
    "push_cli",
    "report_cli",
    "score_cli",
    "show_cli",
    "sweep_cli",
    "tiny_encoder_cli",
    "to_hf_cli",
]
