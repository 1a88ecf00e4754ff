"""Predict how fast training will run in parallel."""
