// Declares what an instruction set provides, its costs and a pooling function for each element type, and the task that
// such a function takes.
#ifndef ONNX_ROIALIGN_POOL_POOL_H_
#define ONNX_ROIALIGN_POOL_POOL_H_

#include <cstddef>
#include <cstdint>

#include "plan/geometry.h"
#include "plan/plan.h"

namespace roialign {

enum class Pooling { kMean, kMaxCorners, kMaxSamples };

// From a tile, this many rows of bins are swept down before they are taken across together.
constexpr int64_t kTileRows = 4;

// How the tile of a group of RoIs lies. Row r of the map is row r % rows of the tile; each pixel is a vector of
// channels.
struct TileLayout {
  const TileUnit* units;  // the units that are turned, row by row
  size_t unit_count;
  int32_t rows;  // 0 means that no RoI is pooled from a tile
  int32_t first_column;
  int32_t columns;
  int32_t first_row;  // the first row that a RoI of this task touches
};

// A task: pool the channels [first_channel, last_channel) of some RoIs. S is the arithmetic's type, float or double.
template <class S>
struct PoolTask {
  Pooling pooling;
  S least;          // mode max: no bin is less than this; -infinity where there is no bound
  S least_dropped;  // mode max: the same for a bin of which some sample lies outside the map and counts as 0
  const RoiPlan<S>* plans;
  size_t plan_count;
  // One for each plan. Set where the RoI touches an infinite or NaN feature, and sometimes where it does not:
  // pool_special() must pool that RoI again.
  bool* special;
  const void* X;
  void* Y;
  int64_t x_elements;  // the size of X: no vector load may pass its end
  int64_t channels;
  int64_t plane;  // H * W
  int64_t width;  // W
  int64_t output_height;
  int64_t output_width;
  int64_t first_channel;
  int64_t last_channel;
  bool stream;  // Y is too large for the caches and is written past them
  // For Way::kColumns: channels are pooled in blocks of so many, whose touched lines stay in the cache beside those of
  // the next block.
  int64_t channel_block;
  const TileUnit* units = nullptr;  // for Way::kColumns: the units that are touched, to fetch them ahead
  size_t unit_count = 0;
  int64_t most_columns = 0;  // the most columns of a plan's window
  TileLayout tile = {};      // for Way::kTile
  int tile_lanes = 0;        // for Way::kTile: channels of a pixel, VectorCosts::lanes or tile_lanes
  S* scratch = nullptr;      // Driver::scratch_size() values, from the beginning of a cache line
};

// One instruction set: what its vectors cost, and its pooling functions.
struct Isa {
  const char* name;
  bool (*supported)();
  VectorCosts costs32;  // for float32 and the 16-bit types, which are computed in float32
  VectorCosts costs64;  // for float64
  void (*pool_float32)(const PoolTask<float>&);
  void (*pool_float16)(const PoolTask<float>&);
  void (*pool_bfloat16)(const PoolTask<float>&);
  void (*pool_float64)(const PoolTask<double>&);
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_POOL_POOL_H_
