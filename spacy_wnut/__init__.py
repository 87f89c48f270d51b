"""Named entities in posts, comments and chat, for spaCy.

spaCy finds the component and its parts through entry points, so no import is needed to
load a pipeline. This module imports neither torch nor transformers nor datasets.
"""

from .about import __version__

__all__ = ["__version__"]
