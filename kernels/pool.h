// The contract between the driver and an instruction set: one pooling function per element type.
#ifndef ONNX_ROIALIGN_POOL_H_
#define ONNX_ROIALIGN_POOL_H_

#include <cstddef>
#include <cstdint>

#include "geometry.h"
#include "plan.h"

namespace roialign {

enum class Pooling { kMean, kMaxCorners, kMaxSamples };

// Bytes of a plane, from its first, that some RoI touches.
struct Run {
  int64_t first;
  int64_t bytes;
};

// Pools the channels [first_channel, last_channel) of some RoIs. S is the arithmetic's type; X and Y hold T.
template <class S>
struct PoolTask {
  Pooling pooling;
  const RoiPlan<S>* plans;
  size_t plan_count;
  const void* X;
  void* Y;
  int64_t x_elements;  // of the whole X: no vector load may pass its end
  int64_t channels;
  int64_t plane;  // H * W
  int64_t output_height;
  int64_t output_width;
  int64_t first_channel;
  int64_t last_channel;
  int64_t block;    // channels whose touched bytes stay in the cache together, and the next block's beside them
  const Run* runs;  // what to fetch of each plane of the next block while this one is pooled
  size_t run_count;
  int64_t lines;  // cache lines in runs
  S* scratch;     // Driver::scratch_size() values
};

struct Isa {
  const char* name;
  bool (*supported)();
  Shape shape32;
  Shape shape64;
  void (*pool_float32)(const PoolTask<float>&);
  void (*pool_float16)(const PoolTask<float>&);
  void (*pool_bfloat16)(const PoolTask<float>&);
  void (*pool_float64)(const PoolTask<double>&);
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_POOL_H_
