"""The group read off a table of answers: wrong entries, coordinates, tables that are of none, networks."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import grokviz
from fixtures import initial_model
from grokviz.cli.main import main
from grokviz.config import TaskConfig
from grokviz.errors import GrokvizError
from grokviz.tasks.blocks import Places
from grokviz.tasks.group_operation import GroupOperation
from grokviz.tasks.groups import Group, group_named, is_latin, why_no_group
from grokviz.tasks.isomorphisms import known_group, names_of_order
from grokviz.tasks.numberings import published_numbering
from grokviz.tasks.reading import read_table

CALLED = {"C4xC6": "C2xC12", "C2xC3": "C6"}
GROUPS = ("S3", "D5", "A4", "Q8", "S4", "A5", "C4xC6", "D59", "C113", "S5", "S3xC3", "A4xC3", "C2xC2")

all_groups = pytest.mark.parametrize("name", GROUPS)


def relabelled(table: np.ndarray, *, seed: int, isotope: bool = False) -> np.ndarray:
    """The table of the same group, its elements in another order; in three, one for each place."""
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(table)) for _ in range(3)] if isotope else [random.permutation(len(table))] * 3
    return np.argsort(orders[2])[table[np.ix_(orders[0], orders[1])]]


def with_wrong(table: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """The table with so many entries that are others."""
    random, n = np.random.default_rng(seed), len(table)
    wrong = table.copy()
    where = random.choice(n * n, count, replace=False)
    wrong.ravel()[where] = (wrong.ravel()[where] + random.integers(1, n, count)) % n
    return wrong


def random_latin_square(n: int, seed: int) -> np.ndarray:
    """Row by row, each by augmenting paths in a random order."""
    random = np.random.default_rng(seed)
    left = [set(range(n)) for _ in range(n)]  # what a column has not had

    def row() -> np.ndarray:
        of_value: dict[int, int] = {}

        def placed(column: int, seen: set[int]) -> bool:
            for value in random.permutation(sorted(left[column] - seen)).tolist():
                seen.add(value)
                if value not in of_value or placed(of_value[value], seen):
                    of_value[value] = column
                    return True
            return False

        assert all(placed(column, set()) for column in random.permutation(n).tolist())
        found = np.empty(n, dtype=int)
        for value, column in of_value.items():
            found[column] = value
            left[column].discard(value)
        return found

    return np.array([row() for _ in range(n)])


def closes_all_quadrangles(table: np.ndarray) -> bool:
    """The criterion by brute force: a Latin square is that of a group where three corners always decide the fourth."""
    n = len(table)
    fourth: dict[tuple[int, int, int], int] = {}
    for a, b, c, d in itertools.product(range(n), repeat=4):
        corners = (int(table[a, b]), int(table[a, d]), int(table[c, b]))
        if fourth.setdefault(corners, int(table[c, d])) != table[c, d]:
            return False
    return True


@all_groups
def test_a_table_in_any_order_of_elements_is_read_as_its_group(name: str) -> None:
    group = group_named(name)
    in_order = read_table(group.table)
    assert in_order.group.name == CALLED.get(name, name)
    assert in_order.order == ("found" if name in CALLED else "own")
    for isotope in (False, True):
        table = relabelled(group.table, seed=1, isotope=isotope)
        reading = read_table(table)
        assert reading.group.name == CALLED.get(name, name)
        assert reading.is_direct is not isotope
        assert reading.n_wrong == 0
        assert (reading.table == table).all()
        assert (TaskConfig(operation=reading.operation).task.answers.reshape(table.shape) == table).all()


@pytest.mark.parametrize(("name", "identity"), [("S5", 20), ("S6", 60)])
def test_the_order_of_published_networks_is_known(name: str, identity: int) -> None:
    group, order = group_named(name), published_numbering(name)
    assert order[identity] == group.identity
    reading = read_table(np.argsort(order)[group.table[np.ix_(order, order)]])
    assert reading.order == "published"
    assert (reading.places.answer == order).all()
    assert "in the order of published networks" in str(reading)


@all_groups
@pytest.mark.parametrize("share", [0.01, 0.05])
def test_wrong_entries_are_outvoted_and_counted(name: str, share: float) -> None:
    table = relabelled(group_named(name).table, seed=2, isotope=name == "S4")
    count = round(share * table.size)
    reading = read_table(with_wrong(table, count))
    assert reading.n_wrong == count
    assert (reading.table == table).all()


def test_a_square_that_is_nearly_a_groups_is_told_as_errors_of_it() -> None:
    table = group_named("S4").table.copy()
    square = next(
        (a, b, c, d)
        for a, b, c, d in itertools.product(range(24), repeat=4)
        if a < c and b < d and table[a, b] == table[c, d] and table[a, d] == table[c, b]
    )
    rows, columns = np.ix_(square[0::2], square[1::2])
    table[rows, columns] = table[rows, columns][::-1]
    assert is_latin(table)
    assert why_no_group(table)
    reading = read_table(table)
    assert (reading.group.name, reading.n_wrong) == ("S4", 4)


def test_what_is_no_group_but_one_through_coordinates_is_read_as_that() -> None:
    task = TaskConfig(operation="subtraction", p=13).task
    table = task.answers.reshape(task.n, task.n)
    reading = read_table(table)
    assert reading.group.name == f"C{task.n}"
    assert not reading.is_direct
    assert (reading.table == table).all()


@pytest.mark.parametrize("n", [4, 5, 6])
@pytest.mark.parametrize("seed", range(8))
def test_a_random_latin_square_is_read_just_where_its_quadrangles_close(n: int, seed: int) -> None:
    table = random_latin_square(n, seed)
    assert is_latin(table)
    try:
        reading = read_table(table)
    except GrokvizError:
        assert not closes_all_quadrangles(table)
    else:
        assert closes_all_quadrangles(table) == (reading.n_wrong == 0)
        assert closes_all_quadrangles(reading.table)


@pytest.mark.parametrize("n", [9, 12, 24])
@pytest.mark.parametrize("seed", range(3))
def test_a_larger_latin_square_drawn_at_random_is_that_of_no_group(n: int, seed: int) -> None:
    with pytest.raises(GrokvizError, match="the answers are the table of no group"):
        read_table(random_latin_square(n, seed))


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(np.random.default_rng(0).integers(0, 24, (24, 24)), id="anything"),
        pytest.param(np.zeros((7, 7), dtype=int), id="constant"),
        pytest.param(np.tile(np.arange(7), (7, 1)), id="one operand"),
        pytest.param(TaskConfig(operation="x2_xy_y2", p=7).task.answers.reshape(7, 7), id="polynomial"),
        pytest.param(np.maximum.outer(np.arange(9), np.arange(9)), id="semigroup"),
    ],
)
def test_tables_of_no_group_are_said_to_be_so(table: np.ndarray) -> None:
    with pytest.raises(GrokvizError, match=r"the answers are the table of no group: "):
        grokviz.read_group(table)


@all_groups
def test_an_isomorphism_keeps_products(name: str) -> None:
    table = relabelled(group_named(name).table, seed=3)
    group = Group("", tuple(map(str, range(len(table)))), table)
    found = known_group(group)
    assert found is not None
    known, becomes = found
    assert sorted(becomes) == list(range(len(table)))
    assert (becomes[table] == known.table[np.ix_(becomes, becomes)]).all()


def test_a_group_has_the_shortest_of_its_names() -> None:
    for name, called in {"C2xC3": "C6", "C4xC6": "C2xC12", "S3xC2": "D6", "C3xC5": "C15", "D3": "S3"}.items():
        found = known_group(group_named(name))
        assert found is not None
        assert found[0].name == called
    assert len(set(names_of_order(24))) == len(names_of_order(24))


def dicyclic(n: int) -> np.ndarray:
    """The table of the group of a, x with a^2n = 1, x² = a^n, x a = a^-1 x: of 12 elements for n = 3, and of no name here."""
    elements = [(k, flip) for flip in (0, 1) for k in range(2 * n)]
    number = {element: i for i, element in enumerate(elements)}

    def product(one: tuple[int, int], other: tuple[int, int]) -> int:
        turn = one[0] + (-other[0] if one[1] else other[0]) + (n if one[1] and other[1] else 0)
        return number[turn % (2 * n), one[1] ^ other[1]]

    return np.array([[product(one, other) for other in elements] for one in elements])


def test_a_group_without_a_name_is_said_by_its_order_and_classes_and_can_be_learned(tmp_path: Path) -> None:
    table = relabelled(dicyclic(3), seed=0)
    reading = grokviz.read_group(table)
    assert not reading.is_known
    operation = reading.operation
    assert isinstance(operation, GroupOperation)
    assert str(operation) == "a group of 12 elements with 6 classes"
    task = TaskConfig(operation=operation)
    assert (task.task.answers.reshape(12, 12) == table).all()
    config = grokviz.RunConfig(
        task=task,
        model=grokviz.ModelConfig(architecture="mlp", d_model=4, d_mlp=8, seed=0),
        training=grokviz.TrainingConfig(epochs=3, geometric_checkpoints=0, threads=1),
    )
    run = grokviz.train(config, tmp_path / "run", progress=False)
    assert grokviz.open_run(run.directory).config.task == task
    assert "a group of 12 elements with 6 classes" in repr(grokviz.open_run(run.directory))
    labels = grokviz.measure(run)["embedding_power"]["irrep"].values.tolist()
    assert len(set(labels)) == len(labels) == 4  # of six the trivial one is left out, and two are a pair


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n": 7}, "the operation is of 7 elements, but S3 has 6"),
        ({"n": 0}, "must be of 1 to"),
        ({"first": "nonsense"}, "which elements its tokens are cannot be read"),
        ({"group": "nonsense"}, "the table of its group cannot be read"),
        ({"n": "6"}, "which no version of grokviz has written"),
    ],
)
def test_an_operation_that_was_changed_by_hand_is_refused_in_one_line(change: dict, says: str) -> None:
    order = np.array([3, 1, 0, 2, 5, 4])
    operation = GroupOperation.of(group_named("S3"), Places(order, order, order))
    assert GroupOperation.from_dict(operation.to_dict()) == operation
    with pytest.raises(GrokvizError, match=says):
        GroupOperation.from_dict({**operation.to_dict(), **change})


def test_a_model_a_run_and_their_table_are_read_alike(quick_run: grokviz.Run) -> None:
    task = quick_run.config.task.task
    for network in (quick_run, quick_run.directory, str(quick_run.directory), quick_run.model("last")):
        reading = grokviz.read_group(network)
        assert reading.group.name == f"C{task.n}"
        assert (reading.table == task.answers.reshape(task.n, task.n)).all()
    assert "answers are in its table, by chance below 1e-" in str(reading)
    table = torch.from_numpy(task.answers.reshape(task.n, task.n))
    assert grokviz.read_group(table).group.name == f"C{task.n}"


def test_a_network_that_has_only_memorised_cannot_be_read(tiny_group_run: grokviz.Run, quick_run: grokviz.Run) -> None:
    for network in (tiny_group_run, tiny_group_run.model("last")):
        with pytest.raises(GrokvizError, match="the answers are the table of no group"):
            grokviz.read_group(network)
    with pytest.raises(GrokvizError, match="the answers are the table of no group"):
        grokviz.read_group(quick_run, epoch=quick_run.epochs[20])


@pytest.mark.parametrize("options", [{"operand_tokens": "apart"}, {"output_vocabulary": "answers"}, {"positions": 2}])
def test_the_number_of_elements_is_told_by_the_model_alone(options: dict) -> None:
    model = grokviz.ModelConfig(d_model=8, n_heads=2, d_head=4, d_mlp=8, **options)
    config = grokviz.RunConfig(task=TaskConfig(p=7, train_fraction=0.6), model=model)
    with pytest.raises(GrokvizError, match="the answers are the table of no group"):
        grokviz.read_group(initial_model(config))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (3, "read_group needs a run, a hooked model, or a table of answers, but got 3"),
        (torch.zeros(3, 4, dtype=torch.int64), r"answers have the shape \(3, 4\), but must be n x n"),
        (torch.zeros(3, 3), "answers hold others than the tokens 0 to 2, as whole numbers; of logits take the argmax"),
        (np.full((3, 3), 3), "answers hold others than the tokens 0 to 2"),
        (np.zeros((1, 1), dtype=int), "must be n x n for 2 to"),
    ],
)
def test_what_is_no_network_is_refused_in_one_line(given: object, says: str) -> None:
    with pytest.raises(GrokvizError, match=says):
        grokviz.read_group(given)


def test_a_group_is_trained_by_its_name_on_the_command_line(in_tmp_path: Path, capsys) -> None:
    arguments = "train quick --operation C4xC6 --architecture mlp --d-model 8 --d-mlp 16 --epochs 4 --out run".split()
    assert main(arguments) == 0
    assert "C4xC6" in repr(grokviz.open_run("run"))
    assert main([*arguments[:-1], "other", "--p", "24"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "C4xC6" in said
    assert not Path("other").exists()


def test_a_figure_says_what_was_read_before_where_there_is_a_before(tiny_group_run: grokviz.Run) -> None:
    data = tiny_group_run.measurements.copy(deep=True)
    task = tiny_group_run.config.task.task
    data["answer"][-1] = task.answers.reshape(task.n, task.n)
    said = "Read off its answers alone, the group is S3: 36 of 36 answers are in its table, by chance below 1e-16"
    of_all = grokviz.figures.finding_of(grokviz.figures.composition_table(data))
    assert of_all == f"{said}; at initialisation they are the table of no group"
    assert grokviz.figures.finding_of(grokviz.figures.composition_table(data.isel(epoch=[-1]))) == said
    later = grokviz.figures.finding_of(grokviz.figures.composition_table(data.isel(epoch=slice(1, None))))
    assert later == f"{said}; at epoch {int(data['epoch'][1]):,} they are the table of no group"
    data["answer"][-1] = -1
    broken = grokviz.figures.finding_of(grokviz.figures.composition_table(data))
    assert broken == "No group can be read off the network: its logits are no numbers"
