"""Write report.html and summary.json."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.config import expand
    from mlip_autopipec.report import write_report

    write_report(
        expand(snakemake.config), dict(snakemake.input.items()), snakemake.output.html, snakemake.output.summary
    )
