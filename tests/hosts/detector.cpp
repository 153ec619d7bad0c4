// Runs a detector in ONNX Runtime from C++, as the official header has it, through one of the library's two doors, and
// writes what it returns. Arguments and output are those of detector.c, without the first.
#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

void add_custom_op(Ort::SessionOptions& options, const char* path) {
  options.AddConfigEntry("onnx_roialign.opset", "22");
  options.RegisterCustomOpsLibrary(path);
}

#if ORT_API_VERSION >= 24
void add_provider(Ort::Env& env, Ort::SessionOptions& options, const char* path) {
  env.RegisterExecutionProviderLibrary("onnx_roialign", path);
  for (const Ort::ConstEpDevice& device : env.GetEpDevices()) {
    if (std::string(device.EpName()) != "RoiAlignExecutionProvider") continue;
    options.AppendExecutionProvider_V2(env, {device}, std::unordered_map<std::string, std::string>{});
  }
}
#endif

template <class T>
void write_output(std::ofstream& file, const Ort::Value& value) {
  const auto info = value.GetTensorTypeAndShapeInfo();
  const std::vector<int64_t> dims = info.GetShape();
  const auto rank = static_cast<int64_t>(dims.size());
  file.write(reinterpret_cast<const char*>(&rank), sizeof rank);
  file.write(reinterpret_cast<const char*>(dims.data()), static_cast<std::streamsize>(dims.size() * sizeof(int64_t)));
  file.write(reinterpret_cast<const char*>(value.GetTensorData<T>()),
             static_cast<std::streamsize>(info.GetElementCount() * sizeof(T)));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  try {
    Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "detector");
    Ort::SessionOptions options;
    if (std::string(argv[3]) == "custom_op") {
      add_custom_op(options, argv[1]);
    } else {
#if ORT_API_VERSION >= 24
      add_provider(env, options, argv[1]);
#else
      std::fprintf(stderr, "this door needs a newer ONNX Runtime than 1.%d\n", ORT_API_VERSION);
      return 1;
#endif
    }
    Ort::Session session(env, argv[2], options);

    const std::vector<int64_t> dims{3, std::atoi(argv[4]), std::atoi(argv[5])};
    std::vector<float> pixels(static_cast<size_t>(dims[0] * dims[1] * dims[2]));
    std::ifstream(argv[6], std::ios::binary)
        .read(reinterpret_cast<char*>(pixels.data()), static_cast<std::streamsize>(pixels.size() * sizeof(float)));
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const Ort::Value image =
        Ort::Value::CreateTensor<float>(memory, pixels.data(), pixels.size(), dims.data(), dims.size());
    const char* const inputs[] = {"image"};
    const char* const outputs[] = {"boxes", "labels", "scores", "masks"};
    const std::vector<Ort::Value> results = session.Run(Ort::RunOptions{nullptr}, inputs, &image, 1, outputs, 4);

    std::ofstream file(argv[7], std::ios::binary);
    for (size_t i = 0; i < results.size(); ++i) {
      if (i == 1) {
        write_output<int64_t>(file, results[i]);
      } else {
        write_output<float>(file, results[i]);
      }
    }
  } catch (const Ort::Exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
