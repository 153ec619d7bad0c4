// The API tables of the ONNX Runtime that loaded this library, and what is said where it is too old.
#ifndef ONNX_ROIALIGN_ORT_RUNTIME_H_
#define ONNX_ROIALIGN_ORT_RUNTIME_H_

#include <cstdint>

#include "ort/abi.h"

namespace roialign {

struct Runtime {
  const ort_abi::OrtApi* api;
  const ort_abi::OrtApi* newer;  // the table of kNewerApiVersion; null where the runtime is older
};

// Returns the tables. api is null where the runtime is older than kApiVersion.
Runtime runtime_of(const ort_abi::OrtApiBase& base);

// Returns the error that what needs ONNX Runtime 1.version or newer.
ort_abi::OrtStatus* too_old(const ort_abi::OrtApiBase& base, const char* what, uint32_t version);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_RUNTIME_H_
