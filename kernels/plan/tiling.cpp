// Which RoIs of an image are pooled from a tile, how the tile lies, and which lines of a plane RoIs touch.
#include "plan/tiling.h"

#include <algorithm>
#include <cstring>

namespace roialign {
namespace {

// A tile is to stay in the second-level cache, or not far from it.
constexpr int64_t kTileBytes = int64_t{1} << 20;
// Pooled bins are kept until a RoI has all of them: 64 KB at the most.
constexpr int64_t kMostBins = 1024;
// Larger maps get no tile and nothing of them is fetched ahead: what is touched is noted in a byte a unit.
constexpr int64_t kMostUnits = int64_t{1} << 19;

int64_t blocks_of(const TileSizes& sizes) { return (sizes.width + kUnit - 1) / kUnit; }

template <class S>
double cost_of_tile(const TileSizes& sizes, int32_t lanes, const RoiPlan<S>& plan) {
  return sizes.cost(lanes, plan.rows.tap_count, plan.columns.tap_count, plan.touched_count);
}
constexpr double kTurnCost = 1.5;  // of one unit

// Nanoseconds to note what is touched, whatever the channels.
double cost_of_notes(const TileSizes& sizes) {
  return 500 + 0.2 * static_cast<double>(sizes.height * blocks_of(sizes));
}

int64_t most_rows(const TileSizes& sizes, int32_t lanes) {
  return kTileBytes / (blocks_of(sizes) * kUnit * lanes * sizes.bytes);
}

// A row is overwritten when one as many rows below it as the tile has is turned: so many let the RoIs that are asked
// for each find its own.
template <class S, class Asked>
int32_t rows_of(const RoiPlan<S>* plans, size_t count, const Asked& asked) {
  int32_t last_turned = -1, rows = 0;
  for (size_t r = 0; r < count; ++r) {
    if (!asked(plans[r])) continue;
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

bool TileSizes::fit() const {
  return channels >= lanes && bins() <= kMostBins && height * blocks_of(*this) <= kMostUnits;
}

double TileSizes::cost(int32_t tile_lanes, int32_t row_taps, int32_t column_taps, int32_t touched) const {
  const double down = static_cast<double>(row_taps) * touched;
  const double across = static_cast<double>(column_taps) * static_cast<double>(output_height);
  return 64.0 / tile_lanes + pixel_cost * (down + across) + 0.2 * static_cast<double>(bins());
}

template <class S>
std::vector<TileUnit> touched_units(const TileSizes& sizes, const RoiPlan<S>* plans, size_t count, Way way) {
  const int64_t blocks = blocks_of(sizes);
  std::vector<TileUnit> units;
  double cost = 0;
  for (size_t r = 0; r < count; ++r) cost += plans[r].way == way ? plans[r].cost : 0;
  const bool worth = cost * static_cast<double>(sizes.channels) > 4 * cost_of_notes(sizes);
  if (!worth || sizes.height * blocks > kMostUnits) return units;
  std::vector<uint8_t> touched(static_cast<size_t>(sizes.height * blocks));
  std::vector<int32_t> columns;  // of the RoI, in units
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
  // Three quarters of a tile's most: 28x28 bins of large RoIs took up to 1.2 times as long with all of it.
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
  const bool worth = !tiling.units.empty() && saved > kTurnCost * static_cast<double>(tiling.units.size());
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
