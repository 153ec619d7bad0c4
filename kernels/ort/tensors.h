// Reads what ONNX Runtime gives an op for a run (input tensors, memory for the output, threads), and infers the
// output's shape before it.
#ifndef ONNX_ROIALIGN_ORT_TENSORS_H_
#define ONNX_ROIALIGN_ORT_TENSORS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "ort/abi.h"
#include "ort/runtime.h"
#include "ort/status.h"
#include "problem.h"

namespace roialign {

// The dimensions of a tensor: in ONNX Runtime's memory, or a copy where it is too old to give a pointer to them.
class Dimensions {
 public:
  Dimensions(const int64_t* sizes, size_t rank) : sizes_(sizes), rank_(rank) {}
  Dimensions(std::unique_ptr<const int64_t[]> copy, size_t rank)
      : copy_(std::move(copy)), sizes_(copy_.get()), rank_(rank) {}

  size_t size() const { return rank_; }
  int64_t operator[](size_t axis) const { return sizes_[axis]; }

 private:
  std::unique_ptr<const int64_t[]> copy_;
  const int64_t* sizes_;
  size_t rank_;
};

struct Tensor {
  Dimensions shape;
  const void* data;
};

Tensor read_input(const Runtime& runtime, const ort_abi::OrtKernelContext* context, size_t index);
// Returns whether the node has an optional input.
bool has_input(const Runtime& runtime, const ort_abi::OrtKernelContext* context, size_t index);

// Allocates output 0.
void* make_output(const ort_abi::OrtApi& api, ort_abi::OrtKernelContext* context, const std::array<int64_t, 4>& shape);

// Returns a shape as NumPy prints it, such as "(2, 5)", "(3,)" or "()".
__attribute__((cold)) std::string shape_text(const Dimensions& shape);

// Returns an empty text, or which input has the wrong rank or count.
std::string check_shapes(const Tensor& X, const Tensor& rois, const Tensor& batch_indices);

// Returns an empty text, or that the input is not a scalar or an array of one element.
std::string check_scalar(const char* name, const Tensor& tensor);

// Collects a run's inputs, whose shapes must have passed check_shapes(). Y is null until make_output() has allocated
// it.
inline Arrays arrays_of(ElementType type, ElementType rois_type, const Tensor& X, const Tensor& rois,
                        const Tensor& batch_indices) {
  Arrays arrays{};
  arrays.type = type;
  arrays.rois_type = rois_type;
  arrays.X = X.data;
  arrays.rois = rois.data;
  arrays.batch_indices = static_cast<const int64_t*>(batch_indices.data);
  arrays.N = X.shape[0];
  arrays.C = X.shape[1];
  arrays.H = X.shape[2];
  arrays.W = X.shape[3];
  arrays.num_rois = rois.shape[0];
  return arrays;
}

// The session's own thread pool. It hands out the tasks one by one (num_batch 0), and runs them in a plain loop where
// the session has one thread.
struct SessionPool {
  const ort_abi::OrtApi& api;
  const ort_abi::OrtKernelContext* context;

  static void parallel_for(void* self, void (*task)(void* user, size_t i), size_t count, void* user) {
    const auto& pool = *static_cast<const SessionPool*>(self);
    require_ok(pool.api.KernelContext_ParallelFor(pool.context, task, count, 0, user));
  }
};

// Sets the type of output 0, which is that of X, and its shape as far as X, rois and the attributes give it.
void infer_pooled_shape(const ort_abi::OrtApi& api, ort_abi::OrtShapeInferContext* context, size_t x_input,
                        size_t rois_input) noexcept;
// The same where input 0 is the masks of PasteMasks, whose image sizes are known only in a run.
void infer_pasted_shape(const ort_abi::OrtApi& api, ort_abi::OrtShapeInferContext* context) noexcept;

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_TENSORS_H_
