"""Tables, figures and timelines: each reads a finished result and shows it."""
