"""Label one frame in a folder of its own."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.config import expand
    from mlip_autopipec.labelling.campaign import label_frame

    # Only what decides the potential energy surface is among the rule's params; how pw.x is started may change freely.
    label_frame(
        snakemake.input.frames,
        snakemake.wildcards.frame,
        expand(snakemake.config)[0].labelling,
        label_file=snakemake.output.label,
        raw_file=snakemake.output.raw,
    )
