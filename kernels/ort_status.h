// Errors between C++ and ONNX Runtime: exceptions on this side of the boundary, OrtStatus on the other.
#ifndef ONNX_ROIALIGN_ORT_STATUS_H_
#define ONNX_ROIALIGN_ORT_STATUS_H_

#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "ort_abi.h"

namespace roialign {

// The ONNX Runtime that loaded this library.
struct Runtime {
  const ort_abi::OrtApi* api;
  bool shows_shapes;  // has kShapeReferenceVersion
};

// An OrtStatus on its way to the boundary.
class OrtFailure {
 public:
  explicit OrtFailure(ort_abi::OrtStatus* status) : status_(status) {}
  ort_abi::OrtStatus* status() const { return status_; }

 private:
  ort_abi::OrtStatus* status_;  // owned by whoever catches the failure: guarded() below
};

inline void check(ort_abi::OrtStatus* status) {
  if (status != nullptr) throw OrtFailure(status);
}

inline void require_none(const std::string& problem, const std::string& node) {
  if (!problem.empty()) throw std::invalid_argument(problem + node);
}

inline bool succeeded(const ort_abi::OrtApi& api, ort_abi::OrtStatus* status) {
  if (status == nullptr) return true;
  api.ReleaseStatus(status);
  return false;
}

// Runs body and answers what it threw as a status: no exception may pass the C boundary.
template <typename Body>
ort_abi::OrtStatus* guarded(const ort_abi::OrtApi& api, Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return nullptr;
  } catch (const OrtFailure& failure) {
    return failure.status();
  } catch (const std::invalid_argument& problem) {
    return api.CreateStatus(ort_abi::ORT_INVALID_ARGUMENT, problem.what());
  } catch (const std::bad_alloc&) {
    return api.CreateStatus(ort_abi::ORT_FAIL, "onnx_roialign: out of memory");
  } catch (const std::exception& problem) {
    return api.CreateStatus(ort_abi::ORT_FAIL, problem.what());
  } catch (...) {
    return api.CreateStatus(ort_abi::ORT_FAIL, "onnx_roialign: unknown error");
  }
}

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_STATUS_H_
