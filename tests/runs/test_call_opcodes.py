"""What a pickle may not ask of the few names of NumPy that are known."""

import struct

import numpy as np
import pytest

from cnnexp.errors import UnsafePickle
from cnnexp.runs import pickles
from cnnexp.runs.pickled_arrays import make_array

DTYPE = b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02f4\x85R"
BUFFER = b"\x8c\x13numpy._core.numeric\x8c\x0b_frombuffer\x93"
DATA = b"C\x08" + struct.pack("<2f", 1, 2)


def read(content):
    return pickles.loads(b"\x80\x04" + content + b".")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x8c\x05numpy\x8c\x07ndarray\x93)R", "calls numpy.ndarray"),
        (b"K\x01)R", "calls what is no function of arrays"),
        (b"\x8c\x05numpy\x8c\x05dtype\x93K\x01R", "calls what is no function of arrays"),
        (
            b"\x8c\x05numpy\x8c\x05dtype\x93(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01tR",
            "other",
        ),
        (
            DTYPE + b"(K\x03\x8c\x01<(K\x01tNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            "with fields",
        ),
        (DTYPE + b"(K\x03\x8c\x01?NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb", "byte order"),
        (BUFFER + b"(" + DATA + DTYPE + b"(K\x03t\x8c\x01CtR", "does not have 8 bytes"),
        (BUFFER + b"(K\x01" + DTYPE + b"(K\x02t\x8c\x01CtR", "whose contents are not bytes"),
        (BUFFER + b"(" + DATA + DTYPE + b"K\x02\x8c\x01CtR", "is no tuple of sizes"),
        (BUFFER + b"(" + DATA + DTYPE + b"(J\xff\xff\xff\xfft\x8c\x01CtR", "a size that cannot be"),
    ],
)
def test_what_no_run_asks_for_is_refused(content, message):
    with pytest.raises(UnsafePickle, match=message):
        read(content)


def test_an_array_in_another_order_of_axes_is_the_array():
    """As protocol 5 stores one that is neither in C's order nor in Fortran's."""
    array = np.arange(24, dtype="f4").reshape(2, 3, 4).transpose(1, 0, 2)
    data = memoryview(np.arange(24, dtype="f4").tobytes())
    from cnnexp.runs.pickled_arrays import Dtype, _from_buffer

    found = _from_buffer(data, Dtype("f4"), (2, 3, 4), "K", (1, 0, 2))
    np.testing.assert_array_equal(found, array)
    with pytest.raises(UnsafePickle, match="truth values holds something else"):
        make_array(memoryview(b"\x02"), Dtype("b1"), (1,), "C")
