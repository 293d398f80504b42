"""The explorer's page has minigrad's numbers, works in a browser, and shows that a broken rule is broken."""

import json
import re
import shutil
from copy import deepcopy
from functools import partial

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the demos need matplotlib")
pytest.importorskip("tqdm", reason="the demos need tqdm")

import minigrad as mg
from demos.explorer import __main__ as demo
from demos.explorer import measure
from demos.explorer.problems import PROBLEMS, curved, layers, one_bit, products
from minigrad.testing import mutants

THETAS = np.array([-2.0, -0.5, 1.0])
DRAWS = 512
T = 0.45


def data_in(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


@pytest.fixture(scope="module")
def page():
    return demo.page(measure.grid(THETAS, DRAWS, problems=[one_bit(T), products()]))


@pytest.fixture(scope="module")
def data(page):
    return data_in(page)


# ---- numbers -------------------------------------------------------------------------------------------------


def known(theta):
    """Mean and variance of estimates for one bit that costs (b − T)²: each has two or three values."""
    p = 1 / (1 + np.exp(-theta))
    f0, f1, v, larger = T**2, (1 - T) ** 2, p * (1 - p), max(p, 1 - p)
    difference = f1 - f0
    gradient = v * difference
    return p * f1 + (1 - p) * f0, gradient, {
        "Reinforce": (gradient, v * ((1 - p) * f1**2 + p * f0**2) - gradient**2),
        "LeaveOneOut": (gradient, gradient * difference * (0.5 - v)),
        "DisARM": (gradient, gradient * difference * (0.5 * larger - v)),
        "LocalExpectation": (gradient, 0.0),
        "StraightThrough": (2 * (p - T), 4 * v),
        "StraightThroughSlope": (2 * (p - T) * v, 4 * v**3),
    }


def check_one_bit(problem):
    """Raise unless a problem of the page, that of one bit, has the known numbers."""
    for i, theta in enumerate(THETAS):
        loss, gradient, moments = known(theta)
        np.testing.assert_allclose(problem["loss"][i], loss, rtol=1e-5)
        np.testing.assert_allclose(problem["gradient"][i], gradient, rtol=1e-5)
        for name, (mean, variance) in moments.items():
            (found,) = problem["rules"][name]
            assert found["exact"], name
            np.testing.assert_allclose(found["bias"][i], mean - gradient, rtol=1e-5, atol=1e-9, err_msg=name)
            np.testing.assert_allclose(found["variance"][i], variance, rtol=1e-5, atol=1e-15, err_msg=name)


def test_numbers_of_one_bit_are_those_of_algebra(data):
    check_one_bit(data["problems"][0])


BROKEN = {"DisARM": mutants.AntitheticCast, "LeaveOneOut": mutants.MeanOfAll, "Reinforce": mutants.BaselineAdded,
          "StraightThroughSlope": mutants.SlopeForgotten}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_has_other_numbers(name, monkeypatch):
    problem = measure.whole(one_bit(T), THETAS)
    problem["rules"] = {n: measure.variants(one_bit(T), n, THETAS, DRAWS, 0, problem["gradient"])
                        for n in known(0)[2]}
    check_one_bit(problem)
    monkeypatch.setattr(mg.estimators, name, BROKEN[name])
    problem["rules"][name] = measure.variants(one_bit(T), name, THETAS, DRAWS, 0, problem["gradient"])
    with pytest.raises(AssertionError):
        check_one_bit(problem)


def report(problem, name, theta, rows=1, temperature=None):
    """The EstimatorReport of a rule at one θ, which ``rows`` samples share."""
    leaf, rule = mg.tensor([[theta]], requires_grad=True), measure.make(name, temperature)

    def loss(rng):
        return mg.expected(problem.costs(leaf * np.ones((rows, 1)), lambda a: mg.bernoulli(a, rule, rng=rng)))
    return mg.testing.check_estimator(loss, leaf, samples=80**rows, seed=0)


def test_exact_numbers_are_those_of_check_estimator(data):
    problem, i = data["problems"][1], 1
    exact = [name for name, variants in problem["rules"].items() if variants[0]["exact"]]
    assert {"BitFlip", "Correlation", "Darn", "DisARM", "LeaveOneOut", "ReinMax", "Reinforce"} < set(exact)
    for name in exact:
        for variant, temperature in zip(problem["rules"][name], measure.TEMPERATURES, strict=False):
            found = report(products(), name, THETAS[i], temperature=temperature)
            assert found.exact, name
            np.testing.assert_allclose(problem["gradient"][i], found.gradient, rtol=1e-5)
            np.testing.assert_allclose(variant["bias"][i], found.bias, rtol=1e-5, atol=1e-8, err_msg=name)
            np.testing.assert_allclose(variant["variance"][i], found.variance, rtol=1e-5, atol=1e-12, err_msg=name)
            assert variant["evaluations"] == pytest.approx(found.evaluations, rel=1e-5), name


@pytest.mark.parametrize("name", ["Reinforce", "StraightThrough", "BitFlip"])
def test_a_mean_of_samples_has_the_bias_of_one_and_its_share_of_the_variance(name, data):
    """The page computes bias and variance of a mean of samples in this way."""
    (one,) = data["problems"][0]["rules"][name]
    three = report(one_bit(T), name, THETAS[0], rows=3)
    assert three.exact
    np.testing.assert_allclose(one["bias"][0], three.bias.item(), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(one["variance"][0] / 3, three.variance.item(), rtol=1e-5, atol=1e-12)


def test_sampled_numbers_are_moments_of_the_estimates_that_are_drawn(data):
    """For all rules whose noise cannot be enumerated, at all temperatures.  Those that claim to be unbiased are."""
    sampled = 0
    for problem, made in zip(data["problems"], [one_bit(T), products()], strict=True):
        for name, variants in problem["rules"].items():
            for variant, temperature in zip(variants, measure.TEMPERATURES, strict=False):
                if not variant["exact"]:
                    sampled += 1
                    drawn = estimates(made, name, temperature)
                    np.testing.assert_allclose(variant["variance"], drawn.var(axis=0, ddof=1), rtol=1e-5)
                    bias, stderr = drawn.mean(axis=0) - problem["gradient"], drawn.std(axis=0) / DRAWS**0.5
                    np.testing.assert_allclose(variant["bias"], bias, atol=1e-5)
                    if getattr(mg.estimators, name).unbiased:       # false alarm in about 1 of 10⁹ numbers
                        assert np.all(np.abs(bias) < 6 * stderr), name
    assert sampled > 2 * 2 * len(measure.TEMPERATURES)


def estimates(problem, name, temperature=None):
    """An array (draws, thetas), each from a sample of its own."""
    theta = mg.tensor(np.tile(THETAS[:, None], (DRAWS, 1)), requires_grad=True)
    rule, rng = measure.make(name, temperature), mg.Generator(0)
    (len(theta) * mg.expected(problem.costs(theta, lambda a: mg.bernoulli(a, rule, rng=rng)))).backward()
    return theta.grad.reshape(DRAWS, len(THETAS))


@pytest.mark.parametrize("name", ["Reinforce", "GumbelSigmoid"])
def test_histograms_are_those_of_means_of_estimates(name, data):
    temperature = measure.TEMPERATURES[0] if measure.has_temperature(name) else None
    variant, drawn = data["problems"][0]["rules"][name][0], estimates(one_bit(T), name, temperature)
    for n, bars in zip(measure.SAMPLES, variant["bars"], strict=True):
        for i, code in enumerate(bars):
            means = [drawn[k::DRAWS // n, i].mean() for k in range(DRAWS // n)]
            low, high = variant["low"], variant["high"]
            counts, _ = np.histogram(np.clip(means, low, high), measure.BINS, (low, high))
            first, *heights = map(measure.DIGITS.index, code)
            shown = np.zeros(measure.BINS)
            shown[first:first + len(heights)] = heights
            # Rounding moves the edges of bars a little, and with them perhaps an estimate in a thousand.
            assert np.abs(shown / 63 - counts / counts.max()).max() < 1 / 63 + 0.02


def test_every_rule_is_there_or_has_a_reason_not_to_be(data):
    there = {rule["name"] for rule in data["rules"]}
    for problem in data["problems"]:
        assert problem["rules"].keys() == there
    for name in set(mg.estimators.__all__) - there:
        rule = measure.make(name)
        assert rule.state is not None or name == "Vimco"
    for rule in data["rules"]:
        assert rule["unbiased"] == getattr(mg.estimators, rule["name"]).unbiased
        assert rule["formula"].startswith("d cost / d logit")


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_expected_costs_have_the_gradients_that_are_shown(problem):
    step, theta = 1e-5, 0.7
    below, at, above = measure.whole(problem, [theta - step, theta, theta + step])["loss"]
    gradient = measure.whole(problem, [theta])["gradient"][0]
    assert (above - below) / (2 * step) == pytest.approx(gradient, rel=1e-6, abs=1e-9)
    assert below != at


def test_what_the_curved_and_the_layered_problem_are_for():
    """In one problem the slope of the cost is misleading.  In the other, one layer uses the estimates of another."""
    curve = measure.whole(curved(), THETAS)
    (slope,) = measure.variants(curved(), "StraightThroughSlope", THETAS, DRAWS, 0, curve["gradient"])
    assert np.all(np.abs(slope["bias"]) > 0.5 * np.abs(curve["gradient"]))
    deep = measure.whole(layers(), THETAS)
    (darn,) = measure.variants(layers(), "Darn", THETAS, DRAWS, 0, deep["gradient"])
    (flips,) = measure.variants(layers(), "LocalExpectation", THETAS, DRAWS, 0, deep["gradient"])
    assert np.all(np.abs(darn["bias"]) > 1e-3)
    assert not np.any(flips["bias"])
    assert np.all(np.array(flips["variance"]) > 1e-3)


# ---- the file ------------------------------------------------------------------------------------------------


def test_the_page_is_one_file_that_asks_for_no_other(page):
    assert "/* page" not in page
    assert "/* data" not in page
    assert set(re.findall(r"https?://[^\"'\s]+", page)) == {"http://www.w3.org/2000/svg"}     # a name, not an address
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", page) == ["data:,"]
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", page)


def test_data_cannot_end_the_script_that_holds_it(data):
    spiked = {**data, "version": "</script><b>"}
    assert data_in(demo.page(spiked)) == spiked


def test_the_command_writes_the_page(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(measure, "grid", partial(measure.grid, problems=[one_bit(0.1)]))
    path = tmp_path / "made" / "page.html"
    assert demo.main(["--quick", "--out", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    assert [problem["name"] for problem in data_in(path.read_text(encoding="utf-8"))["problems"]] == [one_bit(0.1).name]


# ---- in a browser --------------------------------------------------------------------------------------------

CHARTS = ["loss", "gradient", "histogram"]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A headless browser, without a profile and without a network."""
    selenium = pytest.importorskip("selenium.webdriver", reason="to drive a browser, selenium has to be installed")
    browser = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("chromium and chromedriver are not installed (on Debian: apt-get install chromium chromium-driver)")
    options = selenium.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
                     f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = selenium.Chrome(options, selenium.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture
def show(chromium, page, tmp_path):
    """A function that opens the page, or another, and requires the console to have stayed empty in the end."""
    def show(text=page, width=1000, scheme="light"):
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False})
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})
        chromium.get(path.as_uri())
        return chromium
    chromium.get_log("browser")
    yield show
    assert chromium.get_log("browser") == []


def text(browser, name):
    return browser.find_element("id", name).text


def pictures(browser):
    return [browser.find_element("id", name).get_attribute("innerHTML") for name in CHARTS]


def choose(browser, **values):
    """Set controls one after the other, as a user does."""
    for name, value in values.items():
        browser.execute_script("const c = document.getElementById(arguments[0]); c.value = arguments[1];"
                               "c.dispatchEvent(new Event('input', { bubbles: true }));", name, str(value))


def test_the_page_shows_its_numbers(show, data):
    browser = show()
    choose(browser, problem=0, rule="StraightThrough", theta=2, samples=2)
    loss, gradient, moments = known(THETAS[2])
    mean, variance = moments["StraightThrough"]
    figures = text(browser, "figures").replace("−", "-").split()
    for number in (f"{loss:.4g}", f"{gradient:.4g}", f"{mean - gradient:.3g}", f"{variance / 4:.3g}"):
        assert number in figures
    summary = text(browser, "summary").replace("−", "-")
    start = f"At θ = 1, where the gradient is {gradient:.3g}, the mean of StraightThrough is {mean:.3g}."
    assert summary.startswith(start)
    assert "The rule is wrong on average. The standard deviation is" in summary
    assert "claims" not in summary
    for name, count in [("loss", 1), ("gradient", 2)]:
        assert len(browser.find_elements("css selector", f"#{name} circle")) == count
    code = data["problems"][0]["rules"]["StraightThrough"][0]["bars"][2][2]
    assert len(browser.find_elements("css selector", "#histogram .bar")) == len(code[1:].replace("0", ""))


def test_each_control_changes_charts_and_words(show):
    browser = show()
    choose(browser, problem=0, rule="GumbelSigmoid", theta=1, samples=0, temperature=2)
    for name, value in [("theta", 2), ("samples", 3), ("temperature", 0), ("rule", "Rebar"), ("problem", 1)]:
        before, said, table = pictures(browser), text(browser, "summary"), text(browser, "table")
        choose(browser, **{name: value})
        changed = [a != b for a, b in zip(before, pictures(browser), strict=True)]
        assert changed == ([False, True, True] if name == "samples" else [True] * 3), name
        assert text(browser, "summary") != said
        assert (text(browser, "table") == table) == (name == "rule")


def test_keys_are_enough(show):
    from selenium.webdriver.common.keys import Keys

    browser = show()
    reached = []
    for _ in range(5):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        control = browser.switch_to.active_element
        reached.append(control.get_attribute("id"))
        if reached[-1] == "rule":
            control.send_keys("GumbelR")
            assert control.get_attribute("value") == "GumbelRao"
        if reached[-1] in ("theta", "samples", "temperature"):
            before, said = pictures(browser), control.get_attribute("aria-valuetext")
            control.send_keys(Keys.ARROW_LEFT)
            assert pictures(browser) != before
            assert control.get_attribute("aria-valuetext") != said
        outline = browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", control)
        assert outline == "solid"
    assert reached == ["problem", "rule", "theta", "samples", "temperature"]
    browser.switch_to.active_element.send_keys(Keys.TAB)
    first = browser.switch_to.active_element.text
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.find_element("id", "rule").get_attribute("value") == first
    assert browser.switch_to.active_element.text == first


def test_a_rule_without_temperature_has_none_to_set(show):
    browser = show()
    for rule, enabled in [("Reinforce", False), ("ReinMax", True), ("DisARM", False)]:
        choose(browser, rule=rule)
        assert browser.find_element("id", "temperature").is_enabled() == enabled
        assert ("none" in text(browser, "temperature-value")) != enabled


@pytest.mark.parametrize("width", [320, 360, 800, 1400])
def test_nothing_is_wider_than_the_window(width, show):
    browser = show(width=width)
    choose(browser, problem=1, rule="DoubleControlVariate")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    for name in CHARTS:
        assert browser.find_element("id", name).rect["width"] > 0.4 * min(width, 800)


def test_light_and_dark(show):
    def luminance(browser, element, what):
        colour = browser.execute_script("return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]",
                                        element, what)
        light = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4
                 for x in (int(x) / 255 for x in re.findall(r"\d+", colour)[:3])]
        return float(np.dot([0.2126, 0.7152, 0.0722], light))
    for scheme, brighter in [("light", True), ("dark", False)]:
        browser = show(scheme=scheme)
        paper = luminance(browser, "body", "backgroundColor")
        for element, what, least in [("h1", "color", 7), (".note", "color", 4.5), ("#table button", "color", 4.5),
                                     ("svg text", "fill", 4.5), ("svg .exact", "stroke", 3), (".bar", "fill", 2.5)]:
            ink = luminance(browser, element, what)
            assert (paper > ink) == brighter
            assert (max(paper, ink) + 0.05) / (min(paper, ink) + 0.05) > least, (scheme, element)


def test_a_broken_rule_is_shown_to_be_broken(show, data, monkeypatch):
    monkeypatch.setattr(mg.estimators, "DisARM", mutants.AntitheticCast)
    problem = deepcopy(data["problems"][0])
    problem["rules"]["DisARM"] = measure.variants(one_bit(T), "DisARM", THETAS, DRAWS, 0, problem["gradient"])
    browser = show(demo.page({**data, "problems": [problem]}))
    choose(browser, rule="DisARM")
    assert "though it claims to be unbiased" in text(browser, "summary")
    choose(browser, rule="LeaveOneOut")
    assert "The rule is exactly right on average" in text(browser, "summary")
