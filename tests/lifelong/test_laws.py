"""What must hold of each algorithm whatever it learns."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dmpel_core.lifelong.algorithms.agem import AGem, projected
from dmpel_core.lifelong.algorithms.base import Algorithm
from dmpel_core.lifelong.algorithms.ewc import fisher
from dmpel_core.lifelong.algorithms.experience_replay import ExperienceReplay
from dmpel_core.lifelong.algorithms.l2m import L2M
from dmpel_core.lifelong.algorithms.lotus import Lotus
from dmpel_core.lifelong.algorithms.memory import Memory
from dmpel_core.lifelong.algorithms.packnet import FREE, PackNet, smallest
from dmpel_core.lifelong.batch import Source, act, draw, gather
from dmpel_core.lifelong.choosers import Nearest
from dmpel_core.lifelong.clusters import k_means, segments
from dmpel_core.lifelong.stage import mean_loss
from dmpel_core.lifelong.student import Student, load_student, save_student
from dmpel_core.lifelong.tasks import TaskData
from dmpel_core.policy.policy import Policy
from dmpel_core.training import skill_routing
from dmpel_core.training.optimise import optimise
from dmpel_core.training.run import Run
from tests.lifelong.conftest import LEARN, OPTIONS, begun

CPU = torch.device("cpu")


class Quiet(Run):
    """A run without a log."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name, self.shown, self.noted = folder, name, False, {}
        self._make_writer = None  # type: ignore[assignment]


def teach(algorithm: Algorithm, count: int, tasks: list[TaskData], folder: Path) -> Algorithm:
    """Let an algorithm learn the first tasks, as a run does but without playing."""
    for number in range(count):
        teach_next(algorithm, number, tasks, folder)
    return algorithm


def teach_next(algorithm: Algorithm, number: int, tasks: list[TaskData], folder: Path) -> None:
    """Let an algorithm learn one more task."""

    def train(lesson, settings, name):  # noqa: ANN001, ANN202
        lesson.policy.train()
        run, file = Quiet(folder, name), folder / f"{algorithm.name}-{number}-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        optimise(lesson, lesson.parameters_by_name(), settings, run, file, {}, 100, algorithm.accelerator, adjust=algorithm.adjust(lesson))
        lesson.policy.eval()

    lesson = algorithm.lesson(number, tasks[: number + 1])
    train(lesson, algorithm.settings, "lesson")
    algorithm.absorb(lesson, number, tasks[: number + 1], train)


def answers(student: Student, data: TaskData, looks: bool) -> Tensor:
    """Return what a student of one slot does on a task's first frames."""
    part = data.timeline.sequences(np.arange(3), 4, student.base.sizes.chunk)
    batch = gather([data], [part], [np.zeros(3, int)], student.base, looks=looks, device=CPU)
    with torch.inference_mode():
        coefficients = student.coefficients(None if looks else student.base.sequence_query(batch.features), 3)
        answer, _ = act(student.policies[int(student.owner(coefficients)[0])], batch, student.mixture(coefficients))
    return torch.cat([answer.mean.flatten(), answer.std.flatten(), answer.logits.flatten()])


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def test_springs_of_no_strength_are_sequential_fine_tuning_bit_for_bit(backbone: Policy, tasks: list[TaskData], tmp_path: Path) -> None:
    plain = teach(begun("sequential", backbone), 2, tasks, tmp_path)
    loose = teach(begun("ewc", backbone, replace(OPTIONS, penalty=0.0)), 2, tasks, tmp_path)
    stiff = teach(begun("ewc", backbone, replace(OPTIONS, penalty=1e9)), 2, tasks, tmp_path / "stiff")
    assert same(plain.weights, loose.weights)
    assert not same(plain.weights, stiff.weights)


