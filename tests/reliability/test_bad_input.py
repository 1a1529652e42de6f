"""Bad input on the command line: one line that says what is wrong, the value got, and what to do; no traceback."""

import shutil
from pathlib import Path

import pytest

import grokviz
from grokviz.cli.main import main

BAD = """
| tran | did you mean train?
| runn quick | did you mean run?
| frobnicate | is unknown; choose one of
| train nope | preset 'nope' is unknown
| train default quick | PRESET comes first: grokviz train quick
| train --foo 3 | --foo
| train --wd 0.5 | did you mean --weight-decay? See: grokviz train --help
| train --lr 0.1 --ephocs 3 | did you mean --learning-rate or --epochs?
| train --p | --p
| train --p seven | seven
| train --p 7.5 | 7.5
| train --p 1 | p is 1, but must be at least 3
| train --p -97 | p is -97
| train --p 0 | p is 0
| train --p 1000000 | p is 1000000, but must be at most 32768: every step handles all p² pairs
| train --p 30000 --out new | of memory, but this machine has
| train --train-fraction 0 | between 0 and 1
| train --train-fraction 1 | between 0 and 1
| train --train-fraction -0.3 | between 0 and 1
| train --train-fraction nan | must be a finite number
| train --train-fraction 1e-9 | leaves 0 of
| train --train-fraction much | much
| train --operation division | operation is 'division', which is unknown
| train --operation adition | did you mean addition?
| train --operation nosuch.module:f | the module 'nosuch.module' cannot be imported (No module named 'nosuch')
| train --operation math:nosuch | 'math' has no function 'nosuch'
| train --operation math:sqrt | it is called as function(a, b, p)
| train --split-seed -1 | split_seed is -1
| train --split-seed 99999999999999999999 | seeds have 63 bits
| train --seed x | x
| train --d-model 0 | d_model is 0
| train --biases all | biases is all, which only an imported network has; to train, choose none, mlp_in or mlp
| train --d-head -32 | d_head is -32
| train --d-mlp 0 | d_mlp is 0
| train --d-mlp 99999999 | at most 1000000: no machine holds more
| train --output-vocabulary words | answers
| train --initialisation xavier | nanda2023
| train --epochs 0 | epochs is 0
| train --epochs -5 | epochs is -5
| train --epochs 1e4 | 1e4
| train --epochs 99999999999999 | at most 1000000000: that would take weeks
| train --learning-rate 0 | learning_rate is 0
| train --learning-rate -1 | learning_rate is -1
| train --learning-rate inf | must be a finite number
| train --betas 0.9 | --betas
| train --betas 0.9 1.0 | betas is
| train --betas -0.1 0.9 | betas
| train --weight-decay -1 | weight_decay is -1
| train --weight-decay nan | must be a finite number
| train --warmup-epochs -1 | warmup_epochs is -1
| train --test-every 0 | test_every is 0
| train --checkpoint-every 0 | checkpoint_every is 0
| train --geometric-checkpoints -1 | geometric_checkpoints is -1
| train --geometric-checkpoints 100000 | at most 10000: each checkpoint is a file
| train --stop-after -1 | stop_after is -1
| train --stop-accuracy 0 | stop_accuracy is 0
| train --stop-accuracy 1.5 | stop_accuracy is 1.5
| train --device cuda:99 --out new | try --device cpu
| train --device potato --out new | device 'potato' cannot be used
| train --threads 0 | threads is 0
| import --out new | files is empty; give at least one
| import nothere.pt --out new | nothere.pt is not there
| import copy --out new | copy is not a file
| import copy/config.json --out new | neither a file of torch nor of safetensors
| import copy/checkpoints/epoch_000040.safetensors --out copy | is not empty, and nothing in it is overwritten
| import copy/checkpoints/epoch_000040.safetensors | Missing from grokviz import: --out
| import copy/checkpoints/epoch_000040.safetensors --out new --p 11 | say so with --operation
| import copy/checkpoints/epoch_000040.safetensors --out n --operation addition --p 11 | the network has 7 elements
| import copy/checkpoints/epoch_000040.safetensors --out new --epochs 1 2 | epochs are 2, but the files are 1
| import copy/checkpoints/epoch_000040.safetensors --out n --operation addition --train-pairs copy/config.json | no whole numbers
| train --threads 100000 | at most 1024: no machine has more
| train --out copy | never overwritten
| train --out copy/config.json | is a file, not a directory
| train --out copy/config.json/below | cannot be made
| train --out folder | is not empty
| train --resume --out copy --p 11 | holds a run whose p is 7, and not 11, as is asked for
| resume | RUN
| resume nowhere | nowhere is not there
| resume folder | is not a grokviz run
| resume copy | is finished
| resume copy --epochs 10 | has already trained 40
| resume copy --epochs many | many
| resume copy --epochs 50 --device potato | device 'potato' cannot be used
| resume copy --epochs 50 --threads 0 | threads is 0
| measure | RUN
| measure nowhere | nowhere is not there
| measure copy/config.json | a file, not a directory
| measure folder | is not a grokviz run
| report nowhere | nowhere is not there
| measure copy --out folder/thesis.txt | exists and is not overwritten
| report copy extra | extra
| report copy --out folder/thesis.txt | exists and is not overwritten
| report copy --measurements folder/thesis.txt | folder/thesis.txt cannot be used
| report copy --measurements nowhere.nc | cannot be read
| measurements | RUN
| measurements nowhere | nowhere is not there
| measurements copy --csv --parquet | choose one
| measurements copy --parquet | say which with --out
| measurements copy -o folder/thesis.txt | exists and is not overwritten
| figure copy | figure needs the NAME of a figure, or --all
| figure copy losses --all | figure takes a NAME or --all, and not both: losses
| figure copy losses -o losses.gif | losses.gif ends in .gif, but a figure is written as one of: .html
| figure copy losses -o losses | losses has no suffix
| figure copy --all --format gif | gif
| figure copy losses --style poster | poster
| figure copy --all -o copy | exists and is not overwritten
| figure copy loses | figure 'loses' is unknown
| figure copy spectrum --epoch 17 | no checkpoint of epoch 17; the nearest are
| figure copy spectrum --epoch lst | epoch is 'lst', but must be a number, 'first' or 'last'
| figure copy losses --epoch 20 | leave out --epoch 20
| figure copy losses -o copy/config.json | exists and is not overwritten
| figure copy losses -o no/such/folder.html | cannot be written
| check nowhere | is not a grokviz run
| check folder | is not a grokviz run
"""

CASES = [tuple(part.strip() for part in line[1:].split(" | ")) for line in BAD.strip().splitlines()]


@pytest.fixture(scope="module")
def place(tiny_run: grokviz.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a measured run called `copy` and somebody's `folder`."""
    place = tmp_path_factory.mktemp("bad")
    shutil.copytree(tiny_run.directory, place / "copy")
    (place / "folder").mkdir()
    (place / "folder" / "thesis.txt").write_text("years of work")
    return place


@pytest.mark.parametrize(("arguments", "says"), CASES, ids=[arguments for arguments, _ in CASES])
def test_bad_input_gets_one_line_and_changes_nothing(
    place: Path, arguments: str, says: str, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(place)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.startswith("grokviz: ")
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and path.suffix != ".lock"} == before


def test_there_are_at_least_sixty_of_them(figures) -> None:
    figures(f"{len(CASES)} bad inputs on the command line: one line each, nothing changed")
    assert len(CASES) >= 60
