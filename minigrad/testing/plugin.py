"""A pytest plugin: tests that return an estimator.

    # conftest.py
    pytest_plugins = ["minigrad.testing.plugin"]

    # test_estimator.py
    @pytest.mark.unbiased
    def test_estimator():
        return cost, model.parameters(), surrogate

The test fails if the estimate is biased.  For a test that passes, ``-rP`` shows the report.  The mark has the keywords
of ``check_estimator``, as in ``@pytest.mark.unbiased(samples=100_000)``.  The fixture ``assert_unbiased`` is a function
that does the same, for tests that also do other things.

The framework is known from the type of the parameters.  pytest loads the plugin only on request, as above or with
``pytest -p minigrad.testing.plugin``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from minigrad.testing.programs.frameworks import check, check_returned

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = ("unbiased(**options): the test returns (cost, params) or (cost, params, estimate), and passes if the estimate "
        "is unbiased; the options are those of check_estimator (minigrad.testing.programs)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)


def require_unbiased(report: Any) -> Any:
    """Print the report.  Return it, or fail the test if the estimate is biased."""
    print(report)
    if not report.unbiased:
        pytest.fail(report.fault(), pytrace=False)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> bool | None:
    mark = pyfuncitem.get_closest_marker("unbiased")
    if mark is None:
        return None
    if mark.args:
        raise TypeError(f"expected pytest.mark.unbiased with keywords only, such as samples=1000, got {mark.args}")
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    require_unbiased(check_returned(pyfuncitem.name, pyfuncitem.obj(**arguments), **mark.kwargs))
    return True


@pytest.fixture
def assert_unbiased() -> Callable[..., Any]:
    """A function (cost, params, estimate=None, **options) that fails the test if the estimate is biased."""
    def assert_unbiased(cost: Any, params: Any, estimate: Any = None, **options: Any) -> Any:
        return require_unbiased(check(cost, params, estimate, **options))
    return assert_unbiased