def test_the_fisher_information_is_the_mean_of_squares_and_not_the_square_of_the_mean(backbone: Policy, tasks: list[TaskData]) -> None:
    backbone.head.logits.bias.requires_grad_(True)
    several = fisher(backbone, tasks[0], 6, 0, looks=True)["head.logits.bias"]
    assert (several > 0).all()
    chance = torch.Generator().manual_seed(0)
    starts = np.random.default_rng(0).choice(tasks[0].frames, 6, replace=False)
    squares, total = torch.zeros_like(several), torch.zeros_like(several)
    for start in starts:  # the gradient of log p by the mixture's logits is responsibility minus weight
        part = tasks[0].timeline.sequences(np.array([start]), backbone.sizes.window, backbone.sizes.chunk)
        answer, _ = act(backbone, gather([tasks[0]], [part], [np.zeros(1, int)], backbone, looks=True, device=CPU))
        drawn, tick = answer.sample(chance), int(part.valid[0, :, 0].sum()) - 1
        z = (drawn[0, tick] - answer.mean[0, tick]) / answer.std[0, tick]
        log = answer.logits[0, tick].log_softmax(-1)
        fit = (log + (-0.5 * z**2 - answer.std[0, tick].log()).sum((-1, -2))).softmax(-1)
        gradient = (log.exp() - fit).detach() / backbone.sizes.chunk
        squares, total = squares + gradient**2 / 6, total + gradient / 6
    torch.testing.assert_close(several, squares, rtol=1e-3, atol=1e-8)
    assert (several > total**2).all()


def test_packed_weights_never_change_and_old_tasks_are_played_the_same(backbone: Policy, tasks: list[TaskData], tmp_path: Path) -> None:
    algorithm = begun("packnet", backbone, learning_rate=0.05)
    assert isinstance(algorithm, PackNet)
    teach(algorithm, 1, tasks, tmp_path)
    owner = {name: value.clone() for name, value in algorithm.owner.items()}
    kept, before = dict(algorithm.weights), answers(algorithm.student(0), tasks[0], looks=True)
    lesson = algorithm.lesson(1, tasks[:2])
    assert algorithm.trainable(lesson) == sum(int((value == FREE).sum()) for value in owner.values())
    algorithm.policy = backbone
    again = begun("packnet", backbone, learning_rate=0.05)
    again.restore(algorithm.tensors())
    teach_second(again, tasks, tmp_path)
    for name, value in again.weights.items():
        mine = owner[name] == 0 if name in owner else torch.ones_like(value, dtype=torch.bool)
        assert torch.equal(value[mine], kept[name][mine]), name
        if name in owner:
            assert 0.7 < (owner[name] == FREE).float().mean() < 0.8
    assert any(not torch.equal(value, kept[name]) for name, value in again.weights.items())
    assert torch.equal(answers(again.student(0), tasks[0], looks=True), before)


def teach_second(algorithm: Algorithm, tasks: list[TaskData], folder: Path) -> None:
    """Let an algorithm learn the second task."""

    def train(lesson, settings, name):  # noqa: ANN001, ANN202
        optimise(lesson, lesson.parameters_by_name(), settings, Quiet(folder, name), folder / f"second-{name}", {}, 100,
                 algorithm.accelerator)  # fmt: skip

    lesson = algorithm.lesson(1, tasks[:2])
    train(lesson, algorithm.settings, "lesson")
    algorithm.absorb(lesson, 1, tasks[:2], train)


def test_pruning_takes_the_share_of_the_smallest_among_the_free() -> None:
    weight, free = torch.tensor([[3.0, -1.0, 0.5], [-4.0, 2.0, 0.1]]), torch.tensor([[True, True, True], [True, True, False]])
    assert smallest(weight, free, 0.6).tolist() == [[False, True, True], [False, True, False]]


def test_the_projected_gradient_never_points_against_the_memory() -> None:
    chance = torch.Generator().manual_seed(0)
    against = 0
    for _ in range(50):
        g, r = ([torch.randn(shape, generator=chance, dtype=torch.float64) for shape in ((3, 2), (4,))] for _ in range(2))
        dot = sum((a * b).sum() for a, b in zip(g, r, strict=True))
        new = projected(g, r)
        assert sum((a * b).sum() for a, b in zip(new, r, strict=True)) >= -1e-12
        against += int(dot < 0)
        assert all(torch.equal(a, b) for a, b in zip(new, g, strict=True)) == bool(dot >= 0)
    assert 10 < against < 40


