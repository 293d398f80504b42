"""Hold an estimator against the truth, where it is written: in PyTorch, JAX or NumPy.

    from minigrad.testing.programs import pytorch

    pytorch.assert_unbiased(cost, params, surrogate)

The program's own sampling calls are answered from a *script*.  A call for n Bernoulli samples takes n
answers, and the probabilities that it asks for give the outcome its weight.  The program is run once for
every script, depth first, until there is none left: these are all outcomes, each once.  The truth is a
central difference of the expected cost, so the framework's differentiation is not trusted.

    numpy       choices.bernoulli(p) and choices.categorical(p), for functions of one's own
    pytorch     torch.bernoulli, torch.distributions, dropout and so on, as they are
    jax         jax.random.bernoulli and jax.random.categorical, as they are

Each is a module of its own, which imports its framework.
"""
