// The API tables of the ONNX Runtime that loaded this library, and what is said where it is too old.
#include "ort/runtime.h"

#include <cstdio>

namespace roialign {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

namespace {

// Returns null where the runtime is too old. The version is read first, as GetApi writes a complaint to stderr where it
// does not have the version it is asked for.
const OrtApi* newer_api(const OrtApiBase& base) {
  unsigned major = 0, minor = 0;
  if (std::sscanf(base.GetVersionString(), "%u.%u", &major, &minor) != 2) return nullptr;
  return major > 1 || minor >= kNewerApiVersion ? base.GetApi(kNewerApiVersion) : nullptr;
}

}  // namespace

Runtime runtime_of(const OrtApiBase& base) { return {base.GetApi(kApiVersion), newer_api(base)}; }

OrtStatus* too_old(const OrtApiBase& base, const char* what, uint32_t version) {
  const OrtApi* api = base.GetApi(1);
  if (api == nullptr) return nullptr;  // such a runtime never existed
  char text[128];
  std::snprintf(text, sizeof text, "%s needs ONNX Runtime 1.%u or newer, got %s", what, version,
                base.GetVersionString());
  return api->CreateStatus(ORT_NOT_IMPLEMENTED, text);
}

}  // namespace roialign
