"""Damages models: each kind of damage that a converter, a disk or an editor can cause, drawn by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import exports
import finding_cases
import graph_models
import onnx
import pooler_exports
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import helper

from onnx_roialign.graph import fuse

NUMBERS = (0, 1, -1, 2, 9, 10, 15, 16, 22, 99, 2**31 - 1, 2**31, 2**40, -(2**40), 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 0.5, 1.0, -1.0, float("nan"), float("inf"), float("-inf"), 1e-45, 3e38)
TEXTS = ("", "X", "rois", "nan", "max", "half_pixel", "\0", "two\nlines", "é" * 10, "a" * 100_000)
LARGEST_BASE = 60_000  # bytes of an export that is mutated too


@cache
def bases() -> tuple[onnx.ModelProto, ...]:
    """The models to damage: the graph tests' models, right and wrong, bodies, functions, small exports and poolers."""
    made = [make() for case in finding_cases.CASES for make in (case.wrong, case.right)]
    made += [body(opset) for body in graph_models.BODIES.values() for opset in (11, 16, 22)]
    models = (exports.load(name).model for name in exports.names())
    made += [onnx.load_model_from_string(data) for data in models if len(data) < LARGEST_BASE]
    poolers = [pooler_exports.load(name) for name in pooler_exports.names()]
    made += [*poolers, *(fuse(pooler).model for pooler in poolers)]
    return tuple(made)


def node_lists(model: onnx.ModelProto) -> list[Any]:
    """The nodes of the graph, the functions and every body."""
    found = [model.graph.node, *(function.node for function in model.functions)]
    for nodes in found:  # grows
        found += [attribute.g.node for node in nodes for attribute in node.attribute if attribute.HasField("g")]
    return found


def nodes_of(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for nodes in node_lists(model) for node in nodes]


def names_of(model: onnx.ModelProto) -> list[str]:
    return [*(value.name for value in model.graph.input), *(name for node in nodes_of(model) for name in node.output)]


