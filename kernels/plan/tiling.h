// Decides which RoIs of an image are pooled from a tile, and how the tile lies; finds the units that RoIs touch.
#ifndef ONNX_ROIALIGN_PLAN_TILING_H_
#define ONNX_ROIALIGN_PLAN_TILING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan/plan.h"

namespace roialign {

struct Arrays;
struct Attributes;
struct VectorCosts;

// The sizes that decide how a tile lies.
struct TileSizes {
  int64_t height;  // of the map, as the next two
  int64_t width;
  int64_t channels;
  int64_t output_height;
  int64_t output_width;
  int32_t lanes;       // channels of a turned pixel
  int32_t wide_lanes;  // channels of a turned pixel where the tile has room for so many
  int32_t bytes;       // size of the arithmetic's type
  double pixel_cost;   // VectorCosts::tile_pixel

  int64_t bins() const { return output_height * output_width; }
  // Returns whether any RoI can be pooled from a tile.
  bool fit() const;
  // Returns the nanoseconds per plane, comparable with RoiPlan::cost, that a RoI with so many taps along each axis and
  // so many touched columns takes from a tile. Turning is not included.
  double cost(int32_t tile_lanes, int32_t row_taps, int32_t column_taps, int32_t touched) const;
};

// Returns the sizes of a call; bytes is the size of the arithmetic's type.
TileSizes tile_sizes(const Attributes& attributes, const Arrays& arrays, const VectorCosts& costs, int32_t bytes);

// How a tile lies, and the units that are turned into it.
struct Tiling {
  std::vector<TileUnit> units;
  int32_t lanes = 0;
  int32_t rows = 0;  // 0 means that no RoI is pooled from a tile
  int32_t first_column = 0;
  int32_t columns = 0;
};

// Returns the units that RoIs of that way touch, row by row, or none where noting them costs more than it can save.
template <class S>
std::vector<TileUnit> touched_units(const TileSizes& sizes, const RoiPlan<S>* plans, size_t count, Way way);

// Takes the plans of one image's RoIs, in the order in which they are pooled, and sets the way of those to kTile that
// are pooled more quickly from a tile.
template <class S>
Tiling lay_tile(const TileSizes& sizes, RoiPlan<S>* plans, size_t count);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_PLAN_TILING_H_
