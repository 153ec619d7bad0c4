// RoiAlign as an ONNX Runtime custom op: attributes, checks, shape inference and the work split.
#ifndef ONNX_ROIALIGN_ORT_OPS_H_
#define ONNX_ROIALIGN_ORT_OPS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "ort_abi.h"
#include "problem.h"

namespace roialign {

// The op for one element type. ONNX Runtime keeps a pointer to it for as long as a session that uses it lives.
struct RoiAlignOp : ort_abi::OrtCustomOp {
  const ort_abi::OrtApi* api;
  // The model's opset, 0 where it is unknown: ONNX Runtime merges all opsets of a custom op into one schema, so that a
  // kernel cannot ask it. Each kernel copies the number when it is created.
  const std::atomic<int64_t>* opset;
  ElementType type;
};

constexpr ElementType kElementTypes[] = {ElementType::kFloat32, ElementType::kFloat64, ElementType::kFloat16,
                                         ElementType::kBFloat16};
constexpr size_t kElementTypeCount = sizeof(kElementTypes) / sizeof(kElementTypes[0]);

RoiAlignOp make_op(const ort_abi::OrtApi& api, const std::atomic<int64_t>& opset, ElementType type);

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

#endif  // ONNX_ROIALIGN_ORT_OPS_H_
