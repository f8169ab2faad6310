"""The loop that writes captions: when rows end, what is counted, and who is moved along."""

import subprocess
import sys

import torch
from torch import Tensor

from worker.engines.decoding import Bounds, write
from worker.engines.generation import greatest, log_probs

END, WORDS = 0, 8


class Scripted:
    """A network that wants to write these tokens in each row, one after another."""

    def __init__(self, *scripts: list[int]) -> None:
        self.rows = [list(script) for script in scripts]
        self.sizes: list[int] = []
        self.seen: list[list[list[int]]] = []

    def step(self, tokens: Tensor) -> Tensor:
        self.seen.append(tokens.tolist())
        self.sizes.append(len(self.rows))
        logits = torch.zeros(len(self.rows), WORDS)
        for n, row in enumerate(self.rows):
            logits[n, row.pop(0) if row else END] = 5.0
        return logits

    def keep(self, rows: Tensor) -> None:
        self.rows = [self.rows[n] for n in rows.tolist()]


def written(writer: Scripted, *, longest: int = 10, shortest: int = 0, **rest) -> list[list[int]]:
    prompts = torch.full((len(writer.rows), 1), 7)
    bounds = Bounds(END, longest, shortest)
    return [row.tokens for row in write(writer, prompts, bounds, **rest)]


def test_each_row_ends_at_its_own_end() -> None:
    writer = Scripted([1, END], [1, 2, 3, END], [4, END])
    assert written(writer) == [[7, 1, END], [7, 1, 2, 3, END], [7, 4, END]]


def test_the_loop_ends_with_the_last_row() -> None:
    writer = Scripted([1, END], [1, 2, END])
    written(writer, longest=50)
    assert len(writer.sizes) == 3


def test_rows_that_have_ended_leave_once_half_of_them_are_through() -> None:
    writer = Scripted([END], [1, END], [1, 2, 3, END], [1, 2, 3, 4, END])
    assert written(writer) == [[7, END], [7, 1, END], [7, 1, 2, 3, END], [7, 1, 2, 3, 4, END]]
    assert writer.sizes == [4, 4, 2, 2, 1]


def test_the_prompt_is_given_whole_and_then_one_token_at_a_time() -> None:
    writer = Scripted([1, 2, END])
    write(writer, torch.tensor([[7, 6, 5]]), Bounds(END, 10))
    assert writer.seen == [[[7, 6, 5]], [[1]], [[2]]]


def test_no_more_tokens_than_allowed_are_written() -> None:
    assert written(Scripted([1] * 9), longest=4) == [[7, 1, 1, 1, 1]]


def test_an_end_before_the_shortest_is_not_taken() -> None:
    (tokens,) = written(Scripted([END, END, 3, END]), shortest=2)
    assert END not in tokens[:3]
    assert tokens[3:] == [3, END]


def test_the_score_is_the_mean_of_what_was_written_and_not_of_what_came_after() -> None:
    sure = torch.log_softmax(torch.tensor([5.0] + [0.0] * (WORDS - 1)), -1)[0].item()
    short, long = write(Scripted([END], [1, 2, END]), torch.full((2, 1), 7), Bounds(END, 10))
    assert abs(short.score - sure) < 1e-6
    assert abs(long.score - sure) < 1e-6
    assert (len(short.log_probs), len(long.log_probs)) == (1, 3)


def test_the_greatest_and_its_log_probability_are_those_of_pytorch() -> None:
    logits = torch.randn(16, 30_524, generator=torch.Generator().manual_seed(1)) * 8
    logits[:, 0] = -torch.inf
    chosen = greatest(logits)
    assert torch.equal(chosen, logits.argmax(-1, keepdim=True))
    expected = logits.double().log_softmax(-1).gather(-1, chosen)[:, 0]
    assert torch.allclose(log_probs(logits, chosen).double(), expected, atol=1e-5)


CHOOSE = """
import os
import numpy as np
import torch
from worker.engines.generation import greatest, log_probs
torch.set_num_threads(2)
logits = torch.from_numpy(np.zeros((16, 30_524), np.float32))
before = set(os.listdir("/proc/self/task"))
log_probs(logits, greatest(logits))
print(len(set(os.listdir("/proc/self/task")) - before))
logits.argmax(-1)
print(len(set(os.listdir("/proc/self/task")) - before))
"""


def test_choosing_a_token_wakes_no_threads() -> None:
    asked = subprocess.run(
        [sys.executable, "-c", CHOOSE], capture_output=True, text=True, check=True
    )
    assert asked.stdout.split() == ["0", "1"]  # the second: PyTorch would have


def test_a_row_that_is_stopped_is_named_and_the_others_are_as_alone() -> None:
    asked = 0

    def stopped() -> list[bool]:
        nonlocal asked
        asked += 1
        return [False, asked >= 2, False]

    writer = Scripted([1, 2, 3, END], [4] * 9, [5, 6, END])
    rows = write(writer, torch.full((3, 1), 7), Bounds(END, 9), stopped=stopped)
    assert [row.stopped for row in rows] == [False, True, False]
    assert rows[0].tokens == [7, 1, 2, 3, END]
    assert rows[2].tokens == [7, 5, 6, END]
    assert len(rows[1].tokens) == 3


def test_a_caption_that_has_ended_cannot_be_stopped_any_more() -> None:
    rows = write(
        Scripted([END], [1, 2, END]), torch.full((2, 1), 7), Bounds(END, 9),
        stopped=lambda: [True, False],
    )  # fmt: skip
    assert [row.stopped for row in rows] == [False, False]
