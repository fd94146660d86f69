"""The loop's input functions; nothing else in the workflow knows how many generations there will be."""

import json
import os
from pathlib import Path

from snakemake.logging import logger

from mlip_autopipec.labelling import forecast, jobs, older
from mlip_autopipec.labelling.cells import read_cells
from mlip_autopipec.labelling.ledger import Ledger, turns

PARTITIONS = {}

# Before anything is planned, and at a dry run too.
if workflow.is_main_process and not OWN_DATA:
    try:
        older.refuse_older_labels(Path(RUN))
    except MlipError as error:
        raise WorkflowError(str(error)) from None

# What refuses labels without being physics: other limits judge labels again and run frames that were refused unrun.
LIMIT_KEYS = {
    "minimum_distance_fraction",
    "maximum_force_ev_per_angstrom",
    "scf_correction_max_ev_per_angstrom",
}
LABEL_LIMITS = {} if OWN_DATA else CONFIG.labelling.model_dump(include=LIMIT_KEYS)


def say_at_dry_run():
    """What a run would say at its start; whether it is a dry run Snakemake knows only after the rules are read."""
    if workflow.dryrun:
        print(console.start_text(CONFIG, RUN, inferred_summary(CONFIG, CHOICES)))


def frames_file(batch):
    """The file a batch's frames are read from."""
    return f"{RUN}/frames/{batch}.extxyz"


def batch_is_selected(batch):
    """Wait for the checkpoint that decides which frames a batch has. Isolated atoms are known from the start."""
    if batch == "test":
        checkpoints.test_frames.get()
    elif batch == "eos":
        checkpoints.eos_cells.get()
    elif batch != "atoms":
        checkpoints.select.get(gen=batch.removeprefix("gen"))


def cells_of(path):
    """Cells of a file; one that cannot be read is the user's matter, and no fault of the workflow."""
    try:
        return read_cells(path)
    except MlipError as error:
        raise WorkflowError(str(error)) from None
    except ValueError as error:
        raise WorkflowError(
            f"{path}: cannot be read ({error}). Delete the file and run again."
        ) from None


# Before Snakemake asks for resources: what an input function raises it would show with a traceback.
if workflow.is_main_process and not OWN_DATA:
    for path in sorted(Path(RUN, "frames").glob("*.extxyz")):
        cells_of(path)


def partition(batch):
    """The labelling jobs of a batch whose frames are there. The same in every process: from frames and config alone."""
    if batch == "atoms":
        cells = jobs.atom_cells(ELEMENTS, CONFIG.labelling.atom_box_angstrom)
    else:
        cells = cells_of(frames_file(batch))
    known = PARTITIONS.get(batch)
    if known is None or known[0] != cells:
        make = jobs.one_each if batch == "atoms" else jobs.partition
        PARTITIONS[batch] = known = (cells, make(cells, CONFIG.labelling))
        announce(batch, known[1])
    return known[1]


def announce(batch, made):
    """Say what the labels of a generation will cost, once, when they are known and not there yet."""
    if not (workflow.is_main_process and batch.startswith("gen")) or workflow.dryrun:
        return
    path = frames_file(batch)
    missing = [
        name
        for job in made
        for name in job.names
        if not label_file(batch, name).exists()
    ]
    if missing:
        told = forecast.of_batch(path, CONFIG, Ledger(Path(f"{RUN}/labeled")))
        logger.info(f"Generation {batch[3:]}: {told.text()}, jobs: {len(made)}")


def label_file(batch, name):
    """A label's verdict."""
    return Path(f"{RUN}/labeled/{batch}/{name}.json")


def jobs_of(batch):
    """Records of the labelling jobs of one batch; the file that lists its frames is made first when it has to be."""
    batch_is_selected(batch)
    return [
        f"{RUN}/labeled/{batch}/jobs/{k}.json" for k in range(len(partition(batch)))
    ]


def job_of(wildcards):
    """The labelling job behind a record."""
    made = partition(wildcards.batch)
    if int(wildcards.job) >= len(made):
        raise WorkflowError(
            f"{wildcards.batch} has {len(made)} labelling jobs, from 0 on: there is no job {wildcards.job}."
        )
    return made[int(wildcards.job)]


