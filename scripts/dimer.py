"""Press every pair of elements together."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.frames import read_frames
    from mlip_autopipec.potential import load_potential
    from mlip_autopipec.validation import scan_pairs

    i = snakemake.input
    record = scan_pairs(load_potential(i.potential[0]), read_frames(i.dataset[0]))
    write_record(snakemake.output[0], record, [i.potential[0], i.dataset[0]])
