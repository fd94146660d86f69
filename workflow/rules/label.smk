"""Frames to labels: which frames, the jobs that label them, and the dataset they make."""


rule atoms:
    """Isolated atoms, the reference of all energies."""
    output:
        f"{RUN}/frames/atoms.extxyz",
    log:
        f"{RUN}/logs/atoms.log",
    conda:
        "../../envs/pipeline.yaml"
    params:
        symbols=ELEMENTS,
        box_angstrom=CONFIG.labelling.atom_box_angstrom,
    message:
        "Placing isolated atoms: {params.symbols}"
    script:
        "../../scripts/atoms.py"


checkpoint eos_cells:
    """The reference larger and smaller: cells of the equation of state, or a molecule breathing."""
    input:
        parents=f"{RUN}/parents.extxyz",
    output:
        f"{RUN}/frames/eos.extxyz",
    log:
        f"{RUN}/logs/eos_cells.log",
    conda:
        "../../envs/pipeline.yaml"
    params:
        structures=CONFIG.structures.model_dump(include=OF_THE_CELLS),
        points=CONFIG.validation.eos_points,
        volume_strain_max=CONFIG.validation.eos_volume_strain_max,
    message:
        "Building {params.points} cells for the equation of state"
    script:
        "../../scripts/eos_cells.py"


checkpoint test_frames:
    """The held-out test frames, from walkers of their own."""
    input:
        expand(f"{RUN}/test/{{name}}.extxyz", name=TESTERS),
    output:
        frames=f"{RUN}/frames/test.extxyz",
    log:
        f"{RUN}/logs/test_frames.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        number=CONFIG.test.frames,
    message:
        "Taking {params.number} test frames that no selection will see"
    script:
        "../../scripts/test_frames.py"


checkpoint select:
    """Which frames get a label in this generation."""
    input:
        unpack(to_select_from),
    output:
        frames=f"{RUN}/frames/gen{{gen}}.extxyz",
        record=f"{RUN}/frames/gen{{gen}}.json",
    log:
        f"{RUN}/logs/select/gen{{gen}}.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        sampling=CONFIG.sampling.model_dump(),
        labels_first=LIMITS.labels_first,
        labels_per_generation=LIMITS.labels_per_generation,
        label_budget=LIMITS.label_budget,
        seed=CONFIG.seed,
    message:
        "Generation {wildcards.gen}: selecting frames to label"
    script:
        "../../scripts/select.py"


rule label:
    """Labels of several frames, each in a folder of its own; a failure is a result, recorded and kept.

    Only the job's record is an output: labels stand beside it in `labeled/<batch>/` and are never made twice, whatever
    happens to the record. A fault of the set-up, which every label would meet, fails the job and stops the run. A failure
    of the machine fails the job too, and its retries, with more memory and time, make the labels that are missing.
    """
    input:
        frames=lambda wildcards: frames_to_label(wildcards.batch),
    output:
        record=f"{RUN}/labeled/{{batch}}/jobs/{{job}}.json",
    log:
        f"{RUN}/logs/label/{{batch}}/{{job}}.log",
    retries: jobs.RETRIES
    conda:
        "../../envs/pipeline.yaml"
    threads: threads_of
    resources:
        mem_mb=lambda wildcards, threads, attempt: job_of(wildcards).mem_mb(
            attempt, threads
        ),
        runtime=lambda wildcards, threads, attempt: job_of(wildcards).minutes(
            CONFIG.labelling, attempt, threads
        ),
        attempt=lambda wildcards, attempt: attempt,
    params:
        surface=CONFIG.labelling.surface(),
        limits=LABEL_LIMITS,
        frames=lambda wildcards: list(job_of(wildcards).names),
        turns=turns_of,
    message:
        "Labelling {wildcards.batch}, job {wildcards.job}"
    script:
        "../../scripts/label.py"


rule review:
    """Labels that stand out among their neighbours, or whose moment collapsed: retried or kept out of the dataset."""
    input:
        frames=frames_until,
        jobs=jobs_until,
        before=reviews_before,
    output:
        review=f"{RUN}/labeled/gen{{gen}}/review.json",
    log:
        f"{RUN}/logs/review/gen{{gen}}.log",
    retries: jobs.RETRIES
    conda:
        "../../envs/pipeline.yaml"
    threads: review_threads
    resources:
        mem_mb=review_mb,
        runtime=review_minutes,
        attempt=lambda wildcards, attempt: attempt,
    params:
        limits=LABEL_LIMITS,
        outlier_ev_per_atom=CONFIG.labelling.outlier_ev_per_atom,
    message:
        "Generation {wildcards.gen}: reviewing labels"
    script:
        "../../scripts/review.py"


rule label_noise:
    """How far labels are from better converged ones, measured on a sample of generation 0."""
    input:
        frames=f"{RUN}/frames/gen0.extxyz",
        jobs=lambda wildcards: jobs_of("gen0"),
        review=f"{RUN}/labeled/gen0/review.json",
    output:
        noise=f"{RUN}/label_noise.json",
    log:
        f"{RUN}/logs/label_noise.log",
    retries: jobs.RETRIES
    conda:
        "../../envs/pipeline.yaml"
    threads: noise_threads
    resources:
        mem_mb=lambda wildcards, threads, attempt: noise_job(wildcards).mem_mb(
            attempt, threads
        ),
        runtime=lambda wildcards, threads, attempt: noise_job(wildcards).minutes(
            CONFIG.labelling, attempt, threads
        ),
        attempt=lambda wildcards, attempt: attempt,
    params:
        labels=CONFIG.labelling.noise_labels,
        surface=CONFIG.labelling.surface(),
        seed=CONFIG.seed,
    message:
        "Measuring the noise of the labels on {params.labels} of them"
    script:
        "../../scripts/label_noise.py"


rule collect:
    """All accepted labels so far in one dataset, all others in quarantine with the reason."""
    input:
        frames=frames_until,
        jobs=jobs_until,
        reviews=reviews_until,
        atoms=f"{RUN}/frames/atoms.extxyz",
        atom_jobs=lambda wildcards: jobs_of("atoms"),
    output:
        dataset=f"{RUN}/dataset_gen{{gen}}.extxyz",
        quarantine=f"{RUN}/quarantine_gen{{gen}}.extxyz",
        record=f"{RUN}/dataset_gen{{gen}}.json",
    log:
        f"{RUN}/logs/collect/gen{{gen}}.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        limits=LABEL_LIMITS,
    message:
        "Generation {wildcards.gen}: collecting labels"
    script:
        "../../scripts/collect.py"


use rule collect as collect_test with:
    input:
        frames=f"{RUN}/frames/test.extxyz",
        jobs=lambda wildcards: jobs_of("test"),
        atoms=f"{RUN}/frames/atoms.extxyz",
        atom_jobs=lambda wildcards: jobs_of("atoms"),
    output:
        dataset=f"{RUN}/testset.extxyz",
        quarantine=f"{RUN}/quarantine_test.extxyz",
        record=f"{RUN}/testset.json",
    log:
        f"{RUN}/logs/collect/test.log",
    message:
        "Collecting the test set"
