"""Frames to labels: which frames, one Quantum ESPRESSO run each, and the dataset they make."""


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


rule eos_cells:
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
    message:
        "Generation {wildcards.gen}: selecting frames to label"
    script:
        "../../scripts/select.py"


rule label:
    """One Quantum ESPRESSO run in a folder of its own; a failure is a result, recorded and kept.

    A fault of the set-up, which every label would meet, fails the job and stops the run.
    """
    input:
        frames=lambda wildcards: frames_file(wildcards.batch),
    output:
        label=f"{RUN}/labeled/{{batch}}/{{frame}}.json",
        raw=f"{RUN}/labeled/{{batch}}/{{frame}}.pwo",
    log:
        f"{RUN}/logs/label/{{batch}}/{{frame}}.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
        runtime=CONFIG.labelling.max_seconds // 60 + 10,
    params:
        surface=CONFIG.labelling.surface(),
    message:
        "Labelling {wildcards.batch} {wildcards.frame}"
    script:
        "../../scripts/label.py"


rule collect:
    """All accepted labels so far in one dataset, all others in quarantine with the reason."""
    input:
        frames=frames_until,
        labels=labels_until,
        atoms=f"{RUN}/frames/atoms.extxyz",
        atom_labels=lambda wildcards: labels_of("atoms"),
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
    message:
        "Generation {wildcards.gen}: collecting labels"
    script:
        "../../scripts/collect.py"


use rule collect as collect_test with:
    input:
        frames=f"{RUN}/frames/test.extxyz",
        labels=lambda wildcards: labels_of("test"),
        atoms=f"{RUN}/frames/atoms.extxyz",
        atom_labels=lambda wildcards: labels_of("atoms"),
    output:
        dataset=f"{RUN}/testset.extxyz",
        quarantine=f"{RUN}/quarantine_test.extxyz",
        record=f"{RUN}/testset.json",
    log:
        f"{RUN}/logs/collect/test.log",
    message:
        "Collecting the test set"
