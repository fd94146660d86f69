"""Decide whether the loop goes on."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import read_json, write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.simulation import assess

    i, p = snakemake.input, snakemake.params
    labels = read_json(i.dataset)
    decision = assess(
        [read_json(path) for path in i.records],
        generation=int(snakemake.wildcards.gen),
        labels_requested=labels["requested"],
        not_started=labels.get("not_started", 0),
        core_hours_max=expand(snakemake.config)[0].labelling.core_hours_max,
        generations_max=p.generations_max,
        label_budget=p.label_budget,
        force_error_mev_per_angstrom=read_json(i.potential)["train"]["force_rmse_mev_per_angstrom"] or 0.0,
        force_error_max_mev_per_angstrom=p.force_rmse_max_mev_per_angstrom,
    )
    write_record(snakemake.output[0], decision, [i.dataset, i.potential, *i.records])
