"""A pytest plugin: tests that return an estimator.

    # conftest.py
    pytest_plugins = ["minigrad.testing.plugin"]

    # test_estimator.py
    @pytest.mark.unbiased
    def test_estimator():
        return cost, model.parameters(), surrogate

The test fails where the estimate is biased, and where it is not, its report can be seen with ``-rP``.  Keywords of
the mark are those of ``check_estimator``: ``@pytest.mark.unbiased(samples=100_000)``.  The fixture
``assert_unbiased`` is the same as a function, for tests that do other things, too.

The framework is known from the parameters.  The plugin is used only where it is asked for, as above or by
``pytest -p minigrad.testing.plugin``.
"""

import pytest

from minigrad.testing.programs.frameworks import check, check_returned

MARK = ("unbiased(**options): the test returns (cost, params) or (cost, params, estimate), whose estimate must be "
        "unbiased; options are those of check_estimator (minigrad.testing.programs)")


def pytest_configure(config):
    config.addinivalue_line("markers", MARK)


def judged(report):
    """The report, if it is on an unbiased estimate; printed in any case."""
    print(report)
    if not report.unbiased:
        pytest.fail(report.fault(), pytrace=False)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    mark = pyfuncitem.get_closest_marker("unbiased")
    if mark is None:
        return None
    if mark.args:
        raise TypeError(f"expected pytest.mark.unbiased with keywords alone, such as samples=1000, got {mark.args}")
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    judged(check_returned(pyfuncitem.name, pyfuncitem.obj(**arguments), **mark.kwargs))
    return True


@pytest.fixture
def assert_unbiased():
    """A function (cost, params, estimate=None, **options) that fails the test if the estimate is biased."""
    def assert_unbiased(cost, params, estimate=None, **options):
        return judged(check(cost, params, estimate, **options))
    return assert_unbiased
