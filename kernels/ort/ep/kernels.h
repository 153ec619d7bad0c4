// The kernels of the execution provider: those of the custom op, in the form in which a provider registers them.
#ifndef ONNX_ROIALIGN_ORT_EP_KERNELS_H_
#define ONNX_ROIALIGN_ORT_EP_KERNELS_H_

#include <memory>
#include <vector>

#include "ort/ep/abi.h"
#include "ort/ops.h"
#include "ort/runtime.h"

namespace roialign {

struct ReleaseRegistry {
  const ort_abi::OrtEpApi* api;
  void operator()(ort_abi::OrtKernelRegistry* registry) const { api->ReleaseKernelRegistry(registry); }
};
using Registry = std::unique_ptr<ort_abi::OrtKernelRegistry, ReleaseRegistry>;

// Makes ONNX's RoiAlign, one op for each element type.
std::vector<Op> make_provider_ops(const Runtime& runtime);

// Registers a kernel for each op, which must outlive the registry.
Registry make_registry(const ort_abi::OrtEpApi& api, const std::vector<Op>& ops);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_EP_KERNELS_H_
