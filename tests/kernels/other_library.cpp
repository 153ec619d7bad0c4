// Another library of custom ops that owns the domain "", in which it has the op Twice: Y = 2 X, float32.
#include <vector>

#include "ort/abi.h"

namespace {

using namespace ort_abi;  // NOLINT: all of the file is ONNX Runtime's

const OrtApi* api = nullptr;

OrtStatus* twice(void*, OrtKernelContext* context) {
  const OrtValue* X = nullptr;
  OrtTensorTypeAndShapeInfo* info = nullptr;
  size_t rank = 0;
  if (OrtStatus* status = api->KernelContext_GetInput(context, 0, &X)) return status;
  if (OrtStatus* status = api->GetTensorTypeAndShape(X, &info)) return status;
  if (OrtStatus* status = api->GetDimensionsCount(info, &rank)) return status;
  std::vector<int64_t> dims(rank);
  if (OrtStatus* status = api->GetDimensions(info, dims.data(), rank)) return status;
  api->ReleaseTensorTypeAndShapeInfo(info);
  OrtValue* Y = nullptr;
  if (OrtStatus* status = api->KernelContext_GetOutput(context, 0, dims.data(), rank, &Y)) return status;
  void *from = nullptr, *to = nullptr;
  if (OrtStatus* status = api->GetTensorMutableData(const_cast<OrtValue*>(X), &from)) return status;
  if (OrtStatus* status = api->GetTensorMutableData(Y, &to)) return status;
  int64_t count = 1;
  for (const int64_t size : dims) count *= size;
  for (int64_t i = 0; i < count; ++i) static_cast<float*>(to)[i] = 2 * static_cast<const float*>(from)[i];
  return nullptr;
}

OrtCustomOp make_twice() {
  OrtCustomOp op{};
  op.version = kApiVersion;
  op.GetName = [](const OrtCustomOp*) { return "Twice"; };
  op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  op.GetInputType = [](const OrtCustomOp*, size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.GetOutputType = op.GetInputType;
  op.GetOutputTypeCount = op.GetInputTypeCount;
  op.GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  op.GetOutputCharacteristic = op.GetInputCharacteristic;
  op.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return OrtMemTypeDefault; };
  op.GetStartVersion = [](const OrtCustomOp*) { return 1; };
  op.GetEndVersion = [](const OrtCustomOp*) { return 1000; };
  op.CreateKernelV2 = [](const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*, void** out) -> OrtStatus* {
    *out = nullptr;
    return nullptr;
  };
  op.KernelComputeV2 = twice;
  op.KernelDestroy = [](void*) {};
  return op;
}

}  // namespace

extern "C" ort_abi::OrtStatus* RegisterCustomOps(ort_abi::OrtSessionOptions* options, const ort_abi::OrtApiBase* base) {
  api = base->GetApi(ort_abi::kApiVersion);
  static const ort_abi::OrtCustomOp op = make_twice();
  ort_abi::OrtCustomOpDomain* domain = nullptr;
  if (ort_abi::OrtStatus* status = api->CreateCustomOpDomain("", &domain)) return status;
  if (ort_abi::OrtStatus* status = api->CustomOpDomain_Add(domain, &op)) return status;
  return api->AddCustomOpDomain(options, domain);
}
