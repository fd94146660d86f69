"""MLIP-AutoPipe: from a chemical composition to an interatomic potential that can be trusted."""
