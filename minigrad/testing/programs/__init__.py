"""Compare an estimator that is written in PyTorch, JAX or NumPy with the exact gradient.

    from minigrad.testing.programs import pytorch

    pytorch.assert_unbiased(cost, params, surrogate)

During a check, the program's sampling calls get their results from a *script*.  A call for n Bernoulli samples
takes n entries of the script.  The probabilities of these entries give the weight of the outcome.  The program is
run once for every script, in depth-first order.  So every outcome occurs exactly once.  The exact gradient is a
central difference of the expected cost, so the check does not depend on the framework's own derivatives.

    numpy       choices.bernoulli(p) and choices.categorical(p), in your own functions
    pytorch     torch.bernoulli, torch.distributions, dropout and so on; the program does not change
    jax         jax.random.bernoulli and jax.random.categorical; the program does not change

Each one is a separate module, which imports its framework.
"""
