"""The paper's experiment: every row of its table with our recipes, several seeds and further measurements.

    python -m demos.paper_table              everything; it can be stopped and continues where it stopped
    python -m demos.paper_table --quick      three minutes, on a few digits, to see what it does

Read the files in this order: ``rows`` (one training run and its results), ``table`` (means, intervals and comparisons
of rows), ``timing``, ``sizes`` and ``gradients`` (measurements that the paper does not have), ``report`` (Markdown, and
what all parts share), ``__main__`` (the command).
"""
