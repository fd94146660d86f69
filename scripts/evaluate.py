"""Measure the errors of a potential on its training data and on the test set."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_json
    from mlip_autopipec.frames import read_frames
    from mlip_autopipec.metrics import evaluate
    from mlip_autopipec.potential import load_potential

    i = snakemake.input
    write_json(
        snakemake.output[0],
        evaluate(load_potential(i.potential, i.asi), read_frames(i.dataset), read_frames(i.test)),
    )
