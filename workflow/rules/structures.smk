"""Composition to starting structures: parents from every source, relaxed, and what each generator makes of them."""

# What a source of parents does not look at: another value must not relax them again.
OF_THE_GENERATORS = {
    "files",
    "counts",
    "volume_strain_max",
    "shear_strain_max",
    "rattle_amplitudes_angstrom",
    "melt_temperature_k",
    "melt_steps",
    "mode_temperature_k",
    "cluster_sizes",
    "condensed_molecules",
}
# What the merging of parents looks at beside them.
OF_THE_MERGING = {"energy_window_ev_per_atom", "parents_max"}
NOT_OF_A_SOURCE = OF_THE_GENERATORS | OF_THE_MERGING | {"sources"}
NOT_OF_THE_GENERATORS = OF_THE_MERGING | {"files", "counts", "sources"}
# What the reference's supercell and the sieve of structures depend on.
OF_THE_CELLS = {"supercell_edge_angstrom", "atoms_min", "atoms_max"}
OF_THE_SIEVE = OF_THE_CELLS | {"minimum_distance_fraction"}


rule relax:
    """Parents of one source, relaxed with the surrogate; a source that fails says so in its record."""
    input:
        files=PARENT_FILES,
        model=MODEL_FILES,
    output:
        frames=f"{RUN}/parents/{{source}}.extxyz",
        record=f"{RUN}/parents/{{source}}.json",
    log:
        f"{RUN}/logs/relax/{{source}}.log",
    benchmark:
        f"{RUN}/benchmarks/relax/{{source}}.tsv"
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2500,
        runtime=240,
    params:
        material=MATERIAL,
        settings=CONFIG.structures.model_dump(exclude=NOT_OF_A_SOURCE),
        surrogate=SURROGATE,
        seed=CONFIG.seed,
    message:
        "Relaxing parents: {wildcards.source}"
    script:
        "../../scripts/relax.py"


rule parents:
    """All parents without duplicates, lowest energy first, those within the energy window."""
    input:
        frames=expand(f"{RUN}/parents/{{name}}.extxyz", name=SOURCES),
        records=expand(f"{RUN}/parents/{{name}}.json", name=SOURCES),
    output:
        frames=f"{RUN}/parents.extxyz",
        record=f"{RUN}/parents.json",
    log:
        f"{RUN}/logs/parents.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        material=MATERIAL,
        settings=CONFIG.structures.model_dump(include=OF_THE_MERGING),
    message:
        "Merging parents of {input.frames}"
    script:
        "../../scripts/parents.py"


rule generate:
    """What one generator makes of the parents; a generator that fails says so in its record."""
    input:
        parents=f"{RUN}/parents.extxyz",
        model=MODEL_FILES,
    output:
        frames=f"{RUN}/structures/{{generator}}.extxyz",
        record=f"{RUN}/structures/{{generator}}.json",
    log:
        f"{RUN}/logs/generate/{{generator}}.log",
    benchmark:
        f"{RUN}/benchmarks/generate/{{generator}}.tsv"
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2500,
        runtime=240,
    params:
        material=MATERIAL,
        number=lambda wildcards: CONFIG.structures.counts[wildcards.generator],
        settings=CONFIG.structures.model_dump(exclude=NOT_OF_THE_GENERATORS),
        surrogate=SURROGATE,
        seed=CONFIG.seed,
    message:
        "Generating structures: {params.number} {wildcards.generator}"
    script:
        "../../scripts/generate.py"


rule structures:
    """All starting structures, each once, with those of the user's own."""
    input:
        parents=f"{RUN}/parents.extxyz",
        files=OWN_FILES,
        frames=expand(f"{RUN}/structures/{{name}}.extxyz", name=GENERATORS),
        records=expand(f"{RUN}/structures/{{name}}.json", name=GENERATORS),
    output:
        frames=f"{RUN}/structures.extxyz",
        record=f"{RUN}/structures.json",
    log:
        f"{RUN}/logs/structures.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        material=MATERIAL,
        settings=CONFIG.structures.model_dump(include=OF_THE_SIEVE),
    message:
        "Gathering the starting structures"
    script:
        "../../scripts/structures.py"
