"""What libraries raise is told by what it means: too little memory, or a GPU that is of no use."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from captioner.catalog import SCENES_FOLDER
from captioner.images import Resampling
from captioner.settings import Settings
from tests import standins
from tests.unit.asking import CPU
from worker.engines import blip, blip2, gemma, intern_vlm, kinds
from worker.engines.house import EngineHouse
from worker.engines.protocol import DeviceBroken
from worker.engines.trouble import may_pass, translated
from worker.engines.wishes import Wish
from worker.watchdog import EXIT_CODE

REFUSED = """
import resource
import numpy as np
import torch
from captioner.catalog import SCENES_FOLDER
from captioner.settings import Settings
from worker.engines import blip
from worker.engines.device import place

torch.set_num_threads(1)
settings = Settings(device="cpu", engine="{library}", dtype="float32", _env_file=None)
engine = blip.load(
    str(SCENES_FOLDER), revision="main", placement=place(settings), max_new_tokens=20
)
grey = np.full((*engine.image_size, 3), 128, np.uint8)
right = engine.caption([grey])[0].text
for room in range(10, 400, 10):  # with little it is NumPy that is refused, with more a library
    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + room * 2**20, resource.RLIM_INFINITY))
    try:
        engine.caption([grey] * 512)
    except MemoryError as error:
        print(room, "refused", type(error.__cause__).__name__)
    else:
        break
    assert engine.caption([grey])[0].text == right
"""


@pytest.mark.parametrize("library", ["torch", "openvino", "reference"])
def test_memory_that_the_system_refuses_is_a_memory_error_and_the_engine_goes_on(library) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSED.format(library=library)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert "refused RuntimeError" in done.stdout  # a library's own, not NumPy's or Python's


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be …",
        "CUDA error: device-side assert triggered",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx( …",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "CUDA driver error: unknown error",
    ],
)
def test_a_gpu_that_is_of_no_use_to_the_process_is_told_as_such(said: str) -> None:
    with pytest.raises(DeviceBroken, match="of no use to this process"), translated():
        raise torch.AcceleratorError(said)


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "std::bad_alloc",
        "could not create a primitive",
    ],
)
def test_a_gpu_without_memory_is_not_broken(said: str) -> None:
    with pytest.raises(MemoryError), translated():
        raise RuntimeError(said)


@pytest.mark.parametrize("said", ["CUDA error: no kernel image is available", "shapes differ"])
def test_other_errors_stay_what_they_are(said: str) -> None:
    with pytest.raises(RuntimeError, match=said) as raised, translated():
        raise RuntimeError(said)
    assert not may_pass(raised.value)


class Broken:
    """A network in whose place the driver answers."""

    def __init__(self, network) -> None:
        self._network = network

    def __getattr__(self, name: str):
        return getattr(self._network, name)

    def generate(self, **_: object) -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    def look(self, *_: object) -> None:
        self.generate()


LOADS = {"blip2": blip2, "intern_vlm": intern_vlm, "gemma": gemma}


@pytest.mark.parametrize("kind", ["blip", *LOADS])
def test_every_kind_of_engine_tells_it(kind, tmp_path) -> None:
    if kind == "blip":
        engine = blip.load(str(SCENES_FOLDER), revision="main", placement=CPU, max_new_tokens=20)
        engine._network = Broken(engine._network)
    else:
        folder = standins.MAKERS[kind](tmp_path / "model")
        engine = LOADS[kind].load(str(folder), revision="main", placement=CPU, max_new_tokens=20)
        engine._model = Broken(engine._model)
    with pytest.raises(DeviceBroken):
        engine.caption([np.full((*engine.image_size, 3), 128, np.uint8)])


class Maker:
    """Makes an engine whose GPU breaks with the first black picture, or at once."""

    device = "cuda:0"
    image_size = (8, 8)
    resampling = Resampling.BICUBIC
    revision = "r"
    broken = False

    def make(self, entry: object) -> "Maker":
        self.caption([np.full((8, 8, 3), int(not self.broken), np.uint8)])
        return self

    def caption(self, pictures, *_: object, **__: object) -> list:
        self.broken = self.broken or not all(picture.any() for picture in pictures)
        if self.broken:
            with translated():
                raise torch.AcceleratorError("CUDA error: device-side assert triggered")
        return [None] * len(pictures)


class Never:
    def done(self) -> bool:
        return False


def pictures(*levels: int) -> list[Wish]:
    return [Wish(np.full((8, 8, 3), level, np.uint8), Never()) for level in levels]


def test_a_worker_whose_gpu_is_broken_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds.KINDS, "blip", lambda _settings: Maker())
    ended: list[int] = []
    house = EngineHouse(Settings(model="scenes", models="scenes"), end=ended.append)
    with house.using("scenes") as resident:
        good, bad = pictures(1, 0)
        resident.batcher.submit(good).result(10)
        assert ended == []
        error = resident.batcher.submit(bad).exception(10)
    assert ended == [EXIT_CODE]
    assert isinstance(error, DeviceBroken)
    assert error.retryable  # by a process that is whole
    house.close()


def test_so_does_one_that_finds_it_broken_when_it_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    maker = Maker()
    maker.broken = True
    monkeypatch.setitem(kinds.KINDS, "blip", lambda _settings: maker)
    ended: list[int] = []
    house = EngineHouse(Settings(model="scenes", models="scenes"), end=ended.append)
    house.load_all()
    assert ended == [EXIT_CODE]


BREAKS = """
from captioner.settings import Settings
from tests.unit.test_trouble import Maker, pictures
from worker.engines import kinds
from worker.engines.house import EngineHouse

kinds.KINDS["blip"] = lambda _settings: Maker()
house = EngineHouse(Settings(model="scenes", models="scenes", _env_file=None))
with house.using("scenes") as resident:
    resident.batcher.submit(pictures(0)[0]).result(30)
"""


def test_the_process_itself_ends_with_the_status_of_the_watchdog() -> None:
    command = [sys.executable, "-c", BREAKS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == EXIT_CODE, done.stderr
    assert "device-side assert" in done.stderr
