"""Types of arrays."""

import numpy
from numpy.typing import NDArray

Floats64 = NDArray[numpy.float64]
Ints = NDArray[numpy.int64]
Bools = NDArray[numpy.bool_]
