"""Quantum ESPRESSO as a labeller: inputs, runs, an honest reader of outputs, and recovery."""
