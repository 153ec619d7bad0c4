// Registers the ops with ONNX Runtime, which looks up the symbol RegisterCustomOps.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "isa/cpu_features.h"
#include "isa/dispatch.h"
#include "ort/ops.h"
#include "ort/status.h"
#include "shown.h"

#if defined(_WIN32)
#define ROIALIGN_EXPORT __declspec(dllexport)
#else
#define ROIALIGN_EXPORT __attribute__((visibility("default")))
#endif

namespace roialign {
namespace {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

constexpr char kOpsetEntry[] = "onnx_roialign.opset";
constexpr char kIsaEntry[] = "onnx_roialign.isa";
constexpr char kThreadsEntry[] = "onnx_roialign.threads";
constexpr char kMarkerEntry[] = "onnx_roialign.registration";

// A domain of ops. ONNX Runtime keeps pointers to both.
class Domain {
 public:
  Domain(const OrtApi& api, const char* name, const Settings& settings, std::vector<Op> ops)
      : api_(api), settings_(settings), ops_(std::move(ops)) {
    for (Op& op : ops_) op.settings = settings;
    require_ok(api.CreateCustomOpDomain(name, &domain_));
    for (const Op& op : ops_) {
      if (OrtStatus* status = api.CustomOpDomain_Add(domain_, &op)) {
        api.ReleaseCustomOpDomain(domain_);
        throw OrtFailure(status);
      }
    }
  }
  ~Domain() { api_.ReleaseCustomOpDomain(domain_); }
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  const OrtApi& api() const { return api_; }
  const Settings& settings() const { return settings_; }
  void add_to(OrtSessionOptions* options) const { require_ok(api_.AddCustomOpDomain(options, domain_)); }

 private:
  const OrtApi& api_;
  const Settings settings_;
  std::vector<Op> ops_;
  OrtCustomOpDomain* domain_ = nullptr;
};

std::unique_ptr<Domain> make_private_domain(const Runtime& runtime, const Settings& settings) {
  std::vector<Op> ops;
  for (const ElementType type : kElementTypes) {
    for (const ElementType rois_type : kElementTypes) {
      for (const char* name : kPrivateNames) ops.push_back(make_any_roi_align(runtime, name, type, rois_type));
      ops.push_back(make_multiscale_roi_align(runtime, type, rois_type));
      ops.push_back(make_paste_masks(runtime, type, rois_type));
    }
  }
  for (const auto type : kQuantizedTypes) ops.push_back(make_qlinear_roi_align(runtime, type));
  return std::make_unique<Domain>(*runtime.api, "onnx_roialign", settings, std::move(ops));
}

// What is registered on one session options object: ONNX's RoiAlign at one opset.
class Registration {
 public:
  Registration(const Runtime& runtime, const OrtSessionOptions* options, int64_t opset, const Settings& settings)
      : options_(options), opset_(opset), settings_(settings) {
    std::vector<Op> ops;
    for (const ElementType type : kElementTypes) ops.push_back(make_roi_align(runtime, opset_, type));
    domain_ = std::make_unique<Domain>(*runtime.api, "", settings, std::move(ops));
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  void add_to(OrtSessionOptions* options) const { domain_->add_to(options); }

  // Returns a text that is unique in the process, so that another copy of this library does not take it for its own.
  std::string marker() const { return std::to_string(reinterpret_cast<uintptr_t>(this)); }

  // The threads stay those of the first registration, as they change no result.
  void require_same(const Settings& settings) const {
    if (settings.isa == settings_.isa) return;
    throw std::invalid_argument(
        "onnx_roialign.isa must not change on options that are registered, got another one; register on new options");
  }

  void set_opset(const OrtSessionOptions* options, int64_t opset) {
    if (opset == opset_) return;
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
  std::unique_ptr<Domain> domain_;
};

// All registrations of this process. ONNX Runtime owns neither a domain nor its ops, and does not report when the
// options and sessions that point to them are gone. So they are kept until the library is unloaded, which ONNX Runtime
// does when the last options and session that loaded it are gone: about 1 kB for each options object, however often it
// is registered.
class Registrations {
 public:
  void add(const Runtime& runtime, OrtSessionOptions* options, int64_t opset, const Settings& settings,
           const std::string& marker) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!marker.empty()) {
      find(marker).require_same(settings);
      find(marker).set_opset(options, opset);
      return;
    }
    kept_.push_back(std::make_unique<Registration>(runtime, options, opset, settings));
    kept_.back()->add_to(options);
    private_domain(runtime, settings).add_to(options);
    require_ok(runtime.api->AddSessionConfigEntry(options, kMarkerEntry, kept_.back()->marker().c_str()));
  }

