"""Keras without the libraries that they may do without, which stay within reach."""

import subprocess
import sys

from tests.root import ROOT

PROGRAM = """
import sys
from pipelines.lean import import_keras
import_keras()
import keras, tensorflow
print([name for name in ("sklearn", "matplotlib", "pandas", "scipy", "setuptools") if name in sys.modules])
import sklearn.base, matplotlib.figure, pandas, scipy.sparse, setuptools
print(keras.Sequential([keras.layers.Dense(1)])(tensorflow.zeros((2, 3))).shape, pandas.DataFrame({"a": [1]}).shape)
import_keras()
print(pandas is sys.modules["pandas"])
"""


def test_keras_comes_alone_and_the_others_can_be_imported_afterwards() -> None:
    completed = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert completed.stdout.splitlines() == ["[]", "(2, 1) (1, 1)", "True"]
