// The contract between the driver and an instruction set: one pooling function per element type.
#ifndef ONNX_ROIALIGN_POOL_H_
#define ONNX_ROIALIGN_POOL_H_

#include <cstddef>
#include <cstdint>

#include "plan/geometry.h"
#include "plan/plan.h"

namespace roialign {

enum class Pooling { kMean, kMaxCorners, kMaxSamples };

// So many rows of bins are taken down before they are taken across together.
constexpr int64_t kTileRows = 4;

// The tile of a group of RoIs: row r of the map lies at r % rows, each with that many columns, in vectors of channels.
struct TileLayout {
  const TileUnit* units;  // what is turned, row by row
  size_t unit_count;
  int32_t rows;  // 0: no RoI is pooled from a tile
  int32_t first_column;
  int32_t columns;
  int32_t first_row;  // that a RoI of this task touches
};

// Pools the channels [first_channel, last_channel) of some RoIs. S is the arithmetic's type; X and Y hold T.
template <class S>
struct PoolTask {
  Pooling pooling;
  S least;          // max: no bin is less; -infinity: no bound
  S least_dropped;  // max: nor is a bin less of which some sample lies past the cut, and counts as 0
  const RoiPlan<S>* plans;
  size_t plan_count;
  // Set for each plan whose RoI touches an infinite or NaN feature, and now and then for another: pool_special() is to
  // pool it again.
  bool* special;
  const void* X;
  void* Y;
  int64_t x_elements;  // of the whole X: no vector load may pass its end
  int64_t channels;
  int64_t plane;  // H * W
  int64_t width;  // W
  int64_t output_height;
  int64_t output_width;
  int64_t first_channel;
  int64_t last_channel;
  bool stream;    // Y is too large for the caches: it is written past them
  int64_t block;  // for Way::kColumns: channels whose touched lines stay in the cache beside the next block's
  const TileUnit* units = nullptr;  // and those lines
  size_t unit_count = 0;
  int64_t most_columns = 0;  // of a plan's window
  TileLayout tile = {};      // for Way::kTile
  int tile_lanes = 0;        // and its channels: one of Shape's two
  S* scratch = nullptr;      // Driver::scratch_size() values, from the beginning of a cache line
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