def test_a_gem_projects_the_gradients_of_its_own_steps(backbone: Policy, tasks: list[TaskData], tmp_path: Path) -> None:
    algorithm = begun("agem", backbone)
    assert isinstance(algorithm, AGem)
    assert algorithm.adjust(algorithm.lesson(0, tasks[:1])) is None
    algorithm.memory.add(tasks[0])
    lesson = algorithm.lesson(1, tasks[:2])
    weights = list(lesson.parameters_by_name().values())
    likelihood, way = lesson.losses(lesson.recalled(0))
    reference = torch.autograd.grad(likelihood + LEARN.waypoint * way, weights, allow_unused=True)
    for weight, part in zip(weights, reference, strict=True):
        weight.grad = -torch.zeros_like(weight) if part is None else -part  # as wrong as can be
    lesson.eval()
    adjust = algorithm.adjust(lesson)
    assert adjust is not None
    adjust(0)
    assert max(weight.grad.abs().max() for weight in weights) < 1e-5 * max(part.abs().max() for part in reference if part is not None)


def test_the_memory_never_exceeds_its_size_and_reads_nothing_else(tasks: list[TaskData], backbone: Policy) -> None:
    memory = Memory(9, 12, seed=0)
    for count, data in enumerate(tasks, 1):
        memory.add(data)
        assert [len(starts) for starts in memory.starts] == [9 // count] * count
    size = memory.bytes(tasks, backbone.sizes)
    assert 0 < size <= 9 * 12 * (tasks[0].pictures[0].nbytes + 4 * 19)
    assert [len(source.among) for source in memory.sources(tasks)] == [3, 3, 3]
    source = Source(tasks[0], np.array([2, 15]), fixed=True)
    seen = source.sequences(np.random.default_rng(0), 200, 2, 10, 3, "masked").index
    assert set(seen.flatten().tolist()) <= {*range(2, 12), *range(15, 20)}


def test_replay_mixes_old_and_new_half_and_half(backbone: Policy, tasks: list[TaskData], tmp_path: Path) -> None:
    algorithm = begun("er", backbone)
    assert isinstance(algorithm, ExperienceReplay)
    algorithm.memory.add(tasks[0])
    lesson = algorithm.lesson(1, tasks[:2])
    lesson.eval()
    both = lesson(0)[0]
    torch.testing.assert_close(both, (lesson.losses(lesson.draw(0))[0] + lesson.losses(lesson.recalled(0))[0]) / 2)


def test_an_adapter_that_is_known_plays_its_task_the_same_for_ever(backbone: Policy, tasks: list[TaskData], tmp_path: Path) -> None:
    algorithm = teach(begun("tail_oracle", backbone, learning_rate=0.05), 1, tasks, tmp_path)
    before = answers(algorithm.student(0), tasks[0], looks=False)
    teach_second(algorithm, tasks, tmp_path)
    assert torch.equal(answers(algorithm.student(0), tasks[0], looks=False), before)
    assert not torch.equal(answers(algorithm.student(1), tasks[0], looks=False), before)


def test_frozen_towers_and_backbone_stay_as_they_were(backbone: Policy, tasks: list[TaskData], tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    for name in ("frozen", "iscil", "dmpel"):
        teach(begun(name, backbone), 2, tasks, tmp_path)
    assert same(before, backbone.state_dict())
    weights = begun("frozen", backbone).weights
    assert weights
    assert not any(name.startswith(("image.", "text.")) for name in weights)


def test_the_pool_spreads_tasks_and_no_slot_decays(backbone: Policy, tasks: list[TaskData], tmp_path: Path) -> None:
    algorithm = begun("l2m", backbone)
    assert isinstance(algorithm, L2M)
    lesson = algorithm.lesson(0, tasks[:1])
    batch = draw([Source(tasks[0], tasks[0].frames)], 0, LEARN, backbone, looks=False, device=CPU)
    chosen = algorithm.mix(lesson.trained, batch)[0]
    first = next(iter(chosen))
    slot = next(k for k, value in enumerate(algorithm.trained[f"{first}.A"]) if torch.equal(value, chosen[first][0][0]))
    algorithm.usage[slot] = 1e6
    assert not torch.equal(algorithm.mix(lesson.trained, batch)[0][first][0][0], chosen[first][0][0])
    algorithm.usage[slot] = 1.0
    before = {name: value.clone() for name, value in algorithm.trained.items()}
    teach(algorithm, 1, tasks, tmp_path)
    untouched = [
        k for k in range(OPTIONS.slots) if algorithm.usage[k] == 1 and torch.equal(before["keys"][k], algorithm.trained["keys"][k])
    ]
    assert untouched
    assert all(torch.equal(before[name][k], algorithm.trained[name][k]) for name in before for k in untouched)


def test_skills_are_found_in_what_demonstrations_look_like() -> None:
    points = np.concatenate([np.zeros((10, 2)), np.ones((6, 2)), np.full((8, 2), 5.0)]) + np.random.default_rng(0).normal(0, 0.01, (24, 2))
    assert segments(points, 6) == [(0, 10), (10, 16), (16, 24)]
    assert segments(points[:4], 6) == [(0, 4)]
    centres = k_means(points, 3, seed=0)
    np.testing.assert_allclose(sorted(centres[:, 0]), [0, 1, 5], atol=0.02)
    assert len(k_means(np.ones((5, 2)), 3, seed=0)) == 1


def test_every_frame_shows_a_known_skill_and_old_labels_stay(backbone: Policy, tasks: list[TaskData], tmp_path: Path) -> None:
    algorithm = teach(begun("lotus", backbone), 1, tasks, tmp_path)
    assert isinstance(algorithm, Lotus)
    labels = algorithm.labels[0].clone()
    algorithm.lesson(1, tasks[:2])
    assert torch.equal(labels, algorithm.labels[0])
    assert [len(part) for part in algorithm.labels] == [len(data.timeline) for data in tasks[:2]]
    assert max(int(part.max()) for part in algorithm.labels) < len(algorithm.skills) <= OPTIONS.skills


@pytest.mark.parametrize("name", ["dmpel", "l2m", "iscil", "lotus", "packnet"])
def test_a_student_on_disk_is_the_one_in_memory(name: str, backbone: Policy, tasks: list[TaskData], tmp_path: Path) -> None:
    algorithm = teach(begun(name, backbone), 1, tasks, tmp_path)
    student = algorithm.student(0)
    path = save_student(student, tmp_path)
    assert save_student(load_student(path, backbone), tmp_path) == path, "a name that is not the content's"
    assert mean_loss(load_student(path, backbone), tasks[0], 4, looks=algorithm.looks) == mean_loss(
        student, tasks[0], 4, looks=algorithm.looks
    )
    fresh = begun(name, backbone)
    fresh.restore(algorithm.tensors())
    assert same(fresh.tensors(), algorithm.tensors())
    assert save_student(fresh.student(0), tmp_path) == path


def test_alone_a_task_is_learned_as_if_there_were_no_others(backbone: Policy, tasks: list[TaskData], tmp_path: Path) -> None:
    second = teach(begun("single_task", backbone), 2, tasks, tmp_path / "both").student(1)
    alone = teach(begun("single_task", backbone), 1, tasks[1:], tmp_path / "alone").student(0)
    assert same(second.slots[0].whole, alone.slots[0].whole)


def test_together_all_tasks_are_drawn_from_with_their_own_instructions(backbone: Policy, tasks: list[TaskData]) -> None:
    lesson = begun("multitask", backbone, batch=12).lesson(0, tasks)
    batch = lesson.draw(0)
    assert set(batch.task.tolist()) == {0, 1, 2}
    for row, task in enumerate(batch.task.tolist()):
        frames = batch.sequences.index[row]
        assert torch.equal(batch.joints[row], tasks[task].joints[frames])
        words = tasks[task].words
        assert torch.equal(batch.words[task, : words.shape[1]], words[0])
        assert batch.ends[task] == words.shape[1] - 1


def test_each_kind_of_names_has_a_router_start_elsewhere(backbone: Policy, tasks: list[TaskData], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skill_routing, "STEPS", 2)
    lessons = [begun("dmpel", backbone, skills=kind).lesson(0, tasks[:1]) for kind in ("none", "true", "annotated", "shuffled")]
    starts = [next(value for name, value in lesson.parameters_by_name().items() if name.startswith("router.")) for lesson in lessons]
    assert not any(torch.equal(first, second) for first, second in combinations(starts, 2))


def test_the_nearest_key_decides_whatever_its_length() -> None:
    chooser = Nearest(torch.tensor([[10.0, 0.0], [0.0, 0.1], [-1.0, 0.0]]), torch.tensor([0, 1, 1]), 2, 2)
    chosen = chooser(torch.tensor([[0.2, 0.1, 9.0], [0.1, 5.0, -9.0], [-3.0, 1.0, 0.0]]))
    assert chosen.shape == (3, 6, 2)
    assert chosen[:, 3].tolist() == [[1, 0], [0, 1], [0, 1]]
