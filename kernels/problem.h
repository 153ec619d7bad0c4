// Describes one RoiAlign call inside the library: its attributes and arrays, the checks of both, and the function that
// computes it.
#ifndef ONNX_ROIALIGN_PROBLEM_H_
#define ONNX_ROIALIGN_PROBLEM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

namespace roialign {

enum class ElementType : int32_t { kFloat32 = 1, kFloat16 = 10, kFloat64 = 11, kBFloat16 = 16 };
constexpr ElementType kElementTypes[] = {ElementType::kFloat32, ElementType::kFloat64, ElementType::kFloat16,
                                         ElementType::kBFloat16};

// Returns the bytes of an element.
inline size_t size_of(ElementType type) {
  if (type == ElementType::kFloat64) return sizeof(double);
  return type == ElementType::kFloat32 ? sizeof(float) : sizeof(uint16_t);
}

// Everything in which RoIAligns differ; onnx_roialign/definition/semantics.py defines each field.
struct Semantics {
  double offset;
  double min_size;  // -infinity where there is none
  double start_shift;
  double end_shift;
  double max_start;  // -infinity where there is none
  bool adaptive_floor;
  bool empty_nan;
  bool max_samples;
  bool border_exclusive;
};

struct Attributes {
  int64_t output_height;
  int64_t output_width;
  int64_t sampling_ratio;
  double spatial_scale;
  bool mode_max;
  Semantics semantics;
};

struct Arrays {
  ElementType type;       // of X and Y
  ElementType rois_type;  // of rois, which are rounded once to the type that coordinates are computed in
  const void* X;
  const void* rois;
  const int64_t* batch_indices;
  void* Y;
  int64_t N, C, H, W, num_rois;
  // Which rows of rois, batch_indices and Y the RoIs are, num_rois of them; null: the first ones, in their order.
  const int64_t* rows = nullptr;

  int64_t row(int64_t i) const { return rows == nullptr ? i : rows[i]; }
};

// The shape of Y.
inline std::array<int64_t, 4> pooled_shape(const Attributes& attributes, const Arrays& arrays) {
  return {arrays.num_rois, arrays.C, attributes.output_height, attributes.output_width};
}

// A range of channels or of RoIs: first to last - 1.
struct Range {
  int64_t first;
  int64_t last;
};

// The threads that a call may use.
struct Workers {
  // Runs task(user, i) for every i in [0, count) on any threads, and returns when all tasks have ended.
  void (*parallel_for)(void* context, void (*task)(void* user, size_t i), size_t count, void* user);
  void* context;
  int threads;  // how many run at once; the work is cut for that many
};

struct Isa;  // the kernels of one instruction set, see pool/pool.h

// A call uses at most this many threads. Far fewer bring all the gain, and each costs memory for its stack.
constexpr int64_t kMaxThreads = 1024;

// An array has at most this many elements, so that its size in bytes fits in int64_t.
constexpr int64_t kMostElements = std::numeric_limits<int64_t>::max() / 8;

// The checks of a call, in the order in which they are made. onnx_roialign/definition/ makes the same checks in the
// same order and words. Each returns an empty text, or "<input> <rule>, got <value> [at <where>]".
std::string check_attributes(const Attributes& attributes);
std::string check_threads(int64_t threads);
// Checks both types, and that every number is finite in the type in which coordinates are computed.
std::string check_types(const Attributes& attributes, ElementType type, ElementType rois_type);
std::string check_sizes(const Attributes& attributes, const Arrays& arrays);
// Checks the values of batch_indices and rois; all checks above must have passed.
std::string check_values(const Attributes& attributes, const Arrays& arrays);

// Computes arrays.Y; all checks above must have passed. Throws std::bad_alloc, and whatever workers.parallel_for
// throws.
void roi_align(const Attributes& attributes, const Arrays& arrays, const Isa& isa, const Workers& workers);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_PROBLEM_H_
