// The worker for Node.js: runs cases on onnxruntime-node or onnxruntime-web, by the protocol of PROTOCOL.md.
//
//     npm install --ignore-scripts                in this folder, or in another one that has a copy of package.json
//     node node.mjs onnxruntime-node [FOLDER]
//     node node.mjs onnxruntime-web [FOLDER]      WebAssembly, one thread

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

console.log = console.info = console.debug = console.error; // stdout is for replies

const PROVIDERS = { "onnxruntime-node": "cpu", "onnxruntime-web": "wasm" };
const UNSUPPORTED = "unsupported";
const TRAPPED = 70; // exit code

// ONNX's number of an element type -> onnxruntime's name of it, and the array that holds it.
const TYPES = new Map([
  [1, ["float32", Float32Array]],
  [6, ["int32", Int32Array]],
  [7, ["int64", BigInt64Array]],
  [9, ["bool", Uint8Array]],
  [10, ["float16", globalThis.Float16Array ?? Uint16Array]],
  [11, ["float64", Float64Array]],
]);

const [name, given] = process.argv.slice(2);
let ort;

function start() {
  if (!(name in PROVIDERS)) throw new Error(`the package must be one of ${Object.keys(PROVIDERS).join(", ")}, got ${name}`);
  const folder = given ? resolve(given) : dirname(fileURLToPath(import.meta.url));
  const require = createRequire(join(folder, "package.json"));
  ort = require(name);
  ort.env.logLevel = "fatal";
  ort.env.wasm.numThreads = 1;
  const file = require.resolve(name); // package.json itself is not among what onnxruntime-web exports
  const root = file.slice(0, file.lastIndexOf(name) + name.length);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return { name, version, environment: { node: process.versions.node } };
}

async function run(folder) {
  const data = join(folder, "test_data_set_0");
  const feeds = {};
  for (const file of readdirSync(data).filter((file) => file.startsWith("input_"))) {
    const tensor = readTensor(readFileSync(join(data, file)));
    if (!TYPES.has(tensor.type)) return { status: UNSUPPORTED, text: `no element type ${tensor.type} in JavaScript` };
    const [kind, Numbers] = TYPES.get(tensor.type);
    feeds[tensor.name] = new ort.Tensor(kind, new Numbers(new Uint8Array(tensor.bytes).buffer), tensor.dims);
  }
  const options = { executionProviders: [PROVIDERS[name]], logSeverityLevel: 4, intraOpNumThreads: 1 };
  let session;
  try {
    session = await ort.InferenceSession.create(new Uint8Array(readFileSync(join(folder, "model.onnx"))), options);
  } catch (error) {
    if (isTrap(error)) throw error;
    // ONNX Runtime's status 9, whose number onnxruntime-node leaves out; and a model of a newer opset than it knows.
    const lacks = /NOT_IMPLEMENTED|ERROR_CODE: 9,|Could not find an implementation|Failed to find kernel|opset \d+ is under development/i;
    return { status: lacks.test(text(error)) ? UNSUPPORTED : "error", text: text(error) };
  }
  try {
    const outputs = await session.run(feeds);
    session.outputNames.forEach((output, index) => {
      writeFileSync(join(data, `output_${index}.pb`), writeTensor(output, outputs[output]));
    });
  } finally {
    await session.release();
  }
  return { status: "ok", text: "" };
}

// TensorProto in protobuf's encoding: dims = 1, data_type = 2, name = 8, raw_data = 9; the suite writes no other fields.
function readTensor(buffer) {
  const tensor = { name: "", type: 0, dims: [], bytes: Buffer.alloc(0) };
  let at = 0;
  const number = () => {
    let value = 0;
    for (let weight = 1; ; weight *= 128) {
      const byte = buffer[at++];
      value += (byte & 127) * weight;
      if (byte < 128) return value;
    }
  };
  const bytes = () => {
    const size = number();
    at += size;
    return buffer.subarray(at - size, at);
  };
  while (at < buffer.length) {
    const key = number();
    const value = (key & 7) === 2 ? bytes() : number();
    if (key >> 3 === 1) tensor.dims.push(value);
    if (key >> 3 === 2) tensor.type = value;
    if (key >> 3 === 8) tensor.name = value.toString("utf8");
    if (key >> 3 === 9) tensor.bytes = value;
  }
  return tensor;
}

function writeTensor(name, tensor) {
  const type = [...TYPES].find(([, [kind]]) => kind === tensor.type)[0];
  const { buffer, byteOffset, byteLength } = tensor.data;
  const field = (number, bytes) => Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
  return Buffer.concat([
    ...tensor.dims.flatMap((dim) => [varint(1 << 3), varint(dim)]),
    varint(2 << 3),
    varint(type),
    field(8, Buffer.from(name)),
    field(9, Buffer.from(buffer, byteOffset, byteLength)),
  ]);
}

function varint(value) {
  const bytes = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
}

// WebAssembly's crash: it leaves the module's memory and locks as they are, and the next call may not return.
function isTrap(error) {
  return error instanceof WebAssembly.RuntimeError;
}

function text(error) {
  return String(error?.message ?? error).replace(/\s+/g, " ").slice(0, 2000);
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (request.do === "stop") break;
  let reply;
  try {
    reply = request.do === "start" ? start() : await run(request.folder);
  } catch (error) {
    if (isTrap(error)) {
      console.error(`trap: ${text(error)}`);
      process.exit(TRAPPED);
    }
    reply = { status: "error", text: text(error) };
  }
  process.stdout.write(JSON.stringify(reply) + "\n");
}
process.exit(0);
