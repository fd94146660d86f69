"""Dataset to potential, and the molecular dynamics that finds where it does not hold."""


rule train:
    """Fit the potential to all accepted labels."""
    input:
        f"{RUN}/dataset_gen{{gen}}.extxyz",
    output:
        yaml=f"{RUN}/potential_gen{{gen}}.yaml",
        yace=f"{RUN}/potential_gen{{gen}}.yace",
        asi=f"{RUN}/potential_gen{{gen}}.asi",
        record=f"{RUN}/potential_gen{{gen}}.json",
    log:
        f"{RUN}/logs/train/gen{{gen}}.log",
    benchmark:
        f"{RUN}/benchmarks/train/gen{{gen}}.tsv"
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=CONFIG.training.model_dump(),
        seed=CONFIG.seed,
    message:
        "Generation {wildcards.gen}: training"
    script:
        "../../scripts/train.py"


rule evaluate:
    """Errors on training and test labels, structure by structure."""
    input:
        potential=f"{RUN}/potential_gen{{gen}}.yaml",
        asi=f"{RUN}/potential_gen{{gen}}.asi",
        dataset=f"{RUN}/dataset_gen{{gen}}.extxyz",
        test=f"{RUN}/testset.extxyz",
    output:
        f"{RUN}/evaluation/gen{{gen}}.json",
    log:
        f"{RUN}/logs/evaluate/gen{{gen}}.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    message:
        "Generation {wildcards.gen}: measuring errors"
    script:
        "../../scripts/evaluate.py"


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
    message:
        "Generation {wildcards.gen}: assessing"
    script:
        "../../scripts/assess.py"
