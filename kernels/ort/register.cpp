// Registers the ops with ONNX Runtime, which looks up the symbol RegisterCustomOps.
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ort/domain.h"
#include "ort/export.h"
#include "ort/ops.h"
#include "ort/runtime.h"
#include "ort/settings.h"
#include "ort/status.h"

namespace roialign {
namespace {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

constexpr char kMarkerEntry[] = "onnx_roialign.registration";
constexpr char kPrivateMarkerEntry[] = "onnx_roialign.private_registration";

// What is registered on session options: ONNX's RoiAlign. Where kernels can read the opset from their session, all
// options with equal settings share it; else it is of one options object, at one opset.
class Registration {
 public:
  Registration(const Runtime& runtime, const OrtSessionOptions* options, int64_t opset, const Settings& settings)
      : options_(options), opset_(opset), settings_(settings), is_shared_(runtime.newer != nullptr) {
    std::vector<Op> ops;
    for (const ElementType type : kElementTypes) {
      ops.push_back(make_roi_align(runtime, is_shared_ ? nullptr : &opset_, type));
      ops.back().asks_session = is_shared_;
      ops.back().settings = settings;
    }
    domain_ = std::make_unique<Domain>(*runtime.api, "", std::move(ops));
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  void add_to(OrtSessionOptions* options) const { domain_->add_to(options); }

  // Returns a text that is unique in the process, so that another copy of this library does not take it for its own.
  std::string marker() const { return std::to_string(reinterpret_cast<uintptr_t>(this)); }

  // Whether other options can have it too.
  bool serves(const Runtime& runtime, const Settings& settings) const {
    return is_shared_ && &domain_->api() == runtime.api && settings_ == settings;
  }

  // The threads stay those of the first registration, as they change no result.
  void require_same(const Settings& settings) const {
    if (settings.isa == settings_.isa) return;
    throw std::invalid_argument(
        "onnx_roialign.isa must not change on options that are registered, got another one; register on new options");
  }

  void set_opset(const OrtSessionOptions* options, int64_t opset) {
    if (is_shared_ || opset == opset_) return;
    // Cloned options share the ops with the options that they were cloned from, whose sessions would change too.
    if (options != options_) {
      throw std::invalid_argument("onnx_roialign.opset must be " + std::to_string(opset_) +
                                  " on options cloned from registered ones, got " + std::to_string(opset) +
                                  "; register on options of their own");
    }
    opset_ = opset;
  }

 private:
  const OrtSessionOptions* options_;
  std::atomic<int64_t> opset_;
  const Settings settings_;
  const bool is_shared_;
  std::unique_ptr<Domain> domain_;
};

// All registrations of this process. ONNX Runtime owns neither a domain nor its ops, and does not report when the
// options and sessions that point to them are gone. So they are kept until the library is unloaded, which ONNX Runtime
// does when the last options and session that loaded it are gone. Those that options cannot share, before 1.24, take
// about 1 kB for each options object, however often it is registered.
class Registrations {
 public:
  void add(const Runtime& runtime, OrtSessionOptions* options) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Entries entries = entries_of(*runtime.api, options);
    const int64_t opset = read_opset(entries);
    const Settings settings = read_settings(entries);
    const bool only_private = read_only_private(entries);
    const std::string marker = entries(kMarkerEntry).value_or("");
    if (!marker.empty()) {
      find(marker).require_same(settings);
      find(marker).set_opset(options, opset);
      return;
    }
    add_private_ops(runtime, options, entries, settings);
    if (only_private) return;
    const Registration& made = registration_for(runtime, options, opset, settings);
    made.add_to(options);
    require_ok(runtime.api->AddSessionConfigEntry(options, kMarkerEntry, made.marker().c_str()));
  }

 private:
  // They may be there only once, and if the options have the provider, it has brought them.
  void add_private_ops(const Runtime& runtime, OrtSessionOptions* options, const Entries& entries,
                       const Settings& settings) {
    if (entries(kPrivateMarkerEntry) || entries(std::string(kProviderEntries) + kProviderMarker)) return;
    private_domain(runtime, settings).add_to(options);
    require_ok(runtime.api->AddSessionConfigEntry(options, kPrivateMarkerEntry, "1"));
  }

  const Registration& registration_for(const Runtime& runtime, const OrtSessionOptions* options, int64_t opset,
                                       const Settings& settings) {
    for (const auto& registration : kept_) {
      if (registration->serves(runtime, settings)) return *registration;
    }
    kept_.push_back(std::make_unique<Registration>(runtime, options, opset, settings));
    return *kept_.back();
  }

  // The private ops depend on no options object, so all options of one ONNX Runtime with equal settings share them.
  const Domain& private_domain(const Runtime& runtime, const Settings& settings) {
    for (const auto& domain : private_) {
      if (&domain->api() == runtime.api && domain->ops().front().settings == settings) return *domain;
    }
    private_.push_back(make_private_domain(runtime, settings));
    return *private_.back();
  }

  Registration& find(const std::string& marker) const {
    for (const auto& registration : kept_) {
      if (registration->marker() == marker) return *registration;
    }
    throw std::invalid_argument(
        "onnx_roialign must be registered from one file per session options, got a second copy of the library");
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Registration>> kept_;
  std::vector<std::unique_ptr<Domain>> private_;
};

// Made by the first call, and deleted when the library is unloaded. A static object would not do: the C++ runtime keeps
// the call that destroys it on a list, and where the linker wrote no DT_FINI_ARRAY (zig) the call stays there after the
// library is gone.
Registrations* registrations = nullptr;

__attribute__((destructor)) void delete_registrations() { delete registrations; }

}  // namespace
}  // namespace roialign

extern "C" ROIALIGN_EXPORT ort_abi::OrtStatus* ROIALIGN_ORT_CALL RegisterCustomOps(ort_abi::OrtSessionOptions* options,
                                                                                   const ort_abi::OrtApiBase* base) {
  using namespace roialign;  // NOLINT
  const Runtime runtime = runtime_of(*base);
  if (runtime.api == nullptr) return too_old(*base, "onnx_roialign", ort_abi::kApiVersion);
  return guarded(*runtime.api, [&] {
    static Registrations* const made = registrations = new Registrations;
    made->add(runtime, options);
  });
}
