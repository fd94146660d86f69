"""The last potential: how far it can be trusted, report and bundle."""

# Only a linear fit leaves the posterior that errors to be expected come from.
MEMBERS = range(1, CONFIG.training.committee + 1)
COMMITTEE = expand(
    f"{RUN}/committee/potential_{{k}}.{{kind}}", k=MEMBERS, kind=["yaml", "yace"]
)
TRUST = {"posterior": f"{RUN}/potential_posterior.npz", "committee": COMMITTEE}


rule dimer:
    """Two atoms alone, pressed together: they must repel wherever no data say otherwise."""
    input:
        potential=of_last_generation("potential_gen{gen}.yaml"),
        dataset=of_last_generation("dataset_gen{gen}.extxyz"),
    output:
        f"{RUN}/validation/dimer.json",
    log:
        f"{RUN}/logs/dimer.log",
    conda:
        "../../envs/pipeline.yaml"
    resources:
        mem_mb=1000,
        runtime=20,
    message:
        "Pressing pairs of atoms together"
    script:
        "../../scripts/dimer.py"


if POSTERIOR:

    rule uncertainty:
        """Errors to be expected, calibrated on held-out labels and measured on the test set; a committee of potentials."""
        input:
            **NOISE,
            potential=of_last_generation(
                "potential_gen{gen}.yaml",
                "potential_gen{gen}.asi",
                "potential_gen{gen}_posterior.npz",
            ),
            factor=of_last_generation("factor_gen{gen}.npz"),
            dataset=of_last_generation("dataset_gen{gen}.extxyz"),
            test=f"{RUN}/testset.extxyz",
        output:
            record=f"{RUN}/uncertainty.json",
            posterior=f"{RUN}/potential_posterior.npz",
            yaml=expand(f"{RUN}/committee/potential_{{k}}.yaml", k=MEMBERS),
            yace=expand(f"{RUN}/committee/potential_{{k}}.yace", k=MEMBERS),
        log:
            f"{RUN}/logs/uncertainty.log",
        conda:
            "../../envs/pipeline.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            committee=CONFIG.training.committee,
            seed=CONFIG.seed,
        message:
            "Calibrating uncertainties and drawing a committee"
        script:
            "../../scripts/uncertainty.py"


if not OWN_DATA:

    rule audit:
        """What became of all labels: counts, recoveries, core-hours spent and wasted, suspects, noise."""
        input:
            unpack(of_the_audit),
            noise=f"{RUN}/label_noise.json",
        output:
            record=f"{RUN}/audit.json",
        log:
            f"{RUN}/logs/audit.log",
        conda:
            "../../envs/pipeline.yaml"
        resources:
            mem_mb=1000,
            runtime=20,
        message:
            "Auditing the labels"
        script:
            "../../scripts/audit.py"


rule report:
    """One page for people, one file for machines."""
    input:
        unpack(of_the_loop),
        **({"family": f"{RUN}/family/family.json"} if LINEAR else {}),
        **({"uncertainty": f"{RUN}/uncertainty.json"} if POSTERIOR else {}),
        dump=f"{RUN}/exec_config_dump.yaml",
        datasets=of_all_generations("dataset_gen{gen}.json"),
        potentials=of_all_generations("potential_gen{gen}.json"),
        evaluations=of_all_generations("evaluation/gen{gen}.json"),
        test=f"{RUN}/testset.json",
        verdict=f"{RUN}/validation/verdict.json",
        dimer=f"{RUN}/validation/dimer.json",
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
        **({"family": FAMILY} if LINEAR else {}),
        **(TRUST if POSTERIOR else {}),
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
