"""The samplers that replace JAX's own during a check.

During a check ``jax.random.bernoulli`` and ``jax.random.categorical`` are primitives of JAX.  So they work inside
``jax.grad``, ``jax.vmap`` and ``jax.checkpoint``.  When all values are known, the script gives the samples.

In JAX a key and a shape determine the numbers.  So the same key gives the same sample.  If one key is used with two
probabilities, both are compared with the same number, as in ``jax.random`` itself.
"""

import jax
import numpy as np
from jax import dtypes, typeof
from jax import numpy as jnp
from jax import random as jax_random
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from minigrad.testing.outcomes import Cells

#: The module in which JAX's samplers look up the functions that draw.  A sampler imported by name looks there, too.
HOME = jax_random.bernoulli.__globals__
PRIVATE = ("_bernoulli", "_categorical")


class Answers:
    """The functions that replace JAX's own, and the Run with the script that they read."""

    def __init__(self):
        self.run, self.uniforms, self.chosen = None, {}, {}
        self.plain = {name: HOME[name] for name in PRIVATE if name in HOME}
        if len(self.plain) < len(PRIVATE):
            raise ImportError(f"expected a JAX whose samplers can be replaced, got version {version()}, in which "
                              f"{HOME['__name__']} has no {' or no '.join(PRIVATE)}. Install jax>=0.6,<0.11")

    def begin(self, run):
        self.run, self.uniforms, self.chosen = run, {}, {}

    def end(self):
        self.run = None

    def replace(self):
        HOME["_bernoulli"], HOME["_categorical"] = self.bernoulli, self.categorical

    def put_back(self):
        HOME.update(self.plain)

    # -- what the program calls --------------------------------------------------------------------

    def bernoulli(self, key, p, shape=None, mode="low"):
        if self.run is None:
            return self.plain["_bernoulli"](key, p, shape, mode)
        shape = jnp.shape(p) if shape is None else shape
        return bernoulli_p.bind(jax_random.key_data(key), jnp.broadcast_to(p, shape), answers=self)

    def categorical(self, key, logits, shape, batch_shape, axis, replace=True, mode=None, **options):
        if self.run is None or not replace:
            return self.plain["_categorical"](key, logits, shape, batch_shape, axis, replace, mode, **options)
        logits = jnp.moveaxis(logits, axis, -1)
        logits = jnp.broadcast_to(logits, (*shape, logits.shape[-1]))
        return categorical_p.bind(jax_random.key_data(key), logits, answers=self)

    # -- what is answered --------------------------------------------------------------------------

    def bits(self, name, p):
        """Samples of Bernoulli(p) with one key."""
        if name not in self.uniforms:
            self.refuse(name, self.uniforms, self.chosen)
            self.uniforms[name] = p.shape, Cells(self.run.script, np.zeros(p.size), np.ones(p.size, bool))
        shape, cells = self.uniforms[name]
        if shape != p.shape:
            self.refuse(name, self.uniforms)
        if not ((p >= 0) & (p <= 1)).all():
            raise ValueError(f"jax.random.bernoulli: expected probabilities from 0 to 1, got {p.tolist()}. Is a logit "
                             "given for a probability?")
        return np.array([cells.below(i, q) for i, q in enumerate(p.ravel())], bool).reshape(p.shape)

    def categories(self, name, logits):
        """Samples of categories with one key."""
        if name not in self.chosen:
            self.refuse(name, self.uniforms, self.chosen)
            weights = np.exp(logits - logits.max(-1, keepdims=True))
            found = [self.run.script.choose(w / w.sum()) for w in weights.reshape(-1, logits.shape[-1])]
            self.chosen[name] = logits, np.array(found, np.int64).reshape(logits.shape[:-1])
        before, found = self.chosen[name]
        if before.shape != logits.shape or not np.array_equal(before, logits):
            self.refuse(name, self.chosen)
        return found

    @staticmethod
    def refuse(name, *used):
        """Raise if a key was already used for a different draw, which would share its numbers."""
        if any(name in names for names in used):
            raise ValueError("expected a key for each call of a sampler, got one key for two calls with different "
                             "shapes or categories, whose samples depend on each other. Use jax.random.split")


def answered(name, method, dtype, trailing):
    """A primitive of key data and probabilities, whose last axes belong to one key.

    ``trailing`` is the number of axes that the probabilities of one sample have.
    """
    primitive = Primitive(name)

    def rows(key, x, answers):
        if answers.run is None:
            raise TypeError(f"{name}: expected a call during the check, got one after it, from a function that was "
                            "traced during the check. Trace the function again")
        key, x = np.asarray(key), np.asarray(x, np.float64)
        lead = key.shape[:-1]
        found = [getattr(answers, method)(k.tobytes(), e) for k, e in zip(
            key.reshape(-1, key.shape[-1]), x.reshape(-1, *x.shape[len(lead):]), strict=True)]
        shape = (*lead, *x.shape[len(lead):x.ndim - trailing])
        return jnp.asarray(np.reshape(np.array(found), shape), result())

    def result():
        return dtypes.canonicalize_dtype(dtype)

    def abstract(key, x, answers):
        return ShapedArray(x.shape[:x.ndim - trailing], result())

    def batch(arguments, axes, **parameters):
        size = next(x.shape[axis] for x, axis in zip(arguments, axes, strict=True) if axis is not None)
        moved = [jnp.broadcast_to(x, (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
                 for x, axis in zip(arguments, axes, strict=True)]
        return primitive.bind(*moved, **parameters), 0

    def differentiate(primals, tangents, **parameters):
        found = primitive.bind(*primals, **parameters)
        return found, ad.Zero(typeof(found).to_tangent_aval())

    def compiled(context, *arguments, **parameters):
        raise TypeError(f"{name}: expected a function that can run uncompiled, got one that is compiled even "
                        "within jax.disable_jit(): by pallas_call, shard_map or pmap, for example. Check the program "
                        "without it")

    primitive.def_impl(rows)
    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = batch
    ad.primitive_jvps[primitive] = differentiate
    mlir.register_lowering(primitive, compiled)
    return primitive


def version():
    return jax.__version__


bernoulli_p = answered("jax.random.bernoulli", "bits", np.bool_, 0)
categorical_p = answered("jax.random.categorical", "categories", np.int64, 1)
