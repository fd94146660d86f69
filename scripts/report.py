"""Write report.html and summary.json."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.config import expand_with_data
    from mlip_autopipec.report import write_report

    i, o = snakemake.input, snakemake.output
    write_report(expand_with_data(snakemake.config, list(i.datasets)), dict(i.items()), o.html, o.summary)