def threads_of(wildcards):
    """Cores of a labelling job; one while its frames, and so its labels, are still to be chosen."""
    known = wildcards.batch == "atoms" or os.path.exists(frames_file(wildcards.batch))
    return job_of(wildcards).ranks if known else 1


def noise_job(wildcards):
    """What the runs at tighter settings need."""
    return jobs.tighter_job(cells_of(frames_file("gen0")), CONFIG.labelling)


def review_job(wildcards):
    """What a review needs where it runs frames again, whose moments collapsed."""
    cells = [cell for path in frames_until(wildcards) for cell in cells_of(path)]
    return jobs.retry_job(cells, CONFIG.labelling)


def noise_threads(wildcards):
    """Cores of the runs at tighter settings; one while generation 0 is still to be chosen."""
    return noise_job(wildcards).ranks if os.path.exists(frames_file("gen0")) else 1


def review_threads(wildcards):
    """Cores of a review; one while its generation is still to be chosen."""
    known = os.path.exists(frames_file(f"gen{wildcards.gen}"))
    return review_job(wildcards).ranks if known else 1


def review_mb(wildcards, threads, attempt):
    """Memory of a review: its fits beside what it may run again."""
    return 3000 + review_job(wildcards).mem_mb(attempt, threads)


def review_minutes(wildcards, threads, attempt):
    """Time of a review, of the same."""
    return 45 + review_job(wildcards).minutes(CONFIG.labelling, attempt, threads)


def turns_of(wildcards):
    """How often labels of a job were asked for anew, by deleting their files or by a larger budget."""
    names = job_of(wildcards).names
    ledger = Ledger(Path(f"{RUN}/labeled"))
    return turns(ledger, wildcards.batch, names, CONFIG.labelling.core_hours_max)


def frames_to_label(batch):
    """Frames of a generation or of the test are named by their content, so that a younger file is no reason to look at
    their labels again; an element or v0, v1, ... says nothing about its cell.
    """
    path = frames_file(batch)
    return path if batch in ("atoms", "eos") else ancient(path)


def jobs_until(wildcards):
    """Records of the labelling jobs of all generations up to this one."""
    return [
        record
        for gen in range(int(wildcards.gen) + 1)
        for record in jobs_of(f"gen{gen}")
    ]


def reviews_before(wildcards):
    """Reviews of the generations before this one."""
    return [f"{RUN}/labeled/gen{gen}/review.json" for gen in range(int(wildcards.gen))]


def reviews_until(wildcards):
    """Reviews of all generations up to this one."""
    return reviews_before(wildcards) + [f"{RUN}/labeled/gen{wildcards.gen}/review.json"]


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
        "audit": f"{RUN}/audit.json",
        "map": f"{RUN}/map.json",
    }


def of_the_map(wildcards):
    """What was seen, asked for, labelled and found uncertain."""
    last = last_generation()
    generations = range(last + 1)
    return {
        "map": f"{RUN}/candidates_map.npz",
        "record": f"{RUN}/candidates.json",
        "candidates": f"{RUN}/candidates.extxyz",
        "frames": [f"{RUN}/frames/gen{gen}.extxyz" for gen in generations],
        "selections": [f"{RUN}/frames/gen{gen}.json" for gen in generations],
        "dataset": f"{RUN}/dataset_gen{last}.extxyz",
        "quarantine": f"{RUN}/quarantine_gen{last}.extxyz",
        "simulated": [path for gen in generations for path in simulated(gen, "extxyz")],
        "test": f"{RUN}/testset.extxyz",
    }


def of_the_audit(wildcards):
    """All label jobs of a run, what became of their labels, and the reviews."""
    last = last_generation()
    batches = ["atoms", "eos", "test", *(f"gen{gen}" for gen in range(last + 1))]
    return {
        "frames": [frames_file(batch) for batch in batches],
        "jobs": [record for batch in batches for record in jobs_of(batch)],
        "collected": [
            f"{RUN}/dataset_gen{last}.json",
            f"{RUN}/testset.json",
            f"{RUN}/validation/eos_dft.json",
        ],
        "reviews": [f"{RUN}/labeled/gen{gen}/review.json" for gen in range(last + 1)],
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
