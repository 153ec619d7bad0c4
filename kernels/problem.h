// One RoiAlign call as the kernels see it: attributes, arrays, the checks at the door and the one entry behind it.
#ifndef ONNX_ROIALIGN_PROBLEM_H_
#define ONNX_ROIALIGN_PROBLEM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace roialign {

enum class ElementType : int32_t { kFloat32 = 1, kFloat16 = 10, kFloat64 = 11, kBFloat16 = 16 };
constexpr ElementType kElementTypes[] = {ElementType::kFloat32, ElementType::kFloat64, ElementType::kFloat16,
                                         ElementType::kBFloat16};

// Everything in which RoIAligns differ; onnx_roialign/definition/semantics.py tells what each field means.
struct Semantics {
  double offset;
  double min_size;  // -infinity: none
  double start_shift;
  double end_shift;
  double max_start;  // -infinity: none
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
  ElementType rois_type;  // rounded once to the type that coordinates are computed in
  const void* X;
  const void* rois;
  const int64_t* batch_indices;
  void* Y;
  int64_t N, C, H, W, num_rois;
  // Which rows of rois, batch_indices and Y the RoIs are, num_rois of them; null: the first ones, in their order.
  const int64_t* rows = nullptr;

  int64_t row(int64_t i) const { return rows == nullptr ? i : rows[i]; }
};

// Of Y.
inline std::array<int64_t, 4> pooled_shape(const Attributes& attributes, const Arrays& arrays) {
  return {arrays.num_rois, arrays.C, attributes.output_height, attributes.output_width};
}

// Of channels or RoIs: first to last - 1.
struct Range {
  int64_t first;
  int64_t last;
};

// Runs task(user, i) for every i in [0, count), on any threads, and returns when all are done.
struct Workers {
  void (*parallel_for)(void* context, void (*task)(void* user, size_t i), size_t count, void* user);
  void* context;
  int threads;  // how many run at once: the work is cut for that many
};

struct Isa;  // one instruction set's kernels: dispatch.h

// More do not help, and each costs memory for its stack.
constexpr int64_t kMaxThreads = 1024;

// The checks at the door, in the order in which they are made; onnx_roialign/definition/attributes.py makes the same
// ones in the same order and words. Each returns an empty text, or "<input> <rule>, got <value> [at <where>]".
std::string check_attributes(const Attributes& attributes);
std::string check_threads(int64_t threads);
// The types themselves, and whether every number is finite in the type in which coordinates of it are computed.
std::string check_types(const Attributes& attributes, ElementType type, ElementType rois_type);
std::string check_sizes(const Attributes& attributes, const Arrays& arrays);
// Of batch_indices and rois; the checks before must have passed.
std::string check_values(const Attributes& attributes, const Arrays& arrays);

// A number and a text as messages show them; a long text is cut, and one line remains one.
std::string shown(double value);
std::string shown(const char* text);

// Computes arrays.Y; the checks must have passed. Throws std::bad_alloc, and what a worker cannot help.
void roi_align(const Attributes& attributes, const Arrays& arrays, const Isa& isa, const Workers& workers);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_PROBLEM_H_
