"""Molecular dynamics with the new potential, and whether the loop goes on."""


rule simulate:
    """One walker driven by the new potential, stopped where it leaves what it knows."""
    input:
        potential=f"{RUN}/potential_gen{{gen}}.yaml",
        asi=f"{RUN}/potential_gen{{gen}}.asi",
        structures=f"{RUN}/structures.extxyz",
    output:
        frames=f"{RUN}/simulated/gen{{gen}}/{{walker}}.extxyz",
        record=f"{RUN}/simulated/gen{{gen}}/{{walker}}.json",
    log:
        f"{RUN}/logs/simulate/gen{{gen}}/{{walker}}.log",
    benchmark:
        f"{RUN}/benchmarks/simulate/gen{{gen}}/{{walker}}.tsv"
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        settings=CONFIG.simulation.model_dump(),
        temperature_k=lambda wildcards: SIMULATORS[wildcards.walker],
        gamma_select=LIMITS.gamma_select,
        gamma_stop=LIMITS.gamma_stop,
        seed=CONFIG.seed,
    message:
        "Generation {wildcards.gen}: simulating at {params.temperature_k:.0f} K ({wildcards.walker})"
    script:
        "../../scripts/simulate.py"


checkpoint assess:
    """Converged, or on to the next generation, or out of budget."""
    input:
        records=lambda wildcards: simulated(wildcards.gen, "json"),
        dataset=f"{RUN}/dataset_gen{{gen}}.json",
        potential=f"{RUN}/potential_gen{{gen}}.json",
    output:
        f"{RUN}/assess/gen{{gen}}.json",
    log:
        f"{RUN}/logs/assess/gen{{gen}}.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        generations_max=LIMITS.generations_max,
        label_budget=LIMITS.label_budget,
        force_rmse_max_mev_per_angstrom=CONFIG.validation.force_rmse_max_mev_per_angstrom,
    message:
        "Generation {wildcards.gen}: assessing"
    script:
        "../../scripts/assess.py"
