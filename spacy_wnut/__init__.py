"""Named entities in posts, comments and chat, for spaCy.

spaCy finds everything in here through entry points, so nothing needs to be
imported to load a pipeline. This module stays light on purpose: it imports
neither torch nor transformers nor datasets.
"""

from .about import __version__

__all__ = ["__version__"]
