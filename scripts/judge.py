"""Compare the errors on the test set with their limits."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import read_json, write_record
    from mlip_autopipec.config.full import ErrorLimits
    from mlip_autopipec.validation import judge

    limits = ErrorLimits(**snakemake.params.settings)
    verdict = judge(read_json(snakemake.input.evaluation[0]), limits, read_json(snakemake.input.dimer))
    write_record(snakemake.output.verdict, verdict, list(snakemake.input), validation=limits)
