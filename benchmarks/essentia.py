"""The same 16 windows, heard by Essentia's TensorflowPredictMusiCNN and by genretagger.

    make bench-essentia

puts Essentia and TensorFlow into an environment of their own (2 GB in `.cache`) and runs this.
TensorFlow is needed once: Essentia reads frozen graphs, and musicnn's weights come as checkpoints.
Both programs make mel frames and run both networks of musicnn; genretagger runs YAMNet as well.
They take turns, each in a process that is held to one core, then to all. The labels of both are
compared, so that nobody wins by doing something else. Decoding is left out.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from benchmarks.ears import WINDOWS, listen, sound
from genretagger.config import load
from genretagger.errors import GenretaggerError
from genretagger.model import ModelStore
from genretagger.model.filter_bank import ears_of
from genretagger.model.session import Session
from genretagger.types import FloatArray

ROUNDS, TURNS = 3, 5
FRAMES, HOP = 187, 256  # of a window of musicnn; Essentia's windows follow each other without a gap
NETWORKS = ("MSD", "MTT")  # the order of the labels of the model `musicnn`

_FREEZE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
folder, target = sys.argv[1:]
meta = meta_graph_pb2.MetaGraphDef()
meta.ParseFromString(open(f"{folder}/m.meta", "rb").read())
weights = tf.compat.v1.train.NewCheckpointReader(f"{folder}/m")
graph = tf.compat.v1.graph_util.extract_sub_graph(meta.graph_def, ["model/Sigmoid"])
for node in graph.node:
    node.attr.pop("_output_shapes", None)
    node.attr.pop("_class", None)
    if node.op == "VariableV2":
        kind = node.attr["dtype"]
        value = tf.make_tensor_proto(weights.get_tensor(node.name))
        name = node.name
        node.Clear()
        node.name, node.op = name, "Const"
        node.attr["dtype"].CopyFrom(kind)
        node.attr["value"].tensor.CopyFrom(value)
open(target, "wb").write(graph.SerializeToString())
"""

_LISTEN = """
import json, os, sys, time
cores, turns, sound, *graphs = sys.argv[1:]
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
import numpy as np
import essentia
essentia.log.infoActive = essentia.log.warningActive = False
import essentia.standard as standard
signal = np.load(sound)
networks = [
    standard.TensorflowPredictMusiCNN(
        graphFilename=graph, input="model/Placeholder", isTrainingName="model/Placeholder_2", patchHopSize=187,
        batchSize=-1,
    )
    for graph in graphs
]
times = []
for _ in range(int(turns) + 1):
    began = time.perf_counter()
    said = np.hstack([network(signal) for network in networks])
    times.append(time.perf_counter() - began)
print(json.dumps([min(times[1:]), said.tolist()]))
"""


def frozen(python: Path, wheel: Path, folder: Path) -> list[Path]:
    """Take the checkpoints out of musicnn's wheel, and make a frozen graph of each."""
    graphs = []
    with zipfile.ZipFile(wheel) as archive:
        for name in NETWORKS:
            place, graph = folder / name, folder / f"{name}.pb"
            place.mkdir()
            for suffix in (".index", ".meta", ".data-00000-of-00001"):
                (place / f"m{suffix}").write_bytes(archive.read(f"musicnn/{name}_musicnn/{suffix}"))
            subprocess.run([python, "-c", _FREEZE, place, graph], check=True, stderr=subprocess.DEVNULL)
            graphs.append(graph)
    return graphs


def by_essentia(python: Path, cores: int, signal: Path, graphs: list[Path]) -> tuple[float, FloatArray]:
    """Seconds for all windows, and (windows, labels) what it says."""
    command: list[str | Path] = [python, "-c", _LISTEN, str(cores), str(TURNS), signal, *graphs]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    seconds, said = json.loads(ended.stdout.splitlines()[-1])
    return float(seconds), np.array(said, np.float32)


def by_genretagger(store: ModelStore, cores: int, signal: FloatArray) -> tuple[float, FloatArray]:
    """The same, with both ears, in this process."""
    model, all_cores = store.pull("musicnn-yamnet"), os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_cores)[:cores])
    try:
        ears, session = ears_of(model), Session.open(model, "cpu", threads=cores)
        taken, said = [], np.empty(0, np.float32)
        for _ in range(TURNS + 1):
            mel_s, network_s, said = listen(signal, ears, session)
            taken.append(mel_s + network_s)
    finally:
        os.sched_setaffinity(0, all_cores)
    return min(taken[1:]), said


def main() -> int:
    """Measure and print; gives the exit status."""
    python, wheel = Path(sys.argv[1]), Path(sys.argv[2])
    store = ModelStore(Path(sys.argv[3]) if len(sys.argv) > 3 else load().models_dir)
    whole = sound().reshape(-1)
    length = whole.size // WINDOWS
    heard = np.stack([whole[start : start + length] for start in range(0, WINDOWS * FRAMES * HOP, FRAMES * HOP)])
    with tempfile.TemporaryDirectory(prefix="genretagger-essentia-") as scratch:
        folder = Path(scratch)
        signal = folder / "sound.npy"
        np.save(signal, whole[: (WINDOWS * FRAMES + 1) * HOP])
        try:
            graphs = frozen(python, wheel, folder)
            for cores in sorted({1, len(os.sched_getaffinity(0))}):
                rounds = [
                    (by_essentia(python, cores, signal, graphs), by_genretagger(store, cores, heard))
                    for _ in range(ROUNDS)
                ]
                (_, theirs), (_, ours) = rounds[0]
                apart = float(np.abs(theirs - ours[: len(theirs), : theirs.shape[1]]).max())
                ratio = statistics.median(them[0] / us[0] for them, us in rounds)
                them, us = (1000 * min(each[number][0] for each in rounds) for number in range(2))
                print(
                    f"{cores} cores: Essentia {them:.0f} ms, genretagger with both ears {us:.0f} ms for {WINDOWS} "
                    f"windows: {ratio:.1f} times as long; labels at most {apart:.3f} apart"
                )
        except (subprocess.CalledProcessError, GenretaggerError) as error:
            print(f"benchmark: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
