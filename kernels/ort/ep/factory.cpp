// The execution provider: ONNX Runtime looks up the symbols CreateEpFactories and ReleaseEpFactory.
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "ort/domain.h"
#include "ort/ep/abi.h"
#include "ort/ep/kernels.h"
#include "ort/ep/provider.h"
#include "ort/export.h"
#include "ort/runtime.h"
#include "ort/settings.h"
#include "ort/status.h"

namespace roialign {
namespace {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

struct Pairs {
  explicit Pairs(const OrtApi& owner) : api(owner) { api.CreateKeyValuePairs(&all); }
  ~Pairs() { api.ReleaseKeyValuePairs(all); }
  Pairs(const Pairs&) = delete;
  Pairs& operator=(const Pairs&) = delete;

  const OrtApi& api;
  OrtKeyValuePairs* all = nullptr;
};

// What all sessions with the provider share: the kernels, and the private ops.
struct Factory : OrtEpFactory {
  explicit Factory(const Runtime& made_in);

  const Runtime runtime;
  const OrtEpApi& api;
  const std::vector<Op> ops;
  const Registry registry;
  const std::unique_ptr<Domain> domain;
};

// Offers the provider for the CPU. ONNX Runtime owns what is made.
size_t add_device(Factory& factory, const OrtHardwareDevice* const* devices, size_t count, OrtEpDevice** out,
                  size_t room) {
  const OrtApi& api = *factory.runtime.newer;
  for (size_t i = 0; i < count && room > 0; ++i) {
    if (api.HardwareDevice_Type(devices[i]) != OrtHardwareDeviceType_CPU) continue;
    const Pairs options(api);
    api.AddKeyValuePair(options.all, kProviderMarker, "1");
    // Without an allocator of its own the device is the CPU's memory: nothing is copied.
    require_ok(factory.api.CreateEpDevice(&factory, devices[i], nullptr, options.all, out));
    return 1;
  }
  return 0;
}

Factory::Factory(const Runtime& made_in)
    : OrtEpFactory{},
      runtime(made_in),
      api(*made_in.newer->GetEpApi()),
      ops(make_provider_ops(runtime)),
      registry(make_registry(api, ops)),
      domain(make_private_domain(runtime, std::nullopt)) {
  ort_version_supported = kNewerApiVersion;
  GetName = [](const OrtEpFactory*) { return kProviderName; };
  GetVendor = [](const OrtEpFactory*) { return "onnx_roialign"; };
  GetVendorId = [](const OrtEpFactory*) -> uint32_t { return 0; };  // it has no number as a vendor of PCI devices
  GetVersion = [](const OrtEpFactory*) { return ONNX_ROIALIGN_VERSION; };
  GetSupportedDevices = [](OrtEpFactory* self, const OrtHardwareDevice* const* devices, size_t count, OrtEpDevice** out,
                           size_t room, size_t* made) {
    auto& factory = *static_cast<Factory*>(self);
    return guarded(*factory.runtime.newer, [&] { *made = add_device(factory, devices, count, out, room); });
  };
  CreateEp = [](OrtEpFactory* self, const OrtHardwareDevice* const*, const OrtKeyValuePairs* const*, size_t,
                const OrtSessionOptions* options, const OrtLogger* logger, OrtEp** out) {
    const auto& factory = *static_cast<const Factory*>(self);
    return guarded(*factory.runtime.newer,
                   [&] { *out = new Provider(factory.runtime, factory.registry.get(), options, logger); });
  };
  ReleaseEp = [](OrtEpFactory*, OrtEp* ep) { delete static_cast<Provider*>(ep); };
  CreateAllocator = [](OrtEpFactory*, const OrtMemoryInfo*, const OrtKeyValuePairs*, OrtAllocator** out) -> OrtStatus* {
    *out = nullptr;  // the CPU's
    return nullptr;
  };
  ReleaseAllocator = [](OrtEpFactory*, OrtAllocator*) {};
  CreateDataTransfer = [](OrtEpFactory*, OrtDataTransferImpl** out) -> OrtStatus* {
    *out = nullptr;
    return nullptr;
  };
  IsStreamAware = [](const OrtEpFactory*) { return false; };
  GetNumCustomOpDomains = [](OrtEpFactory*, size_t* out) -> OrtStatus* {
    *out = 1;
    return nullptr;
  };
  GetCustomOpDomains = [](OrtEpFactory* self, OrtCustomOpDomain** out, size_t count) -> OrtStatus* {
    if (count > 0) out[0] = static_cast<const Factory*>(self)->domain->get();
    return nullptr;
  };
}

}  // namespace
}  // namespace roialign

extern "C" ROIALIGN_EXPORT ort_abi::OrtStatus* CreateEpFactories(const char*, const ort_abi::OrtApiBase* base,
                                                                 const ort_abi::OrtLogger*,
                                                                 ort_abi::OrtEpFactory** factories, size_t room,
                                                                 size_t* count) {
  using namespace roialign;  // NOLINT
  *count = 0;
  const Runtime runtime = runtime_of(*base);
  if (runtime.newer == nullptr) {
    return too_old(*base, "onnx_roialign as an execution provider", ort_abi::kNewerApiVersion);
  }
  return guarded(*runtime.newer, [&] {
    if (room == 0) throw std::invalid_argument("onnx_roialign must be given room for one factory, got none");
    factories[0] = new Factory(runtime);
    *count = 1;
  });
}

extern "C" ROIALIGN_EXPORT ort_abi::OrtStatus* ReleaseEpFactory(ort_abi::OrtEpFactory* factory) {
  delete static_cast<roialign::Factory*>(factory);
  return nullptr;
}
