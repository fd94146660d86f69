"""The last potential: properties, report, bundle."""


use rule collect as collect_eos with:
    input:
        frames=f"{RUN}/frames/eos.extxyz",
        labels=lambda wildcards: labels_of("eos"),
        atoms=f"{RUN}/frames/atoms.extxyz",
        atom_labels=lambda wildcards: labels_of("atoms"),
    output:
        dataset=f"{RUN}/validation/eos_dft.extxyz",
        quarantine=f"{RUN}/validation/eos_quarantine.extxyz",
        record=f"{RUN}/validation/eos_dft.json",
    log:
        f"{RUN}/logs/collect/eos.log",
    message:
        "Collecting the DFT energies of the equation of state"


rule validate:
    """Equation of state against DFT on the same cells, elastic constants, pass or fail."""
    input:
        potential=of_last_generation("potential_gen{gen}.yaml"),
        evaluation=of_last_generation("evaluation/gen{gen}.json"),
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
        lattice_constant_angstrom=CONFIG.structures.lattice_constant_angstrom,
    message:
        "Validating: equation of state and elastic constants"
    script:
        "../../scripts/validate.py"


rule report:
    """One page for people, one file for machines."""
    input:
        dump=f"{RUN}/exec_config_dump.yaml",
        candidates=f"{RUN}/candidates.json",
        explored=expand(f"{RUN}/explored/{{name}}.json", name=EXPLORERS),
        assessments=of_all_generations("assess/gen{gen}.json"),
        datasets=of_all_generations("dataset_gen{gen}.json"),
        potentials=of_all_generations("potential_gen{gen}.json"),
        evaluations=of_all_generations("evaluation/gen{gen}.json"),
        simulated=lambda wildcards: [
            path
            for gen in range(last_generation() + 1)
            for path in simulated(gen, "json")
        ],
        test=f"{RUN}/testset.json",
        eos=f"{RUN}/validation/eos.json",
        eos_labels=f"{RUN}/validation/eos_dft.json",
        elastic=f"{RUN}/validation/elastic.json",
        verdict=f"{RUN}/validation/verdict.json",
    output:
        html=f"{RUN}/report.html",
        summary=f"{RUN}/summary.json",
    log:
        f"{RUN}/logs/report.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        run=CONFIG.run,
    message:
        "Writing the report"
    script:
        "../../scripts/report.py"


rule bundle:
    """What a user takes home: potential, data, config, versions, checksums."""
    input:
        summary=f"{RUN}/summary.json",
        report=f"{RUN}/report.html",
        dump=f"{RUN}/exec_config_dump.yaml",
        potential=of_last_generation(
            "potential_gen{gen}.yaml",
            "potential_gen{gen}.yace",
            "potential_gen{gen}.asi",
        ),
        data=of_last_generation("dataset_gen{gen}.extxyz", "quarantine_gen{gen}.extxyz"),
        test=f"{RUN}/testset.extxyz",
    output:
        directory(f"{RUN}/bundle"),
    log:
        f"{RUN}/logs/bundle.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=1000,
        runtime=20,
    message:
        "Bundling the potential with its data"
    script:
        "../../scripts/bundle.py"
