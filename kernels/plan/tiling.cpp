// Decides which RoIs of an image are pooled from a tile, and how the tile lies; finds the units that RoIs touch.
#include "plan/tiling.h"

#include <algorithm>
#include <cstring>

#include "plan/costs.h"
#include "problem.h"

namespace roialign {
namespace {

// A tile takes at most this much, so that it stays in the second-level cache (1 MB on a Zen 4) or close to it.
constexpr int64_t kTileBytes = int64_t{1} << 20;
// A RoI with more bins gets no tile: its bins are kept until all are pooled, 64 KB at most (16 channels of float32).
constexpr int64_t kMostBins = 1024;
// A map with more units gets no tile, and nothing of it is fetched ahead: notes take a byte for each unit, so 512 KB at
// most.
constexpr int64_t kMostUnits = int64_t{1} << 19;
// With more wide vectors of channels than this, it matters little that the channels leave the last one partly empty.
// Unmeasured.
constexpr int64_t kManyVectors = 4;

int64_t blocks_of(const TileSizes& sizes) { return (sizes.width + kUnit - 1) / kUnit; }

template <class S>
double cost_of_tile(const TileSizes& sizes, int32_t lanes, const RoiPlan<S>& plan) {
  return sizes.cost(lanes, plan.rows.tap_count, plan.columns.tap_count, plan.touched_count);
}

// Returns the nanoseconds that it takes to note what an image's RoIs touch, once for all channels.
double cost_of_notes(const TileSizes& sizes) {
  return kNotes + kNotedUnit * static_cast<double>(sizes.height * blocks_of(sizes));
}

// Returns how many rows of the map a tile can hold.
int64_t most_rows(const TileSizes& sizes, int32_t lanes) {
  return kTileBytes / (blocks_of(sizes) * kUnit * lanes * sizes.bytes);
}

// Returns how many rows a tile needs for the selected RoIs. Turning a row overwrites the one that lies as
// many rows above it as the tile has, and no RoI may lose a row before it is pooled.
template <class S, class Selected>
int32_t rows_of(const RoiPlan<S>* plans, size_t count, const Selected& selected) {
  int32_t last_turned = -1, rows = 0;
  for (size_t r = 0; r < count; ++r) {
    if (!selected(plans[r])) continue;
    last_turned = std::max(last_turned, plans[r].last_row);
    rows = std::max(rows, last_turned - plans[r].first_row + 1);
  }
  return rows;
}

template <class S>
bool touches(const RoiPlan<S>& plan) {
  return plan.way != Way::kConstant && plan.rows.tap_count > 0;
}

}  // namespace

TileSizes tile_sizes(const Attributes& attributes, const Arrays& arrays, const VectorCosts& costs, int32_t bytes) {
  // Where the channels would leave wide vectors partly empty, the narrower ones are used: 8 channels took 1.3 to 2
  // times as long in vectors that they did not fill.
  const bool wide = arrays.C % costs.tile_lanes == 0 || arrays.C > kManyVectors * costs.tile_lanes;
  TileSizes sizes;
  sizes.height = arrays.H;
  sizes.width = arrays.W;
  sizes.channels = arrays.C;
  sizes.output_height = attributes.output_height;
  sizes.output_width = attributes.output_width;
  sizes.lanes = costs.lanes;
  sizes.wide_lanes = wide ? costs.tile_lanes : costs.lanes;
  sizes.bytes = bytes;
  sizes.pixel_cost = costs.tile_pixel;
  return sizes;
}

bool TileSizes::fit() const {
  return channels >= lanes && bins() <= kMostBins && height * blocks_of(*this) <= kMostUnits;
}

double TileSizes::cost(int32_t tile_lanes, int32_t row_taps, int32_t column_taps, int32_t touched) const {
  const double down = static_cast<double>(row_taps) * touched;
  const double across = static_cast<double>(column_taps) * static_cast<double>(output_height);
  return kTileVectorOfChannels / tile_lanes + pixel_cost * (down + across) + kTileBin * static_cast<double>(bins());
}

template <class S>
std::vector<TileUnit> touched_units(const TileSizes& sizes, const RoiPlan<S>* plans, size_t count, Way way) {
  const int64_t blocks = blocks_of(sizes);
  std::vector<TileUnit> units;
  double cost = 0;
  for (size_t r = 0; r < count; ++r) cost += plans[r].way == way ? plans[r].cost : 0;
  const bool worth = cost * static_cast<double>(sizes.channels) > kPoolingPerNotes * cost_of_notes(sizes);
  if (!worth || sizes.height * blocks > kMostUnits) return units;
  std::vector<uint8_t> touched(static_cast<size_t>(sizes.height * blocks));
  std::vector<int32_t> columns;  // the RoI's touched columns, counted in units
  for (size_t r = 0; r < count; ++r) {
    const RoiPlan<S>& plan = plans[r];
    if (plan.way != way) continue;
    columns.clear();
    for (int32_t k = 0; k < plan.touched_count; ++k) {
      const int32_t column = static_cast<int32_t>((plan.window.first + plan.touched[k]) / kUnit);
      if (columns.empty() || columns.back() != column) columns.push_back(column);
    }
    int32_t row = -1;
    for (int32_t t = 0; t < plan.rows.tap_count; ++t) {
      if (plan.rows.taps[t].position == row) continue;
      row = plan.rows.taps[t].position;
      for (const int32_t column : columns) touched[static_cast<size_t>(row * blocks + column)] = 1;
    }
  }
  const uint8_t* const marks = touched.data();
  const auto next = [&](const uint8_t* from) {
    return static_cast<const uint8_t*>(std::memchr(from, 1, static_cast<size_t>(marks + touched.size() - from)));
  };
  for (const uint8_t* at = next(marks); at != nullptr; at = next(at + 1)) {
    units.push_back({static_cast<int32_t>((at - marks) / blocks), static_cast<int32_t>((at - marks) % blocks * kUnit)});
  }
  return units;
}

template <class S>
Tiling lay_tile(const TileSizes& sizes, RoiPlan<S>* plans, size_t count) {
  Tiling tiling;
  // Pairs of vectors may fill three quarters of the tile's room: with all of it, 28 x 28 bins of large RoIs took up
  // to 1.2 times as long.
  const bool wide = 4 * rows_of(plans, count, touches<S>) <= 3 * most_rows(sizes, sizes.wide_lanes);
  tiling.lanes = wide ? sizes.wide_lanes : sizes.lanes;
  const int64_t most = most_rows(sizes, tiling.lanes);
  std::vector<Way> before(count);
  double saved = 0;
  for (size_t r = 0; r < count; ++r) {
    RoiPlan<S>& plan = plans[r];
    before[r] = plan.way;
    if (!touches(plan) || plan.last_row - plan.first_row >= most) continue;
    saved += plan.cost - cost_of_tile(sizes, tiling.lanes, plan);
    plan.way = Way::kTile;
  }
  if (saved * static_cast<double>(sizes.channels) > cost_of_notes(sizes))
    tiling.units = touched_units(sizes, plans, count, Way::kTile);
  tiling.rows = rows_of(plans, count, [](const RoiPlan<S>& plan) { return plan.way == Way::kTile; });
  const bool worth = !tiling.units.empty() && saved > kTurnedUnit * static_cast<double>(tiling.units.size());
  if (!worth || tiling.rows > most) {
    for (size_t r = 0; r < count; ++r) plans[r].way = before[r];
    return {};
  }
  const auto [left, right] =
      std::minmax_element(tiling.units.begin(), tiling.units.end(),
                          [](const TileUnit& a, const TileUnit& b) { return a.column < b.column; });
  tiling.first_column = left->column;
  tiling.columns = right->column + kUnit - left->column;
  return tiling;
}

template std::vector<TileUnit> touched_units(const TileSizes&, const RoiPlan<float>*, size_t, Way);
template std::vector<TileUnit> touched_units(const TileSizes&, const RoiPlan<double>*, size_t, Way);
template Tiling lay_tile(const TileSizes&, RoiPlan<float>*, size_t);
template Tiling lay_tile(const TileSizes&, RoiPlan<double>*, size_t);

}  // namespace roialign
