"""LAPACK's Cholesky routines without Python's lock, so that models fitted in threads don't wait for each other.

`scipy.linalg.lapack` has the same routines, but holds the lock as long as each takes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
from scipy.linalg import cython_lapack


def _routine(name: str) -> Callable[[np.ndarray], int]:
    """A routine (uplo, n, a, lda, info) of scipy's LAPACK on what is below the diagonal; it returns info."""
    capsule = cython_lapack.__pyx_capi__[name]
    name_of, address_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address_of.restype, address_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5)(address_of(capsule, name_of(capsule)))

    def call(matrix: np.ndarray) -> int:
        if not (matrix.flags.f_contiguous and matrix.dtype == np.float64 and matrix.shape[0] == matrix.shape[1]):
            raise ValueError("expected a square matrix of floats in column order")
        n, info = ctypes.c_int(len(matrix)), ctypes.c_int()
        sizes = ctypes.byref(n), matrix.ctypes.data, ctypes.byref(n)
        function(ctypes.create_string_buffer(b"L"), *sizes, ctypes.byref(info))
        return info.value

    return call


_dpotrf, _dpotri = _routine("dpotrf"), _routine("dpotri")


def factorise(matrix: np.ndarray) -> bool:
    """Put the Cholesky root of a symmetric matrix (n, n) in place of what is below its diagonal.

    What is above is neither read nor changed. False where the matrix is not positive definite.
    """
    return _dpotrf(matrix) == 0


def invert(root: np.ndarray) -> None:
    """Put the inverse of the matrix that `factorise` took apart in place of its root, below the diagonal."""
    if _dpotri(root):
        raise FloatingPointError("the matrix is singular")
