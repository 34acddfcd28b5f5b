"""Temporary."""
from __future__ import annotations
import numpy as np
from cnnexp.engine import naive, im2col, stride_groups, fast
from cnnexp.engine.kernels import KERNELS
from cnnexp.engine.operations import IMPLEMENTATIONS, Implementation, Operation, Fusion
from cnnexp.engine import dense, activations

def ops(k):
    def cf(A, params, window, ctx): return k.conv_forward(A, params["W"], params["b"], window, ctx.scratch)
    def cb(dA, params, window, cache, ctx):
        dA_prev, dW, db = k.conv_backward(dA, params["W"], window, cache, ctx.scratch, ctx.need_dA_prev)
        return dA_prev, {"W": dW, "b": db}
    out = {"conv": Operation(cf, cb)}
    for name in ("max_pool", "avg_pool"):
        f, b = getattr(k, name + "_forward"), getattr(k, name + "_backward")
        out[name] = Operation(lambda A, p, w, c, f=f: f(A, w, c.scratch), lambda dA, p, w, cache, c, b=b: (b(dA, w, cache, c.scratch), {}))
    return out

class Fused(Fusion):
    def __init__(self, old):
        self.old = old(); self.name = old.name
        self.pattern = tuple("pointwise" if x == "relu" else x for x in old.pattern)
    def applies(self, layers):
        return all(l.type in ("relu", l.operation) for l in layers) and self.old.applies(layers)
    def forward(self, layers, A, ctx): return self.old.forward(layers, A, ctx)
    def backward(self, layers, cache, dA, ctx): return self.old.backward(layers, cache, dA, ctx)

def pf(A, params, fn, ctx):
    out = ctx.scratch.like("A", A); fn.apply(A, out); return out, (out if fn.from_output else A)
def pb(dA, params, fn, cache, ctx):
    out = ctx.scratch.like("dZ", cache); fn.gradient(dA, cache, out); return out, {}

def bf(A, params, g, ctx):
    axes = tuple(range(A.ndim - 1))
    x = (A - ctx.state["mean"]) / np.sqrt(ctx.state["variance"] + g.epsilon)
    return (x * params["scale"] + params["shift"]).astype(A.dtype), (x, np.sqrt(ctx.state["variance"] + g.epsilon))
def bb(dA, params, g, cache, ctx):
    x, s = cache; axes = tuple(range(dA.ndim - 1))
    return dA * params["scale"] / s, {"scale": (dA * x).sum(axes), "shift": dA.sum(axes)}
def btf(A, params, g, ctx):
    axes = tuple(range(A.ndim - 1)); n = A.size // A.shape[-1]
    m = A.mean(axes, dtype=np.float64); M2 = ((A - m) ** 2).sum(axes)
    N, s1, s2 = yield np.stack([np.full_like(m, n), n * m, M2 + n * m * m])
    mean = s1 / N; var = s2 / N - mean ** 2
    mom = g.momentum
    ctx.state_updates["mean"] = (1 - mom) * ctx.state["mean"] + mom * mean
    ctx.state_updates["variance"] = (1 - mom) * ctx.state["variance"] + mom * var * N / np.maximum(N - 1, 1)
    s = np.sqrt(var + g.epsilon)
    x = ((A - mean) / s).astype(A.dtype)
    return x * params["scale"] + params["shift"], (x, s.astype(A.dtype), N)
def btb(dA, params, g, cache, ctx):
    x, s, N = cache; axes = tuple(range(dA.ndim - 1))
    db, dg = dA.sum(axes, dtype=np.float64), (dA * x).sum(axes, dtype=np.float64)
    t = yield np.stack([db, dg])
    return ((params["scale"] / s) * (dA - t[0] / N - x * (t[1] / N))).astype(dA.dtype), {"scale": dg, "shift": db}

IMPLEMENTATIONS.register("numpy")(Implementation("numpy", {"dense": dense.DENSE, "pointwise": Operation(pf, pb),
   "batch_norm": Operation(bf, bb), "batch_norm_training": Operation(btf, btb)}))
for name in KERNELS:
    k = KERNELS[name]()
    IMPLEMENTATIONS.register(name)(Implementation(name, ops(k), "numpy", tuple(Fused(f) for f in k.fusions), k.threads_pay, k.caches))
