"""The last potential of the loop against DFT: the reference larger and smaller, elastic constants, the verdict."""


use rule collect as collect_eos with:
    input:
        frames=f"{RUN}/frames/eos.extxyz",
        jobs=lambda wildcards: jobs_of("eos"),
        atoms=f"{RUN}/frames/atoms.extxyz",
        atom_jobs=lambda wildcards: jobs_of("atoms"),
    output:
        dataset=f"{RUN}/validation/eos_dft.extxyz",
        quarantine=f"{RUN}/validation/eos_quarantine.extxyz",
        record=f"{RUN}/validation/eos_dft.json",
    log:
        f"{RUN}/logs/collect/eos.log",
    message:
        "Collecting the DFT energies of the reference"


rule validate:
    """Equation of state (of a molecule: breathing) against DFT, elastic constants, pass or fail."""
    input:
        potential=of_last_generation("potential_gen{gen}.yaml"),
        evaluation=of_last_generation("evaluation/gen{gen}.json"),
        dimer=f"{RUN}/validation/dimer.json",
        cells=f"{RUN}/validation/eos_dft.extxyz",
    output:
        eos=f"{RUN}/validation/eos.json",
        elastic=f"{RUN}/validation/elastic.json",
        verdict=f"{RUN}/validation/verdict.json",
    log:
        f"{RUN}/logs/validate.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=CONFIG.validation.model_dump(),
    message:
        "Validating against DFT on the same cells"
    script:
        "../../scripts/validate.py"
