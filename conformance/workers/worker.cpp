// A worker in C++ on ONNX Runtime's C++ API, by the protocol of PROTOCOL.md.
//
//     apt-get install libonnxruntime-dev
//     g++ -std=c++17 -O1 worker.cpp -lonnxruntime -o worker

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Tensor {
  std::string name;
  int type = 0;
  std::vector<int64_t> dims;
  std::string bytes;
};

uint64_t read_number(std::istream& in) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const int byte = in.get();
    value |= uint64_t(byte & 127) << shift;
    if (byte < 128) return value;
  }
}

// TensorProto in protobuf's encoding: dims = 1, data_type = 2, name = 8, raw_data = 9; the suite writes no other
// fields.
Tensor read_tensor(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  Tensor tensor;
  while (in.peek() != EOF) {
    const uint64_t key = read_number(in), value = read_number(in);
    std::string bytes((key & 7) == 2 ? value : 0, '\0');
    in.read(bytes.data(), std::streamsize(bytes.size()));
    if (key >> 3 == 1) tensor.dims.push_back(int64_t(value));
    if (key >> 3 == 2) tensor.type = int(value);
    if (key >> 3 == 8) tensor.name = bytes;
    if (key >> 3 == 9) tensor.bytes = bytes;
  }
  return tensor;
}

void write_number(std::ostream& out, uint64_t value) {
  for (; value >= 128; value >>= 7) out.put(char((value & 127) | 128));
  out.put(char(value));
}

void write_bytes(std::ostream& out, int field, const void* bytes, size_t size) {
  write_number(out, uint64_t(field) << 3 | 2);
  write_number(out, size);
  out.write(static_cast<const char*>(bytes), std::streamsize(size));
}

size_t size_of(int type) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64:
      return 8;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16:
      return 2;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL:
      return 1;
    default:
      return 4;  // float, int32
  }
}

// The types of ONNX Runtime's C API have the numbers of TensorProto.DataType.
void write_tensor(const std::string& path, const std::string& name, const Ort::Value& value) {
  const auto info = value.GetTensorTypeAndShapeInfo();
  const int type = info.GetElementType();
  std::ofstream out(path, std::ios::binary);
  for (const int64_t dim : info.GetShape()) {
    write_number(out, 1 << 3);
    write_number(out, uint64_t(dim));
  }
  write_number(out, 2 << 3);
  write_number(out, uint64_t(type));
  write_bytes(out, 8, name.data(), name.size());
  write_bytes(out, 9, value.GetTensorRawData(), info.GetElementCount() * size_of(type));
}

std::string quoted(const std::string& text) {
  std::string made = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') made += '\\';
    made += static_cast<unsigned char>(c) < 32 ? ' ' : c;
  }
  return made + '"';
}

std::string reply(const char* status, const std::string& text) {
  return std::string("{\"status\": \"") + status + "\", \"text\": " + quoted(text) + "}";
}

std::string run(Ort::Env& env, const std::string& folder) {
  const std::string data = folder + "/test_data_set_0/";
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);
  Ort::Session session{nullptr};
  try {
    session = Ort::Session(env, (folder + "/model.onnx").c_str(), options);
  } catch (const Ort::Exception& error) {
    return reply(error.GetOrtErrorCode() == ORT_NOT_IMPLEMENTED ? "unsupported" : "error", error.what());
  }
  Ort::AllocatorWithDefaultOptions allocator;
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<Tensor> tensors;
  for (size_t i = 0; std::filesystem::exists(data + "input_" + std::to_string(i) + ".pb"); ++i)
    tensors.push_back(read_tensor(data + "input_" + std::to_string(i) + ".pb"));
  std::vector<const char*> inputs, outputs;
  std::vector<Ort::Value> values;
  for (Tensor& tensor : tensors) {
    inputs.push_back(tensor.name.c_str());
    values.push_back(Ort::Value::CreateTensor(memory, tensor.bytes.data(), tensor.bytes.size(), tensor.dims.data(),
                                              tensor.dims.size(), ONNXTensorElementDataType(tensor.type)));
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < session.GetOutputCount(); ++i)
    names.emplace_back(session.GetOutputNameAllocated(i, allocator).get());
  for (const std::string& name : names) outputs.push_back(name.c_str());
  const auto results = session.Run(Ort::RunOptions{nullptr}, inputs.data(), values.data(), values.size(),
                                   outputs.data(), outputs.size());
  for (size_t i = 0; i < results.size(); ++i)
    write_tensor(data + "output_" + std::to_string(i) + ".pb", names[i], results[i]);
  return reply("ok", "");
}

// The value of a key in a line that the suite wrote: folders are those of temporary files, without escapes.
std::string value_of(const std::string& line, const std::string& key) {
  const size_t at = line.find('"', line.find("\"" + key + "\"") + key.size() + 2) + 1;
  return line.substr(at, line.find('"', at) - at);
}

}  // namespace

int main() {
  Ort::Env env(ORT_LOGGING_LEVEL_FATAL, "conformance");
  for (std::string line; std::getline(std::cin, line) && value_of(line, "do") != "stop";) {
    std::string answer;
    try {
      answer = value_of(line, "do") == "run"
                   ? run(env, value_of(line, "folder"))
                   : "{\"name\": \"onnxruntime-c++\", \"version\": " + quoted(Ort::GetVersionString()) + "}";
    } catch (const std::exception& error) {
      answer = reply("error", error.what());
    }
    std::cout << answer << std::endl;
  }
}
