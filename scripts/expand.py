"""Write the whole configuration with what chose each value."""

from mlip_autopipec.config import expand_with_data, write_dump
from mlip_autopipec.console import job

with job(snakemake.log[0]):
    write_dump(snakemake.output[0], *expand_with_data(snakemake.config, list(snakemake.input)))
