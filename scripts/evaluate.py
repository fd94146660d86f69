"""Measure the errors of a potential on its training data and on the test set."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.frames import read_frames
    from mlip_autopipec.metrics import evaluate
    from mlip_autopipec.potential import load_potential

    i = snakemake.input
    errors = evaluate(load_potential(i.potential, i.asi), read_frames(i.dataset), read_frames(i.test))
    write_record(snakemake.output[0], errors, list(i))
