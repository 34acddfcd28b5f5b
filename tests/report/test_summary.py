"""What `show` says of a run that another program recorded."""

import pytest

from cnnexp.report import summary


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (None, []),
        ({}, []),
        ("a GPU", []),
        ({"device": "A GPU", "cupy": "14.0"}, ["computed on A GPU (cupy 14.0)"]),
        ({"device": "A GPU"}, ["computed on A GPU"]),
        ({"cupy": "14.0"}, ["computed on a device without a name (cupy 14.0)"]),
    ],
)
def test_a_device_may_lack_its_name(found, lines):
    assert summary._device(found) == lines
