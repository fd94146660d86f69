"""Pack what a user takes home."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.bundle import write_bundle

    write_bundle(dict(snakemake.input.items()), snakemake.output[0])