def tensors_of(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    constants = [a.t for node in nodes_of(model) for a in node.attribute if a.HasField("t")]
    return [*model.graph.initializer, *constants]


def copied(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def drop_node(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = rng.choice(node_lists(model))
    if nodes:
        del nodes[rng.randrange(len(nodes))]


def repeat_node(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = rng.choice(node_lists(model))
    if nodes:
        nodes.append(copied(rng.choice(nodes)))


def shuffle_nodes(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = rng.choice(node_lists(model))
    order = [copied(node) for node in nodes]
    rng.shuffle(order)
    del nodes[:]
    nodes.extend(order)


def retype_node(rng: random.Random, model: onnx.ModelProto) -> None:
    for node in rng.sample(nodes_of(model), min(1, len(nodes_of(model)))):
        node.op_type = rng.choice(("", "RoiAlign", "AnyRoiAlign", "QLinearRoiAlign", "If", "Loop", "Add", "Concat"))
        node.domain = rng.choice(("", "ai.onnx", "onnx_roialign", "local", "com.microsoft", node.domain))


def rename_value(rng: random.Random, model: onnx.ModelProto) -> None:
    """Gives one name of a node to another, so that values have no source, two, themselves, or one in a body."""
    for node in rng.sample(nodes_of(model), min(1, len(nodes_of(model)))):
        names = rng.choice((node.input, node.output))
        if names:
            names[rng.randrange(len(names))] = rng.choice((*names_of(model), *TEXTS))


def drop_value(rng: random.Random, model: onnx.ModelProto) -> None:
    for node in rng.sample(nodes_of(model), min(1, len(nodes_of(model)))):
        names = rng.choice((node.input, node.output))
        if names:
            del names[rng.randrange(len(names))]


def add_value(rng: random.Random, model: onnx.ModelProto) -> None:
    for node in rng.sample(nodes_of(model), min(1, len(nodes_of(model)))):
        rng.choice((node.input, node.output)).append(rng.choice((*names_of(model), *TEXTS)))


def cycle(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = [node for node in nodes_of(model) if node.input and node.output]
    if nodes:
        node = rng.choice(nodes)
        node.input[rng.randrange(len(node.input))] = rng.choice(nodes).output[0]


def drop_attribute(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = [node for node in nodes_of(model) if node.attribute]
    if nodes:
        attributes = rng.choice(nodes).attribute
        del attributes[rng.randrange(len(attributes))]


def repeat_attribute(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = [node for node in nodes_of(model) if node.attribute]
    if nodes:
        attributes = rng.choice(nodes).attribute
        attributes.append(copied(rng.choice(attributes)))


def set_attribute(rng: random.Random, model: onnx.ModelProto) -> None:
    """Another value, often of another type."""
    nodes = [node for node in nodes_of(model) if node.attribute]
    if nodes:
        attribute = rng.choice(rng.choice(nodes).attribute)
        given = rng.choice((rng.choice(NUMBERS), rng.choice(FLOATS), rng.choice(TEXTS), [1, 2], [0.5], ["a"]))
        attribute.CopyFrom(helper.make_attribute(attribute.name, given))


def mistype_attribute(rng: random.Random, model: onnx.ModelProto) -> None:
    """A type that the value does not have, or one that does not exist."""
    nodes = [node for node in nodes_of(model) if node.attribute]
    if nodes:
        rng.choice(rng.choice(nodes).attribute).type = rng.choice(onnx.AttributeProto.AttributeType.values())


def refer(rng: random.Random, model: onnx.ModelProto) -> None:
    """An attribute that refers to one of a function, with or without it."""
    nodes = [node for node in nodes_of(model) if node.attribute]
    if nodes:
        attribute = rng.choice(rng.choice(nodes).attribute)
        attribute.ref_attr_name = rng.choice(("how", "mode", ""))


def retype_value(rng: random.Random, model: onnx.ModelProto) -> None:
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    if values:
        value = rng.choice(values)
        if rng.random() < 0.3:
            value.ClearField("type")
        else:
            kind = rng.choice((*onnx.TensorProto.DataType.values(), 99, -1))
            value.type.tensor_type.elem_type = kind


def reshape_value(rng: random.Random, model: onnx.ModelProto) -> None:
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    if values:
        shape = rng.choice(values).type.tensor_type.shape
        if rng.random() < 0.3:
            del shape.dim[rng.randrange(len(shape.dim)) if shape.dim else 0 :]
        for dim in shape.dim[: rng.randrange(3)]:
            dim.dim_value = rng.choice(NUMBERS)


def hurt_tensor(rng: random.Random, model: onnx.ModelProto) -> None:
    """Dimensions, type or data that contradict each other; data in a missing file."""
    tensors = tensors_of(model)
    if not tensors:
        return
    tensor = rng.choice(tensors)
    kind = rng.randrange(4)
    if kind == 0:
        tensor.dims.append(rng.choice(NUMBERS))
    elif kind == 1:
        tensor.data_type = rng.choice((*onnx.TensorProto.DataType.values(), 99))
    elif kind == 2:
        tensor.raw_data = tensor.raw_data[: rng.randrange(1 + len(tensor.raw_data))]
    else:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key=rng.choice(("location", "offset")), value=rng.choice(("none.bin", "../x", "-1")))


def import_opsets(rng: random.Random, model: onnx.ModelProto) -> None:
    """Another version, none, or a second one of the same domain under either of its names."""
    if rng.random() < 0.3:
        del model.opset_import[:]
    domain = rng.choice(("", "ai.onnx", "onnx_roialign", "local"))
    model.opset_import.add(domain=domain, version=rng.choice(NUMBERS))


def call_itself(rng: random.Random, model: onnx.ModelProto) -> None:
    """Functions that call themselves or each other, or occur twice."""
    if not model.functions:
        call = helper.make_node("F", ["X"], ["y"], domain="local")
        model.functions.append(helper.make_function("local", "F", ["X"], ["y"], [call], model.opset_import))
        model.graph.node.append(helper.make_node("F", ["X"], ["extra"], domain="local"))
    function = rng.choice(model.functions)
    if rng.random() < 0.4:
        model.functions.append(copied(function))
    else:
        nodes = helper.make_node(function.name, list(function.input), ["again"], domain=function.domain)
        function.node.insert(0, nodes)


def nest(rng: random.Random, model: onnx.ModelProto) -> None:
    """The graph in a body of itself, a few times or nearly as often as protobuf reads."""
    for _ in range(rng.choice((1, 3, 20))):
        inner = copied(model.graph)
        del inner.input[:]
        branches = {"then_branch": inner, "else_branch": inner} if rng.random() < 0.1 else {"then_branch": inner}
        node = helper.make_node("If", ["X"], [f"nested{rng.random()}"], **branches)
        del model.graph.node[:]
        model.graph.node.append(node)


def add_sparse(rng: random.Random, model: onnx.ModelProto) -> None:
    sparse = model.graph.sparse_initializer.add(dims=[rng.choice(NUMBERS)])
    sparse.values.CopyFrom(helper.make_tensor(rng.choice(("sparse", "X", "")), rng.choice((1, 7)), [1], [1]))


def clear_field(rng: random.Random, model: onnx.ModelProto) -> None:
    """Any field of any message."""
    messages: list[Message] = [model]
    for message in messages:  # grows
        for descriptor, value in message.ListFields():
            if descriptor.type == FieldDescriptor.TYPE_MESSAGE:
                messages += [value] if isinstance(value, Message) else list(value)
    message = rng.choice(messages)
    fields = [descriptor for descriptor, _ in message.ListFields()]
    if fields and len(messages) > 1:
        message.ClearField(rng.choice(fields).name)


PROTO_DAMAGES: tuple[Callable[[random.Random, onnx.ModelProto], None], ...] = (
    *(drop_node, repeat_node, shuffle_nodes, retype_node, rename_value, drop_value, add_value, cycle, drop_attribute),
    *(repeat_attribute, set_attribute, mistype_attribute, refer, retype_value, reshape_value, hurt_tensor),
    *(import_opsets, call_itself, nest, add_sparse, clear_field),
)


def flip(rng: random.Random, data: bytes) -> bytes:
    """Flips bits anywhere: text that is not UTF-8, lengths, field numbers."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 10))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def insert(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + rng.randbytes(rng.choice((1, 2, 8))) + data[place:]


BYTE_DAMAGES = (flip, truncate, insert)


def mutant(seed: int) -> onnx.ModelProto | bytes:
    """A model with one to four kinds of damage, one of eight of them to its bytes."""
    rng = random.Random(seed)
    model = copied(rng.choice(bases()))
    for damage in rng.choices(PROTO_DAMAGES, k=rng.choice((1, 1, 2, 4))):
        damage(rng, model)
    if rng.random() < 1 / 8:
        try:
            return rng.choice(BYTE_DAMAGES)(rng, model.SerializeToString())
        except Exception:  # nested too deep to be serialized: it is tested as a proto
            return model
    return model


def mutants(seeds: range) -> Iterator[tuple[int, onnx.ModelProto | bytes]]:
    for seed in seeds:
        yield seed, mutant(seed)
