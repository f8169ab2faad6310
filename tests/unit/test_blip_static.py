"""BLIP with everything at fixed addresses, as on a GPU, answers as the slow engine does.

Here it runs on a CPU: the same code, without graphs, and with what keeps the same rules as they.
"""

from collections.abc import Callable, Hashable

import numpy as np
import pytest
import torch
from torch import Tensor

from captioner.catalog import SCENES_FOLDER
from captioner.images import fit
from captioner.options import PLAIN, Options
from scripts.scenes import draw
from tests.pictures import scenes
from worker.engines import blip_reference
from worker.engines.blip import FastBlipEngine, levels
from worker.engines.blip_caches import LENGTHS
from worker.engines.blip_cuda import AT_ONCE, ROWS, StaticNetwork
from worker.engines.device import Placement
from worker.engines.loading import warm_up

CPU = Placement(torch.device("cpu"), torch.float32, "a test")
MANY = AT_ONCE + 30
"""More than go through the tower together, and than there is room for at first."""


@pytest.fixture(scope="module")
def slow() -> blip_reference.BlipEngine:
    return blip_reference.load(
        str(SCENES_FOLDER), revision="main", placement=CPU, max_new_tokens=20
    )


class Replayed:
    """As CUDA graphs: what came first under a key runs again, whatever is given later.

    So a number that changes, but is not in one of the tensors, is seen to be missing. It runs more
    than once when it is recorded, and what it has made is written over by the next run of all.
    """

    def __init__(self) -> None:
        self.recorded: dict[Hashable, tuple[Callable[[], Tensor | None], Tensor | None]] = {}
        self.forgot = 0

    def run(self, key: Hashable, run: Callable[[], Tensor | None]) -> Tensor | None:
        if key not in self.recorded:
            run()
            self.recorded[key] = run, run()
        recorded, made = self.recorded[key]
        for _, other in self.recorded.values():
            if other is not None:
                other.fill_(torch.nan)
        found = recorded()
        return None if made is None or found is None else made.copy_(found)

    def forget(self) -> None:
        self.recorded.clear()
        self.forgot += 1


@pytest.fixture(params=[None, Replayed], ids=["plain", "replayed"])
def network(slow, request) -> StaticNetwork:
    known = torch.from_numpy(levels(slow.processor))
    graphs = request.param and request.param()
    return StaticNetwork(
        slow.model, levels=known, device=CPU.device, dtype=CPU.dtype, graphs=graphs
    )


@pytest.fixture
def static(slow, network) -> FastBlipEngine:
    return FastBlipEngine(slow, network)


@pytest.fixture(scope="module")
def pixels(slow) -> list[np.ndarray]:
    drawn = (draw(scene, width=160, height=120) for scene in scenes(MANY, seed=8))
    return [fit(picture, slow.image_size) for picture in drawn]


def tokens(engine, pixels: list, options: Options = PLAIN) -> list[tuple]:
    return [
        (answer.tokens, *(other.tokens for other in answer.others))
        for answer in engine.caption(pixels, options)
    ]


@pytest.fixture(scope="module")
def right(slow, pixels) -> list[tuple]:
    return tokens(slow, pixels)


def test_batches_of_changing_sizes_equal_the_reference_token_for_token(
    static, pixels, right
) -> None:
    for size in (1, 3, ROWS + 1, 5, MANY, 2):
        assert tokens(static, pixels[:size]) == right[:size]
        assert tokens(static, pixels[-size:]) == right[-size:]


@pytest.mark.parametrize(
    "options",
    [
        Options(prompt="a"),
        Options(prompt="a picture of"),
        Options(max_new_tokens=3),
        Options(min_new_tokens=70, max_new_tokens=100),  # more than there is room for at first
        Options(temperature=1.5, seed=4),
        Options(temperature=1.5, seed=4, num_captions=3),  # rows that have no picture of their own
    ],
    ids=repr,
)
def test_every_option_does_what_it_does_in_the_reference(static, slow, pixels, options) -> None:
    some = pixels[:ROWS]
    assert tokens(static, some, options) == tokens(slow, some, options)
    assert tokens(static, some) == tokens(slow, some)  # nor does it change what comes after


