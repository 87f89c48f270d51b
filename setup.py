# For tools that can't read pyproject.toml, where all metadata is.
from setuptools import setup

setup()
