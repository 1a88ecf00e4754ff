"""A small model on random data, and its replay."""

import numpy as np
from plain_training import Perceptron, Sgd

import simpar
from simpar.execute.replay import replay
from simpar.execute.sampling import Stream

RATE = 0.1


class Lab:
    """Scenarios of a small perceptron, and what becomes of it."""

    SIZES = (7, 9, 8, 5)  # nothing here divides by anything
    BATCH = 3
    STEPS = 5

    def __init__(self):
        rng = np.random.default_rng(11)
        self.model = Perceptron(self.SIZES)
        self.parameters = self.model.init(1)
        inputs, targets = rng.normal(size=(50, 7)), rng.integers(0, 5, 50)
        stream = Stream(50, 3)
        self.test = inputs, targets
        self.source = lambda first, count: tuple(one[stream.rows(first, count)] for one in self.test)

    def scenario(self, *strategies, workers=4, steps=STEPS, cluster=(), network=(), run=(), **more):
        links = {"bandwidth": "1 MB/s", "latency": "10 us"}
        machines = {"workers": workers, "device": {"flops": "1 MFLOP/s"}}
        shape = {"sizes": list(self.SIZES)}
        return simpar.load(
            {
                "name": "lab",
                "model": {"preset": "mlp", "shape": shape, "batch": self.BATCH, "dtype": "float64"},
                "cluster": machines | dict(cluster),
                "network": links | dict(network),
                "strategies": list(strategies),
                "run": {"steps": steps, "warmup": 0} | dict(run),
            }
            | more
        )

    def trace(self, scenario, name=None):
        return simpar.simulate(simpar.compile(scenario, name or scenario.strategies[0].name))

    def replay(self, trace, **how):
        return replay(
            trace, self.model, self.parameters, self.source, lambda: Sgd(RATE), test=self.test, **how
        )


LAB = Lab()
