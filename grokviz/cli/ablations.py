"""What `grokviz ablate` is asked for, as interventions, and what it prints."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import isnan, nan
from typing import TYPE_CHECKING, Any

from grokviz.cli.arguments import AblateArguments
from grokviz.errors import GrokvizError
from grokviz.store import Run

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from grokviz.analysis.taking.interventions.intervention import Intervention


def outcome_of_ablation(run: Run, arguments: AblateArguments) -> "tuple[list[str], pd.DataFrame]":
    """What came out, in words and as a table."""
    if arguments.sufficiency and arguments.subsets:
        raise GrokvizError("--sufficiency and --subsets are two questions; ask one at a time")
    if arguments.sufficiency:
        return _sufficiency(run, arguments)
    if arguments.subsets:
        return _subsets(run, arguments)
    epochs, asked = epochs_of(arguments.epoch), interventions_of(run, arguments)
    from grokviz.analysis.reading.against import table_against
    from grokviz.analysis.taking.ablating import ablate

    found = ablate(
        run, asked, epoch=epochs, controls=arguments.controls, seed=arguments.seed, progress=not arguments.quiet
    )
    lines = list(lines_of(found, arguments.split))  # which refuses a split that there is not
    return lines, table_against(found, split=arguments.split)


def _sufficiency(run: Run, arguments: AblateArguments) -> "tuple[list[str], pd.DataFrame]":
    from grokviz.analysis.taking.circuit import CONTROLS as FEW
    from grokviz.analysis.taking.circuit import sufficiency

    controls = min(arguments.controls, FEW)
    times = sufficiency(run, controls=controls, seed=arguments.seed, progress=not arguments.quiet)
    final = times["final"].item()
    lines = [f"accuracy on unseen pairs; the whole network ends at {final:.2%}, chance is {times['chance'].item():.2%}"]
    for network in times["network"].values.tolist():
        own = times.sel(network=network)
        said = [f"{q:.0%}: {_interval(*own.sel(q=q)[['after', 'by']].to_array().values)}" for q in times["q"].values]
        lines.append(f"{network if network.startswith('the') else f'{network} alone in W_E'}: {', '.join(said)}")
    lines.append(
        "q: the first epoch from which the accuracy is at least chance + q (final - chance) for three checkpoints"
    )
    return lines, times[["after", "by", "threshold"]].to_dataframe().reset_index()


def _subsets(run: Run, arguments: AblateArguments) -> "tuple[list[str], pd.DataFrame]":
    from grokviz.analysis.reading.sufficient import smallest_sets
    from grokviz.analysis.taking.circuit import subsets

    found = subsets(run, progress=not arguments.quiet)
    smallest = smallest_sets(found)
    largest = ", ".join(map(str, found["frequency"].values.tolist()))
    lines = [f"sets of the largest in W_E, {largest}; accuracy on unseen pairs"]
    for epoch in found["epoch"].values.tolist():
        now, best = found.sel(epoch=epoch), smallest.sel(epoch=epoch)
        whole = f"epoch {epoch:,}: the whole network {now['plain_accuracy'].item():.2%}"
        alone = f"{best['smallest'].item()} alone {best['accuracy'].item():.2%}, the smallest set of 99 % of that"
        lines.append(f"{whole}; {alone if best['size'].item() else 'no set gives 99 % of that'}")
    lines += _sets_of_keys(run, found)
    return lines, found[["accuracy", "loss", "size"]].to_dataframe().reset_index()


def _sets_of_keys(run: Run, found: "xr.Dataset") -> Iterator[str]:
    """Every set of the key frequencies alone at the last epoch."""
    from grokviz.analysis.reading.derived import key_frequencies_of

    keys = set(key_frequencies_of(run))
    last, labels = found.isel(epoch=-1), found["frequency"].values.tolist()
    others = [place for place, label in enumerate(labels) if label not in keys]
    yield f"every set of the key frequencies alone, at epoch {last['epoch'].item():,}:"
    for name in last["subset"].values.tolist():
        now = last.sel(subset=name)
        if not now["includes"].values[others].any():
            yield f"    {name}: accuracy {now['accuracy'].item():.2%}, loss {now['loss'].item():.3g}"


def _interval(after: float, by: float) -> str:
    if by != by:
        return "never"
    return f"by epoch {by:,.0f}" if after != after else f"{after:,.0f} to {by:,.0f}"


def interventions_of(run: Run, arguments: AblateArguments) -> "list[Intervention] | None":
    """The interventions that were typed; None for those that ask what the circuit needs.

    Raises:
        GrokvizError: a flag goes without another, or says nothing.
    """
    from grokviz.analysis.taking.interventions import shelf

    found: list[Intervention] = []
    families: Any = {"families": arguments.families.split(",")} if arguments.families else {}
    for make, given in _of_blocks(arguments):
        if given is not None:
            labels = words_of(given)
            sets: Sequence[Any] = [[label] for label in labels] if arguments.each else [labels]
            found += [make(each, at=arguments.at, **families) for each in sets]
    if not found and (arguments.at != "W_E" or arguments.families or arguments.each):
        raise GrokvizError(
            "--at, --families and --each say how --remove, --keep, --scale or --turn is meant; name its frequencies or irreps"
        )
    if arguments.heads is not None:
        found.append(shelf.heads(_numbers("heads", arguments.heads), arguments.how))
    if arguments.neurons is not None:
        found.append(_neurons(arguments.neurons))
    if arguments.activation is not None:
        found.append(shelf.activation(arguments.activation))
    if arguments.without is not None:
        make_without = shelf.without_mlp if arguments.without == "mlp" else shelf.without_skip
        found.append(make_without(arguments.how))
    found += [*_patches(arguments), *_transplants(run, arguments)]
    return found or None


def _of_blocks(arguments: AblateArguments) -> "list[tuple[Callable[..., Intervention], str | None]]":
    """What makes an intervention on blocks, and the blocks, as they were typed."""
    from grokviz.analysis.taking.interventions import shelf

    by: Any = arguments.by
    if (by is None) != (arguments.scale is None and arguments.turn is None):
        raise GrokvizError("--by is the factor of --scale, or the turns of --turn; give one of these, and --by")
    return [
        (shelf.remove, arguments.remove),
        (shelf.keep, arguments.keep),
        (partial(shelf.scale, factor=by), arguments.scale),
        (partial(shelf.turn, turns=by), arguments.turn),
    ]


def _patches(arguments: AblateArguments) -> "list[Intervention]":
    from grokviz.analysis.taking.interventions import shelf

    if (arguments.of is None) != (arguments.part == "whole"):
        raise GrokvizError("--part inside or outside is that of the frequencies or irreps of --of; give both")
    if arguments.patch is None:
        if arguments.of is not None:
            raise GrokvizError("--part and --of say what of a patch is meant; name its site with --patch")
        return []
    labels = () if arguments.of is None else words_of(arguments.of)
    return [shelf.patch(arguments.patch, arguments.part, labels, seed=arguments.seed)]


def _transplants(run: Run, arguments: AblateArguments) -> "list[Intervention]":
    from grokviz.analysis.taking.interventions import shelf

    if (arguments.transplant is None) != (arguments.source is None):
        raise GrokvizError("--transplant is a weight, and --source where it comes from, such as @200; give both")
    if arguments.transplant is None or arguments.source is None:
        return []
    directory, sign, epoch = arguments.source.rpartition("@")
    if not sign or not epoch:
        raise GrokvizError(f"source is {arguments.source!r}, but must be @EPOCH or RUN@EPOCH, such as @200")
    at = int(epoch) if epoch.isdecimal() else epoch
    if not isinstance(at, int) and at not in ("first", "last"):
        raise GrokvizError(f"source is {arguments.source!r}, but its epoch must be first, last or a number")
    return [shelf.transplant(arguments.transplant, directory or run, at)]  # type: ignore[arg-type]  # one of these


def words_of(given: str) -> list[Any]:
    """Frequencies or irreps as they were typed, with commas: whole numbers are frequencies. The name of an irrep may hold commas
    in brackets.
    """
    words, depth = [""], 0
    for sign in given:
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            words.append("")
        else:
            words[-1] += sign
    return [int(word) if word.strip().isdecimal() else word.strip() for word in words if word.strip()]


def epochs_of(given: str) -> Any:
    """The epochs as they were typed: all; or numbers, first and last, with commas."""
    if given == "all":
        return given
    words = [word.strip() for word in given.split(",")]
    if not all(word.isdecimal() or word in ("first", "last") for word in words):
        raise GrokvizError(f"epoch is {given!r}, but must be first, last, all, or numbers with commas")
    return [int(word) if word.isdecimal() else word for word in words]


def lines_of(found: "xr.Dataset", split: str) -> Iterator[str]:
    """What came out, in words."""
    from grokviz.analysis.taking.interventions.controls import KINDS

    if split not in found["split"]:
        raise GrokvizError(f"split is {split!r}, but there are {', '.join(found['split'].values.tolist())}")
    here = found.sel(split=split)
    for epoch in here["epoch"].values.tolist():
        now = here.sel(epoch=epoch)
        yield f"epoch {epoch:,}, {split} pairs; as it is: {_values(now, 'plain_{}')}"
        for name in now["intervention"].values.tolist():
            yield from _of_one(name, now.sel(intervention=name))
    for kind in found["control"].values.tolist():
        yield f"{kind}: {KINDS.get(kind, 'controls of your own')}"


def _of_one(name: str, now: "xr.Dataset") -> Iterator[str]:
    if why := now["why_lacking"].item():
        yield f"{name}: {why}"
        return
    kinds = [kind for kind in now["control"].values.tolist() if _is_of(now.sel(control=kind))]
    if kinds and all(now["why_no_control"].sel(control=kind).item() for kind in kinds):
        yield f"{name}: no number, for {now['why_no_control'].sel(control=kinds[0]).item()}"
        return
    yield f"{name} (changes {now['changed_share'].item():.3%} of what varies there): {_values(now, '{}')}"
    for kind in kinds:
        of_kind = now.sel(control=kind)
        if why := of_kind["why_no_control"].item():
            yield f"    {kind}: {why}"
            continue
        count = int(of_kind["control_loss_count"].item())
        changed = of_kind["control_changed_share_median"].item()
        yield (
            f"    {count} {kind} (change {changed:.3%}): {_values(of_kind, 'control_{}_median')}, loss 5 to 95 %: "
            f"{of_kind['control_loss_low'].item():.3g} to {of_kind['control_loss_high'].item():.3g}; its own is number "
            f"{int(of_kind['loss_rank'].item())} of {count + 1} from the largest"
        )


def _is_of(now: "xr.Dataset") -> bool:
    """Whether the intervention has controls of this kind, or a reason why not."""
    return bool(now["why_no_control"].item()) or (
        "control_loss_count" in now and bool(now["control_loss_count"].item())
    )


def _values(now: "xr.Dataset", name: str) -> str:
    loss, accuracy = now[name.format("loss")].item(), now[name.format("accuracy")].item()
    moved = [
        now[each].item() if (each := name.format(part)) in now else nan for part in ("moved_share", "patch_recovery")
    ]
    patched = "" if isnan(moved[0]) else f", answered as the other pair {moved[0]:.2%}, patch recovery {moved[1]:.3g}"
    return f"loss {loss:.3g}, accuracy {accuracy:.2%}{patched}"


def _neurons(given: str) -> "Intervention":
    from grokviz.analysis.taking.interventions import shelf

    if given in ("pure", "impure", "dead"):
        return shelf.neurons(given)
    if given.startswith("of:"):
        return shelf.neurons(of=words_of(given.removeprefix("of:")))
    return shelf.neurons(_numbers("neurons", given))


def _numbers(what: str, given: str) -> list[int]:
    words = [word.strip() for word in given.split(",")]
    if not all(word.isdecimal() for word in words):
        raise GrokvizError(f"{what} is {given!r}, but must be numbers with commas, such as 0,2")
    return [int(word) for word in words]
