"""Starting structures to candidates: surrogate walkers, DIRECT sampling."""


rule explore:
    """One surrogate walker."""
    input:
        structures=f"{RUN}/structures.extxyz",
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
        settings=CONFIG.exploration.model_dump(),
        temperature_k=lambda wildcards: EXPLORERS[wildcards.walker],
        steps=CONFIG.exploration.steps,
        seed=CONFIG.seed,
        config_type="explored",
    message:
        "Exploring with {params.settings[surrogate]} at {params.temperature_k:.0f} K ({wildcards.walker})"
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
        settings=CONFIG.exploration.model_dump(),
        temperature_k=lambda wildcards: TESTERS[wildcards.walker],
        steps=CONFIG.test.steps,
        seed=CONFIG.seed,
        config_type="test",
    message:
        "Walking for the test set at {params.temperature_k:.0f} K ({wildcards.walker})"


rule sample:
    """DIRECT among starting and explored frames."""
    input:
        structures=f"{RUN}/structures.extxyz",
        explored=expand(f"{RUN}/explored/{{name}}.extxyz", name=EXPLORERS),
    output:
        candidates=f"{RUN}/candidates.extxyz",
        record=f"{RUN}/candidates.json",
    log:
        f"{RUN}/logs/sample.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=CONFIG.sampling.model_dump(),
    message:
        "Choosing {params.settings[candidates]} diverse frames"
    script:
        "../../scripts/sample.py"
