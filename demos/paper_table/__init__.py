"""The paper's experiment, reproduced: every row of its table under our recipes, with more seeds and more questions.

    python -m demos.paper_table              everything; stop and start it again as you like
    python -m demos.paper_table --quick      three minutes, on few digits, to see what it does

Read on in this order: ``rows`` (one training run and what it reports), ``table`` (means, intervals, and the claims
that are put to the test), ``timing``, ``sizes`` and ``gradients`` (what the paper did not measure), ``report``
(Markdown, and what all parts have in common), ``__main__`` (the command).
"""
