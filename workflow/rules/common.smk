"""The loop's input functions; nothing else in the workflow knows how many generations there will be."""

import json
import os


def say_at_dry_run():
    """What a run would say at its start; whether it is a dry run Snakemake knows only after the rules are read."""
    if workflow.dryrun:
        print(console.start_text(CONFIG, RUN, inferred_summary(CONFIG, CHOICES)))


def frame_names(path):
    """Names of the frames in an extended XYZ file, read from its comment lines only: this is called many times."""
    return console.frame_names(path)


def frames_of(batch):
    """Names of the frames of one batch of labels; the file that lists them is made first when it has to be."""
    if batch == "atoms":
        return ELEMENTS
    if batch == "eos":
        return [f"v{k}" for k in range(CONFIG.validation.eos_points)]
    if batch == "test":
        return frame_names(checkpoints.test_frames.get().output.frames)
    return frame_names(
        checkpoints.select.get(gen=batch.removeprefix("gen")).output.frames
    )


def labels_of(batch):
    """Label files of one batch."""
    return [f"{RUN}/labeled/{batch}/{frame}.json" for frame in frames_of(batch)]


def frames_file(batch):
    """The file a label's frame is read from. Frames of a generation or of the test are named by their content, so that a
    younger file is no reason to label them again; an element or v0, v1, ... says nothing about its cell.
    """
    path = f"{RUN}/frames/{batch}.extxyz"
    return path if batch in ("atoms", "eos") else ancient(path)


def labels_until(wildcards):
    """Label files of all generations up to this one."""
    return [
        label
        for gen in range(int(wildcards.gen) + 1)
        for label in labels_of(f"gen{gen}")
    ]


def frames_until(wildcards):
    """Frame files of all generations up to this one."""
    return [f"{RUN}/frames/gen{gen}.extxyz" for gen in range(int(wildcards.gen) + 1)]


def simulated(gen, suffix):
    """Files of all simulation walkers of one generation."""
    return [f"{RUN}/simulated/gen{gen}/{walker}.{suffix}" for walker in SIMULATORS]


def last_generation():
    """Number of the generation whose assessment ended the loop; the loop is walked as far as it has come.

    A selection that was made before is asked for ahead of its assessment, although nothing is read from it: Snakemake
    resolves only those checkpoints that a job depends on directly. Reached through the assessment alone, `collect`
    would keep the unresolved inputs it was made with and be taken for up to date when the selection has changed.
    """
    if OWN_DATA:
        return 0
    gen = 0
    while True:
        if os.path.exists(f"{RUN}/frames/gen{gen}.extxyz"):
            checkpoints.select.get(gen=gen)
        with open(checkpoints.assess.get(gen=gen).output[0]) as handle:
            if json.load(handle)["finished"]:
                return gen
        gen += 1


def of_last_generation(*names):
    """An input function: these files of the last generation ('{gen}' is filled in)."""
    return lambda wildcards: [
        f"{RUN}/{name.format(gen=last_generation())}" for name in names
    ]


def of_all_generations(*names):
    """An input function: these files of every generation."""
    return lambda wildcards: [
        f"{RUN}/{name.format(gen=gen)}"
        for name in names
        for gen in range(last_generation() + 1)
    ]


def factor_before(wildcards):
    """The triangles of the generation before. A parameter, not an input: they save time and change nothing, so that
    a missing file must not make an old training, and all that follows from it, run again.
    """
    gen = int(wildcards.gen)
    return f"{RUN}/factor_gen{gen - 1}.npz" if gen and LINEAR else ""


def of_the_loop(wildcards):
    """What the report reads beyond datasets and potentials: nothing where training starts from given data."""
    if OWN_DATA:
        return {}
    generations = range(last_generation() + 1)
    return {
        "parents": f"{RUN}/parents.json",
        "structures": f"{RUN}/structures.json",
        "candidates": f"{RUN}/candidates.json",
        "explored": [f"{RUN}/explored/{walker}.json" for walker in EXPLORERS],
        "assessments": [f"{RUN}/assess/gen{gen}.json" for gen in generations],
        "simulated": [path for gen in generations for path in simulated(gen, "json")],
        "eos": f"{RUN}/validation/eos.json",
        "eos_labels": f"{RUN}/validation/eos_dft.json",
        "elastic": f"{RUN}/validation/elastic.json",
    }


def to_select_from(wildcards):
    """Candidates for generation 0; afterwards what the last simulation was uncertain about, and what is known."""
    gen = int(wildcards.gen)
    if gen == 0:
        return {"candidates": f"{RUN}/candidates.extxyz"}
    return {
        "assessment": f"{RUN}/assess/gen{gen - 1}.json",
        "uncertain": simulated(gen - 1, "extxyz"),
        "dataset": f"{RUN}/dataset_gen{gen - 1}.extxyz",
        "quarantine": f"{RUN}/quarantine_gen{gen - 1}.extxyz",
    }
