"""Training in plain NumPy, without anything of simpar.execute: what a replay must come to."""

from collections import defaultdict
from itertools import pairwise
from types import SimpleNamespace

import numpy as np


class Perceptron:
    """Linear layers with ReLU between them, softmax cross entropy or half squared error at the end."""

    def __init__(self, sizes, squared=False):
        self.sizes, self.squared = tuple(sizes), squared
        self.layers = [
            SimpleNamespace(tensors=((f"fc{n}.weight", (out, into)), (f"fc{n}.bias", (out,))))
            for n, (into, out) in enumerate(pairwise(sizes), 1)
        ]

    def init(self, seed, dtype="f8"):
        rng = np.random.default_rng(seed)
        shapes = [shape for layer in self.layers for _, shape in layer.tensors]
        return [rng.normal(0, 0.5, shape).astype(dtype) for shape in shapes]

    def forward(self, parameters, x, first=0, last=None):
        saved = []
        for layer in range(first, len(self.layers) if last is None else last):
            weight, bias = parameters[2 * layer : 2 * layer + 2]
            y = x @ weight.T + bias
            if layer < len(self.layers) - 1:
                y = np.where(y > 0, y, 0)
            saved.append((layer, x, y))
            x = y
        return x, saved

    def backward(self, parameters, saved, dy):
        gradients = []
        for layer, x, y in reversed(saved):
            if layer < len(self.layers) - 1:
                dy = np.where(y > 0, dy, 0)
            gradients = [dy.T @ x, dy.sum(axis=0), *gradients]
            dy = dy @ parameters[2 * layer]
        return dy, gradients

    def loss(self, y, targets):
        if self.squared:
            return 0.5 * ((y - targets) ** 2).sum(), y - targets
        p = np.exp(y - y.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        one_hot = np.zeros_like(p)
        one_hot[rows, targets] = 1
        return -np.log(p[rows, targets]).sum(), p - one_hot

    def gradient(self, parameters, x, targets):
        """Return the loss and the gradients of all tensors, summed over samples."""
        y, saved = self.forward(parameters, x)
        value, dy = self.loss(y, targets)
        return value, self.backward(parameters, saved, dy)[1]


class Sgd:
    """The optimizer of one slice of parameters."""

    def __init__(self, rate):
        self.rate = rate

    def step(self, parameters, gradient):
        return parameters - parameters.dtype.type(self.rate) * gradient


def mean_step(parameters, gradients, samples, rate):
    return [p - p.dtype.type(rate) * (g / samples) for p, g in zip(parameters, gradients, strict=True)]


def one_device(model, parameters, source, steps, batch, rate):
    """Return the parameters and the mean losses of SGD on one device, a batch a step."""
    losses = []
    for step in range(steps):
        value, gradients = model.gradient(parameters, *source(step * batch, batch))
        losses.append(value / batch)
        parameters = mean_step(parameters, gradients, batch, rate)
    return parameters, losses


def in_parts(model, parameters, source, steps, parts, rate):
    """Return the parameters where the gradients of a step are summed over *parts*, in their order."""
    whole = sum(parts)
    for step in range(steps):
        begin, found = step * whole, []
        for part in parts:
            found.append(model.gradient(parameters, *source(begin, part))[1])
            begin += part
        gradients = [one_by_one(list(one)) for one in zip(*found, strict=True)]
        parameters = mean_step(parameters, gradients, whole, rate)
    return parameters


def one_by_one(values):
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def round_a_ring(rows):
    """Return the sum of flat *rows* as a ring makes it: chunk c begins at worker c."""
    chunks = np.array_split(np.arange(len(rows[0])), len(rows))
    total = np.empty_like(rows[0])
    for chunk, place in enumerate(chunks):
        sum_ = rows[chunk][place]
        for turn in range(1, len(rows)):
            sum_ = sum_ + rows[(chunk + turn) % len(rows)][place]
        total[place] = sum_
    return total


def by_versions(model, parameters, source, keys, applied, batch, whole, rate):
    """Return the parameters where each gradient was computed on versions that are given.

    Args:
        keys: by key, the indices of its elements among all of the model's, tensor after tensor.
        applied: by key, in order, the members of each update: (worker, iteration, version read).
    """
    sizes = [p.size for p in parameters]
    start = np.concatenate([p.ravel() for p in parameters])
    history = {key: [start[place]] for key, place in keys.items()}
    read = defaultdict(dict)
    for key, updates in applied.items():
        for members in updates:
            for worker, iteration, version in members:
                read[worker, iteration][key] = version
    cache = {}

    def gradient(worker, iteration):
        if (worker, iteration) not in cache:
            flat = start.copy()
            for key, version in read[worker, iteration].items():
                flat[keys[key]] = history[key][version]
            cut = np.split(flat, np.cumsum(sizes)[:-1])
            tensors = [one.reshape(p.shape) for one, p in zip(cut, parameters, strict=True)]
            first = iteration * whole + worker * batch
            _, found = model.gradient(tensors, *source(first, batch))
            cache[worker, iteration] = np.concatenate([one.ravel() for one in found])
        return cache[worker, iteration]

    waiting = {key: list(updates) for key, updates in applied.items()}
    while any(waiting.values()):
        before = sum(map(len, waiting.values()))
        for key, updates in waiting.items():
            while updates and all(_there(read[w, i], history) for w, i, _ in updates[0]):
                total = one_by_one([gradient(w, i)[keys[key]] for w, i, _ in sorted(updates[0])])
                mean = total / (batch * len(updates.pop(0)))
                history[key].append(history[key][-1] - rate * mean)
        assert sum(map(len, waiting.values())) < before, "a gradient was read before it was there"
    flat = start.copy()
    for key, versions in history.items():
        flat[keys[key]] = versions[-1]
    return flat


def _there(versions, history):
    return all(version < len(history[key]) for key, version in versions.items())