@pytest.mark.parametrize(
    "options", [PLAIN, Options(temperature=1.5, seed=4, num_captions=3)], ids=repr
)
def test_what_is_not_finite_stays_with_its_batch(static, network, slow, pixels, options) -> None:
    tokens(static, pixels[:4])
    with torch.inference_mode():
        for each in (*network.caches.past(LENGTHS[0]), *network.caches.memory):
            each.fill_(torch.nan)
    assert tokens(static, pixels[:4], options) == tokens(slow, pixels[:4], options)


def test_a_writer_ends_when_another_batch_is_looked_at(network, pixels) -> None:
    first = network.look_at(pixels[:2])
    network.look_at(pixels[2:4])
    with pytest.raises(RuntimeError, match="another batch"):
        first.step(torch.zeros(2, 1, dtype=torch.long))


def test_room_that_was_refused_is_asked_for_again(static, network, pixels, right) -> None:
    tokens(static, pixels[:2])
    with pytest.raises((RuntimeError, MemoryError)):
        network.make_room(2**50)
    assert tokens(static, pixels[:2]) == right[:2]


@pytest.fixture
def recorder() -> Replayed:
    return Replayed()


@pytest.fixture
def warm(slow, recorder) -> FastBlipEngine:
    """Ready for batches that are larger than the room it would make by itself."""
    known = torch.from_numpy(levels(slow.processor))
    network = StaticNetwork(
        slow.model, levels=known, device=CPU.device, dtype=CPU.dtype, graphs=recorder
    )
    engine = FastBlipEngine(slow, network)
    warm_up(engine, batch=ROWS + 4)
    recorder.forgot = 0
    return engine


def test_an_engine_that_is_warm_has_recorded_what_batches_up_to_the_largest_replay(
    warm, recorder, pixels, right
) -> None:
    recorded = set(recorder.recorded)
    assert {key[1] for key in recorded if key[0] == "step"} == {1, 2, 4, 8, 16, 32}
    for size in (1, 2, 3, 7, ROWS, ROWS + 4, 5):
        assert tokens(warm, pixels[:size]) == right[:size]
    assert set(recorder.recorded) == recorded
    assert recorder.forgot == 0


def test_a_long_caption_undoes_nothing_that_was_recorded(warm, recorder, slow, pixels) -> None:
    recorded, some = set(recorder.recorded), pixels[:5]
    for options in (
        Options(min_new_tokens=70, max_new_tokens=100),
        Options(prompt="a " * 100, min_new_tokens=40, max_new_tokens=60),
        PLAIN,
        Options(min_new_tokens=70, max_new_tokens=100),
    ):
        assert tokens(warm, some, options) == tokens(slow, some, options)
    assert recorder.forgot == 0
    assert recorded < set(recorder.recorded)


class Preparing:
    """Notes what it is asked to prepare for, and has memory for six pictures."""

    image_size = (8, 8)

    def __init__(self) -> None:
        self.asked: list[str] = []

    def prepare(self, batch: int) -> None:
        self.asked.append(f"prepare {batch}")
        if batch > 6:
            raise MemoryError

    def caption(self, pictures, *_: object) -> list:
        self.asked.append(f"caption {len(pictures)}")
        return [None] * len(pictures)


def test_what_there_is_no_memory_for_is_prepared_for_half() -> None:
    engine = Preparing()
    warm_up(engine, batch=16)
    assert engine.asked == ["prepare 16", "prepare 8", "prepare 4", "caption 1", "caption 16"]


def test_the_captions_beside_a_stopped_one_keep_every_token(static, pixels, right) -> None:
    asked = 0

    def stopped() -> list[bool]:
        nonlocal asked
        asked += 1
        return [asked > 1 and number in (1, 4) for number in range(5)]

    answers = static.caption(pixels[:5], stopped=stopped)
    assert [number for number, answer in enumerate(answers) if answer is None] == [1, 4]
    assert [(answer.tokens,) for answer in answers if answer] == [right[n] for n in (0, 2, 3)]
    assert tokens(static, pixels[:5]) == right[:5]  # nor is anything left of it


def test_a_batch_that_is_stopped_as_a_whole_ends_at_the_next_token(static, pixels) -> None:
    asked: list[int] = []

    def stopped() -> list[bool]:
        asked.append(len(asked))
        return [len(asked) >= 3] * 2

    options = Options(min_new_tokens=70, max_new_tokens=100)
    assert static.caption(pixels[:2], options, stopped=stopped) == [None, None]
    assert len(asked) == 3
