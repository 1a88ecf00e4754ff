"""Programs really carried out: kernels, models, data, and the replay of a trace.

:mod:`simpar.execute.model` is what is trained; :mod:`simpar.execute.replay` trains it in one process, in the
order of a trace. Nothing here needs more than NumPy.
"""
