// Turns errors into exceptions on our side of the boundary to ONNX Runtime, and into OrtStatus on the other side.
#ifndef ONNX_ROIALIGN_ORT_STATUS_H_
#define ONNX_ROIALIGN_ORT_STATUS_H_

#include <utility>

#include "guard.h"
#include "ort/abi.h"

namespace roialign {

// An OrtStatus that is thrown to the boundary.
class OrtFailure {
 public:
  explicit OrtFailure(ort_abi::OrtStatus* status) : status_(status) {}
  ort_abi::OrtStatus* status() const { return status_; }

 private:
  ort_abi::OrtStatus* status_;  // owned by whoever catches the failure, which is guarded() below
};

// Throws the error that a function of the API returned.
inline void require_ok(ort_abi::OrtStatus* status) {
  if (status != nullptr) throw OrtFailure(status);
}

// Returns whether a function of the API succeeded, and drops its error.
inline bool succeeded(const ort_abi::OrtApi& api, ort_abi::OrtStatus* status) {
  if (status == nullptr) return true;
  api.ReleaseStatus(status);
  return false;
}

// Runs body and returns what it threw as a status.
template <typename Body>
ort_abi::OrtStatus* guarded(const ort_abi::OrtApi& api, Body&& body) noexcept {
  const auto run = [&]() -> ort_abi::OrtStatus* {
    try {
      std::forward<Body>(body)();
      return nullptr;
    } catch (const OrtFailure& failure) {
      return failure.status();
    }
  };
  return guarded(run, [&](Failure failure, const char* text) {
    return api.CreateStatus(failure == Failure::kOther ? ort_abi::ORT_FAIL : ort_abi::ORT_INVALID_ARGUMENT, text);
  });
}

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_STATUS_H_
