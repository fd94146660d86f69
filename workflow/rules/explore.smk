"""Starting structures to candidates: surrogate walkers, descriptors, the choice among them."""

from mlip_autopipec.config.walks import OF_THE_PLANS

# What the descriptors do not look at.
OF_THE_CHOICE = {"method", "method_later", "candidates", "per_cluster", "always"}

# Files of frames that candidates are chosen from, and a name for each.
POOLS = {"structures": f"{RUN}/structures.extxyz"} | {
    walker: f"{RUN}/explored/{walker}.extxyz" for walker in EXPLORERS
}
OF_SURROGATE = CONFIG.sampling.descriptor == "surrogate"
DESCRIPTOR = {
    "sampling": CONFIG.sampling.model_dump(exclude=OF_THE_CHOICE),
    "surrogate": SURROGATE if OF_SURROGATE else {},
}


rule explore:
    """One surrogate walker."""
    input:
        structures=f"{RUN}/structures.extxyz",
        model=MODEL_FILES,
    output:
        frames=f"{RUN}/explored/{{walker}}.extxyz",
        record=f"{RUN}/explored/{{walker}}.json",
    log:
        f"{RUN}/logs/explore/{{walker}}.log",
    benchmark:
        f"{RUN}/benchmarks/explore/{{walker}}.tsv"
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2500,
        runtime=240,
    params:
        settings=CONFIG.exploration.model_dump(exclude=set(OF_THE_PLANS)),
        walk=lambda wildcards: vars(EXPLORERS[wildcards.walker]),
        seed=CONFIG.seed,
        config_type="explored",
    message:
        "Exploring with {params.settings[surrogate]} ({wildcards.walker})"
    script:
        "../../scripts/explore.py"


use rule explore as explore_test with:
    output:
        frames=f"{RUN}/test/{{walker}}.extxyz",
        record=f"{RUN}/test/{{walker}}.json",
    log:
        f"{RUN}/logs/test/{{walker}}.log",
    benchmark:
        f"{RUN}/benchmarks/test/{{walker}}.tsv"
    params:
        settings=CONFIG.exploration.model_dump(exclude=set(OF_THE_PLANS)),
        walk=lambda wildcards: vars(TESTERS[wildcards.walker]),
        seed=CONFIG.seed,
        config_type="test",
    message:
        "Walking for the test set with {params.settings[surrogate]} ({wildcards.walker})"


rule describe:
    """A vector for every frame of the starting structures, or of one walker."""
    input:
        frames=lambda wildcards: POOLS[wildcards.pool],
        model=MODEL_FILES if OF_SURROGATE else [],
    output:
        features=f"{RUN}/features/{{pool}}.npy",
        index=f"{RUN}/features/{{pool}}.index.npz",
    log:
        f"{RUN}/logs/describe/{{pool}}.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2500,
        runtime=120,
    params:
        descriptor=DESCRIPTOR,
    message:
        "Describing the frames of {input.frames}"
    script:
        "../../scripts/describe.py"


rule sample:
    """The choice among starting and explored frames."""
    input:
        frames=list(POOLS.values()),
        features=expand(f"{RUN}/features/{{name}}.npy", name=POOLS),
        indices=expand(f"{RUN}/features/{{name}}.index.npz", name=POOLS),
    output:
        candidates=f"{RUN}/candidates.extxyz",
        record=f"{RUN}/candidates.json",
        map=f"{RUN}/candidates_map.npz",
    log:
        f"{RUN}/logs/sample.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2500,
        runtime=120,
    params:
        settings=CONFIG.sampling.model_dump(exclude={"method_later"}),
        seed=CONFIG.seed,
    message:
        "Choosing {params.settings[candidates]} diverse frames ({params.settings[method]})"
    script:
        "../../scripts/sample.py"


rule atlas:
    """What was seen, chosen, labelled and found uncertain, on one map."""
    input:
        unpack(of_the_map),
        model=MODEL_FILES if OF_SURROGATE else [],
    output:
        f"{RUN}/map.json",
    log:
        f"{RUN}/logs/atlas.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2500,
        runtime=60,
    params:
        descriptor=DESCRIPTOR,
        seed=CONFIG.seed,
    message:
        "Drawing the map of what was chosen"
    script:
        "../../scripts/atlas.py"
