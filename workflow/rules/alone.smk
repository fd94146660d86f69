"""Labelled data of the user's own take the place of the loop: dataset, test set, verdict."""


rule import_data:
    """Check the user's data frame by frame; what can be trained on, what is held out, what is refused and why."""
    input:
        dataset=own_data_files(CONFIG.training.dataset, "training.dataset"),
        test=own_data_files(CONFIG.training.test_dataset, "training.test_dataset"),
    output:
        dataset=f"{RUN}/dataset_gen0.extxyz",
        quarantine=f"{RUN}/quarantine_gen0.extxyz",
        test=f"{RUN}/testset.extxyz",
        record=f"{RUN}/dataset_gen0.json",
        test_record=f"{RUN}/testset.json",
    log:
        f"{RUN}/logs/import_data.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=CONFIG.training.model_dump(include=DATA_KEYS),
        composition=CONFIG.composition,
        seed=CONFIG.seed,
    message:
        "Reading and checking {input.dataset}"
    script:
        "../../scripts/import_data.py"


rule judge:
    """The verdict where there is no DFT to ask: errors on the held-out frames against their limits."""
    input:
        evaluation=of_last_generation("evaluation/gen{gen}.json"),
        dimer=f"{RUN}/validation/dimer.json",
    output:
        verdict=f"{RUN}/validation/verdict.json",
    log:
        f"{RUN}/logs/judge.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        settings=CONFIG.validation.model_dump(),
    message:
        "Judging the errors on the test set"
    script:
        "../../scripts/judge.py"
