"""Dataset to potential, and its errors."""

# An external program has its own time limit, to which the linear start and the active set are added.
TRAINING_MINUTES = 120
if CONFIG.training.trainer == "pacemaker":
    TRAINING_MINUTES += CONFIG.training.pacemaker_max_seconds // 60

# What only our own trainer leaves: the triangles that the next generation appends to, and, of one density, the posterior.
LINEAR = CONFIG.training.trainer == "linear-ace"
POSTERIOR = LINEAR and CONFIG.training.densities == 1
FACTOR = {"factor": f"{RUN}/factor_gen{{gen}}.npz"} if LINEAR else {}
if POSTERIOR:
    FACTOR["posterior"] = f"{RUN}/potential_gen{{gen}}_posterior.npz"

# Of the labels this run makes: given data say nothing of how they would be at tighter settings.
NOISE = {} if OWN_DATA else {"noise": f"{RUN}/label_noise.json"}


rule train:
    """Search the hyperparameters and fit the potential to all accepted labels."""
    input:
        **NOISE,
        dataset=f"{RUN}/dataset_gen{{gen}}.extxyz",
        record=f"{RUN}/dataset_gen{{gen}}.json",
    output:
        **FACTOR,
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
        mem_mb=4000 if CONFIG.training.densities == 1 else 12000,
        runtime=TRAINING_MINUTES,
    params:
        settings=CONFIG.training.of_the_fit(),
        previous=factor_before,
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


FAMILY = expand(
    f"{RUN}/family/{{role}}.{{kind}}",
    role=["fast", "balanced", "accurate"],
    kind=["yaml", "yace", "asi"],
)


if LINEAR:

    rule family:
        """The fast, the balanced and the accurate potential of the last dataset, with their errors and costs."""
        input:
            potential=of_last_generation("potential_gen{gen}.yaml"),
            record=of_last_generation("potential_gen{gen}.json"),
            factor=of_last_generation("factor_gen{gen}.npz"),
            dataset=of_last_generation("dataset_gen{gen}.extxyz"),
            test=f"{RUN}/testset.extxyz",
        output:
            potentials=FAMILY,
            record=f"{RUN}/family/family.json",
        log:
            f"{RUN}/logs/family.log",
        conda:
            "../../envs/pipeline.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        message:
            "Making the fast, the balanced and the accurate potential"
        script:
            "../../scripts/family.py"
