// Which RoIs of an image are pooled from a tile, how the tile lies, and which lines of a plane RoIs touch.
#ifndef ONNX_ROIALIGN_TILING_H_
#define ONNX_ROIALIGN_TILING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan/plan.h"

namespace roialign {

// The sizes that a tile follows from.
struct TileSizes {
  int64_t height;  // of the map
  int64_t width;
  int64_t channels;
  int64_t output_height;
  int64_t output_width;
  int32_t lanes;       // channels of a turned pixel
  int32_t wide_lanes;  // or these, where the tile has room
  int32_t bytes;       // of the arithmetic's type
  double pixel_cost;   // Shape::tile_pixel

  int64_t bins() const { return output_height * output_width; }
  // Whether any RoI can be pooled from a tile.
  bool fit() const;
  // Nanoseconds per plane, like RoiPlan::cost and for the same purpose, without the turning. The taps are an axis's,
  // touched: columns.
  double cost(int32_t tile_lanes, int32_t row_taps, int32_t column_taps, int32_t touched) const;
};

struct Tiling {
  std::vector<TileUnit> units;
  int32_t lanes = 0;
  int32_t rows = 0;  // 0: no RoI is pooled from a tile
  int32_t first_column = 0;
  int32_t columns = 0;
};

// The units that RoIs of that way touch, row by row; empty where to note them would cost more than they can save.
template <class S>
std::vector<TileUnit> touched_units(const TileSizes& sizes, const RoiPlan<S>* plans, size_t count, Way way);

// Plans of one image's RoIs, in the order in which they are pooled: gives those the way kTile for which it is quicker.
template <class S>
Tiling lay_tile(const TileSizes& sizes, RoiPlan<S>* plans, size_t count);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_TILING_H_
