// The kernels of the execution provider: those of the custom op, in the form in which a provider registers them.
#include "ort/ep/kernels.h"

#include "ort/ep/provider.h"
#include "ort/status.h"

namespace roialign {
namespace {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

// The versions of ONNX's RoiAlign that the kernels know. A node of a later one is left alone, since it may mean
// something else.
constexpr int kFirstVersion = 10;
constexpr int kLastVersion = 22;

// A kernel of the custom op, which has the settings of the provider that it is of.
struct ProviderKernel : OrtKernelImpl {
  ProviderKernel(const Op& made_by, const Settings& settings) : OrtKernelImpl{}, op(made_by) {
    op.settings = settings;
    ort_version_supported = kNewerApiVersion;
    Compute = [](OrtKernelImpl* self, OrtKernelContext* context) {
      const auto* kernel = static_cast<const ProviderKernel*>(self);
      return kernel->op.KernelComputeV2(kernel->custom, context);
    };
    Release = [](OrtKernelImpl* self) { delete static_cast<ProviderKernel*>(self); };
  }
  ~ProviderKernel() {
    if (custom != nullptr) op.KernelDestroy(custom);
  }
  ProviderKernel(const ProviderKernel&) = delete;
  ProviderKernel& operator=(const ProviderKernel&) = delete;

  Op op;
  void* custom = nullptr;
};

OrtStatus* ROIALIGN_ORT_CALL create_kernel(void* state, const OrtKernelInfo* info, OrtKernelImpl** out) {
  const Op& op = *static_cast<const Op*>(state);
  const OrtApi& api = *op.runtime.newer;
  return guarded(api, [&] {
    const OrtEp* provider = nullptr;
    require_ok(api.GetEpApi()->KernelInfo_GetEp(info, &provider));
    auto kernel = std::make_unique<ProviderKernel>(op, static_cast<const Provider*>(provider)->options().settings);
    require_ok(op.CreateKernelV2(&kernel->op, &api, info, &kernel->custom));
    *out = kernel.release();
  });
}

struct ReleaseBuilder {
  const OrtEpApi& api;
  void operator()(OrtKernelDefBuilder* builder) const { api.ReleaseKernelDefBuilder(builder); }
};

struct ReleaseDef {
  const OrtEpApi& api;
  void operator()(OrtKernelDef* def) const { api.ReleaseKernelDef(def); }
};

void add_type(const OrtEpApi& api, OrtKernelDefBuilder* builder, const char* parameter,
              ONNXTensorElementDataType type) {
  const OrtDataType* data_type = nullptr;
  require_ok(api.GetTensorDataType(type, &data_type));
  require_ok(api.KernelDefBuilder_AddTypeConstraint(builder, parameter, &data_type, 1));
}

void add_kernel(const OrtEpApi& api, OrtKernelRegistry* registry, const Op& op) {
  OrtKernelDefBuilder* raw = nullptr;
  require_ok(api.CreateKernelDefBuilder(&raw));
  const std::unique_ptr<OrtKernelDefBuilder, ReleaseBuilder> builder(raw, ReleaseBuilder{api});
  require_ok(api.KernelDefBuilder_SetOperatorType(raw, op.name));
  require_ok(api.KernelDefBuilder_SetDomain(raw, ""));
  require_ok(api.KernelDefBuilder_SetSinceVersion(raw, kFirstVersion, kLastVersion));
  require_ok(api.KernelDefBuilder_SetExecutionProvider(raw, kProviderName));
  add_type(api, raw, "T1", op.type);
  add_type(api, raw, "T2", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64);
  OrtKernelDef* raw_def = nullptr;
  require_ok(api.KernelDefBuilder_Build(raw, &raw_def));
  const std::unique_ptr<OrtKernelDef, ReleaseDef> def(raw_def, ReleaseDef{api});
  require_ok(api.KernelRegistry_AddKernel(registry, raw_def, create_kernel, const_cast<Op*>(&op)));
}

}  // namespace

std::vector<Op> make_provider_ops(const Runtime& runtime) {
  std::vector<Op> ops;
  for (const ElementType type : kElementTypes) ops.push_back(make_roi_align(runtime, nullptr, type));
  return ops;
}

Registry make_registry(const OrtEpApi& api, const std::vector<Op>& ops) {
  OrtKernelRegistry* raw = nullptr;
  require_ok(api.CreateKernelRegistry(&raw));
  Registry registry(raw, ReleaseRegistry{&api});
  for (const Op& op : ops) add_kernel(api, raw, op);
  return registry;
}

}  // namespace roialign