 private:
  // The private ops depend on no options object, so all options of one ONNX Runtime with equal settings share them.
  const Domain& private_domain(const Runtime& runtime, const Settings& settings) {
    for (const auto& domain : private_) {
      if (&domain->api() == runtime.api && domain->settings() == settings) return *domain;
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

// Returns nothing where the options have no such entry.
std::optional<std::string> config_entry(const OrtApi& api, const OrtSessionOptions* options, const char* key) {
  int present = 0;
  require_ok(api.HasSessionConfigEntry(options, key, &present));
  if (present == 0) return std::nullopt;
  size_t size = 0;
  require_ok(api.GetSessionConfigEntry(options, key, nullptr, &size));
  std::string value(size, '\0');
  require_ok(api.GetSessionConfigEntry(options, key, value.data(), &size));
  value.resize(std::strlen(value.c_str()));
  return value;
}

// Reads an integer; one beyond the range of int64 becomes the nearest that it has.
int64_t integer_of(const char* key, const std::string& text) {
  const size_t sign = text.rfind('-', 0) == 0 ? 1 : 0;
  if (text.size() == sign || text.find_first_not_of("0123456789", sign) != std::string::npos) {
    throw std::invalid_argument(std::string(key) + " must be an integer, got " + shown(text));
  }
  return std::strtoll(text.c_str(), nullptr, 10);
}

// Returns 0 where there is no such entry.
int64_t read_opset(const OrtApi& api, const OrtSessionOptions* options) {
  const std::optional<std::string> text = config_entry(api, options, kOpsetEntry);
  if (!text) return 0;
  const int64_t opset = integer_of(kOpsetEntry, *text);
  if (opset >= 1) return opset;
  throw std::invalid_argument(std::string(kOpsetEntry) + " must be at least 1, got " + std::to_string(opset));
}

// Where no entry says how many threads a session has, the work is cut for at most this many. More gain little, and
// cutting for many more threads than there are makes a session of one thread take three times as long (64 channels).
constexpr int kMostThreadsAssumed = 8;

int read_threads(const OrtApi& api, const OrtSessionOptions* options) {
  const std::optional<std::string> text = config_entry(api, options, kThreadsEntry);
  if (!text) return std::min(usable_cores(), kMostThreadsAssumed);
  const int64_t threads = integer_of(kThreadsEntry, *text);
  const std::string problem = check_threads(threads);
  if (!problem.empty()) throw std::invalid_argument("onnx_roialign." + problem);
  return threads == 0 ? std::min(usable_cores(), static_cast<int>(kMaxThreads)) : static_cast<int>(threads);
}

Settings read_settings(const OrtApi& api, const OrtSessionOptions* options) {
  const std::optional<std::string> isa = config_entry(api, options, kIsaEntry);
  return {isa ? &choose_isa(isa->c_str(), kIsaEntry) : nullptr, read_threads(api, options)};
}

// Returns null where the runtime is too old. The version is read first, as GetApi writes a complaint to stderr where it
// does not have the version it is asked for.
const OrtApi* shape_api(const OrtApiBase& base) {
  unsigned major = 0, minor = 0;
  if (std::sscanf(base.GetVersionString(), "%u.%u", &major, &minor) != 2) return nullptr;
  return major > 1 || minor >= kShapeReferenceVersion ? base.GetApi(kShapeReferenceVersion) : nullptr;
}

OrtStatus* too_old(const OrtApiBase& base) {
  const OrtApi* api = base.GetApi(1);
  if (api == nullptr) return nullptr;  // such a runtime never existed
  char text[128];
  std::snprintf(text, sizeof text, "onnx_roialign needs ONNX Runtime 1.%u or newer, got %s", kApiVersion,
                base.GetVersionString());
  return api->CreateStatus(ORT_NOT_IMPLEMENTED, text);
}

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
  const ort_abi::OrtApi* api = base->GetApi(ort_abi::kApiVersion);
  if (api == nullptr) return too_old(*base);
  return guarded(*api, [&] {
    static Registrations* const made = registrations = new Registrations;
    made->add({api, shape_api(*base)}, options, read_opset(*api, options), read_settings(*api, options),
              config_entry(*api, options, kMarkerEntry).value_or(""));
  });
}
