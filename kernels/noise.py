"""Normal and logistic noise in NumPy: quantiles of the uniform numbers of `philox`.

`cpu.noise` and `cuda.noise` have the same functions and give the same bits. For this the logarithm is computed here
too: NumPy's differs between processors. All is made of additions, multiplications, divisions and square roots in
double precision, in a fixed order, and every product is rounded before it is added.

One uniform number u gives one number, by the inverse of the distribution function. So the number of a unit depends on
its own word only, and the word with all bits inverted gives the number with the other sign.

Source of the inverse of the normal distribution function: Wichura, "Algorithm AS 241: the percentage points of the
normal distribution", Applied Statistics 37 (1988), 477-484, PPND16. It has a third pair of polynomials for
u < exp(-25), which is below every uniform number here.
"""

import numpy as np

from .philox import LN2_HIGH, LN2_LOW, uniforms

ROOT_HALF = 0.5**0.5
#: log((1 + s) / (1 - s)) = 2 s (1 + s²/3 + s⁴/5 + …): the coefficients from 1/21 down to 1/3, doubled.
ATANH = tuple(2.0 / k for k in range(21, 1, -2))

CENTRE = 0.425          # from this |u - 1/2| on, the formula for the tails
CENTRE_CONSTANT = 0.180625
CENTRE_TOP = (2.5090809287301226727e+3, 3.3430575583588128105e+4, 6.7265770927008700853e+4, 4.5921953931549871457e+4,
              1.3731693765509461125e+4, 1.9715909503065514427e+3, 1.3314166789178437745e+2, 3.3871328727963666080e+0)
CENTRE_BOTTOM = (5.2264952788528545610e+3, 2.8729085735721942674e+4, 3.9307895800092710610e+4, 2.1213794301586595867e+4,
                 5.3941960214247511077e+3, 6.8718700749205790830e+2, 4.2313330701600911252e+1, 1.0)
TAIL_SHIFT = 1.6
TAIL_TOP = (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e+0,
            3.64784832476320460504e+0, 5.76949722146069140550e+0, 4.63033784615654529590e+0, 1.42343711074968357734e+0)
TAIL_BOTTOM = (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
               1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e+0,
               2.05319162663775882187e+0, 1.0)


def polynomial(x, coefficients):
    """The polynomial with these coefficients, beginning with the highest power, by Horner's rule."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def logarithm(x):
    """log(x) for float64 numbers x > 0, with an error of at most two units in the last place.

    x = m 2ⁿ with √½ <= m < √2, and log m = log((1 + s) / (1 - s)) with s = (m - 1) / (m + 1).
    """
    m, n = np.frexp(x)
    small = m < ROOT_HALF
    m, n = np.where(small, m + m, m), n - small
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    return n * LN2_HIGH + (n * LN2_LOW + ((s + s) + s * (z * polynomial(z, ATANH))))


def logistic(u):
    """The number that a standard logistic number is below with probability u: log(u / (1 - u))."""
    return logarithm(u / (1.0 - u))


def normal(u):
    """The number that a standard normal number is below with probability u, for u from `philox.uniforms`."""
    q = u - 0.5
    r = CENTRE_CONSTANT - q * q
    z = q * polynomial(r, CENTRE_TOP) / polynomial(r, CENTRE_BOTTOM)
    tail = np.abs(q) > CENTRE
    below = q[tail] < 0
    p = np.where(below, u[tail], 1.0 - u[tail])
    r = np.sqrt(-logarithm(p)) - TAIL_SHIFT
    size = polynomial(r, TAIL_TOP) / polynomial(r, TAIL_BOTTOM)
    z[tail] = np.where(below, -size, size)
    return z


def normals(seed, stream, draw, sample_offset, out):
    """Fill the array ``out`` (samples, units); see `draws.philox_normals`."""
    _fill(normal, seed, stream, draw, sample_offset, out)


def logistics(seed, stream, draw, sample_offset, out):
    """Fill the array ``out`` (samples, units); see `draws.philox_logistics`."""
    _fill(logistic, seed, stream, draw, sample_offset, out)


def _fill(quantile, seed, stream, draw, sample_offset, out):
    u = np.empty(out.shape)
    uniforms(seed, stream, draw, sample_offset, u)
    out[...] = quantile(u)
