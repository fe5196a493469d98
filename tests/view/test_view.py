"""The room's names: there when asked for, and nothing heavy before."""

import pytest

from rac_jax import view
from tests import own_process


def test_importing_the_room_imports_nothing_heavy():
    code = (
        "import sys, rac_jax.view; "
        "heavy = {'matplotlib', 'av', 'PIL', 'scipy', 'numpy', 'jax'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    own_process.output(code)


@pytest.mark.parametrize("name", view.__all__)
def test_every_name_is_there(name):
    assert callable(getattr(view, name))
    assert name in dir(view)


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'draw'"):
        _ = view.draw
