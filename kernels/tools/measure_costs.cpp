// Measures what each way of pooling costs on this machine, one JSON object a line, for fit_costs.py.
//
//   measure_costs MILLISECONDS SHAPES   the time to spend on each measurement, and how many of the shapes below to take
//
// A way is forced by costs that make every other way too expensive, so what is timed is a call as users make it. The
// numbers that its cost depends on (taps, touched columns, units) come from a plan made with the same costs.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "isa/dispatch.h"
#include "memory.h"
#include "plan/geometry.h"
#include "plan/tiling.h"
#include "pool/pool.h"
#include "problem.h"

namespace {

using namespace roialign;  // NOLINT: a program about this namespace

constexpr double kTooExpensive = 1e30;
// A cost is measured as the difference between calls of few and of many channels, so that planning, which is done once
// for all channels, is no part of it. The larger map takes 370 KB of float32 and lies in a second-level cache.
constexpr int64_t kFewChannels = 32, kManyChannels = 64, kHeight = 38, kWidth = 38;

struct CallShape {
  int64_t output;          // bins along each axis
  int64_t sampling_ratio;  // samples along each axis of a bin
  float size;              // pixels of the map along each axis of a RoI
  int64_t rois;            // how many share a tile; so many that the call is not small (kSmallCall of roi_align.cpp)
};

// Few and many bins, dense and sparse samples, small and large RoIs. The first nine span all of that already.
constexpr CallShape kShapes[] = {{1, 1, 1, 128},  {7, 2, 12, 16},  {14, 2, 30, 64}, {7, 1, 30, 128},  {2, 2, 4, 32},
                                 {3, 4, 8, 128},  {7, 2, 30, 16},  {14, 1, 12, 64}, {1, 4, 12, 128},  {2, 1, 30, 64},
                                 {4, 2, 6, 16},   {28, 1, 30, 64}, {5, 3, 20, 128}, {7, 4, 30, 16},   {1, 2, 3, 128},
                                 {7, 1, 7, 16},   {14, 2, 14, 64}, {3, 2, 30, 128}, {10, 2, 20, 64},  {2, 4, 20, 32},
                                 {1, 8, 30, 128}, {7, 3, 20, 128}, {20, 1, 20, 16}, {12, 1, 36, 128}, {4, 4, 36, 16},
                                 {6, 2, 36, 64},  {3, 1, 3, 128}};

VectorCosts forced(VectorCosts costs, const std::string& way) {
  const bool listed = way == "gathered";
  costs.point = way == "points" ? 0 : kTooExpensive;
  costs.columns_plane = way == "columns" || listed ? 0 : kTooExpensive;
  costs.gathered_vector = listed ? 0 : kTooExpensive;
  costs.tile_pixel = way == "tile" ? 0 : kTooExpensive;
  return costs;
}

template <class S>
struct Call {
  Call(const CallShape& shape, int64_t channels)
      : X(static_cast<size_t>(channels * kHeight * kWidth)),
        rois(static_cast<size_t>(shape.rois * 4)),
        batch_indices(static_cast<size_t>(shape.rois)),
        Y(static_cast<size_t>(shape.rois * channels * shape.output * shape.output)) {
    std::minstd_rand random(1);
    const auto uniform = [&](double most) { return static_cast<S>(most * static_cast<double>(random()) / 2147483647); };
    for (S& feature : X) feature = uniform(1);
    for (size_t r = 0; r < rois.size(); r += 4) {
      rois[r] = uniform(kWidth - static_cast<double>(shape.size));
      rois[r + 1] = uniform(kHeight - static_cast<double>(shape.size));
      rois[r + 2] = rois[r] + static_cast<S>(shape.size);
      rois[r + 3] = rois[r + 1] + static_cast<S>(shape.size);
    }
    attributes.output_height = attributes.output_width = shape.output;
    attributes.sampling_ratio = shape.sampling_ratio;
    attributes.spatial_scale = 1;
    attributes.semantics.offset = 0.5;
    attributes.semantics.min_size = attributes.semantics.max_start = -std::numeric_limits<double>::infinity();
    arrays.type = arrays.rois_type = sizeof(S) == 8 ? ElementType::kFloat64 : ElementType::kFloat32;
    arrays.X = X.data();
    arrays.rois = rois.data();
    arrays.batch_indices = batch_indices.data();
    arrays.Y = Y.data();
    arrays.N = 1;
    arrays.C = channels;
    arrays.H = kHeight;
    arrays.W = kWidth;
    arrays.num_rois = shape.rois;
  }

  std::vector<S> X, rois;
  std::vector<int64_t> batch_indices;
  std::vector<S> Y;
  Attributes attributes{};
  Arrays arrays{};
};

// What the costs are multiplied by, summed over all RoIs of the call.
struct Features {
  double points = 0;   // Way::kPoints
  double vectors = 0;  // Way::kColumns: swept or gathered vectors
  double pixels = 0;   // Way::kTile: taps on pixels
  double units = 0;    // Way::kTile: turned units
  int tile_lanes = 0;
};

// Returns false where some RoI would not go the forced way.
template <class S>
bool features_of(const Call<S>& call, const VectorCosts& costs, const std::string& name, Features& features) {
  const Way way = name == "points" ? Way::kPoints : name == "tile" ? Way::kTile : Way::kColumns;
  const TileSizes sizes = tile_sizes(call.attributes, call.arrays, costs, static_cast<int32_t>(sizeof(S)));
  Memory memory;
  Planner<S> planner(call.attributes, call.arrays.C, kHeight, kWidth, costs, way == Way::kTile ? &sizes : nullptr,
                     memory);
  std::vector<RoiPlan<S>> plans(static_cast<size_t>(call.arrays.num_rois));
  for (int64_t roi = 0; roi < call.arrays.num_rois; ++roi) {
    RoiPlan<S>& plan = plans[static_cast<size_t>(roi)];
    planner.plan(corners_of<S, S>(call.arrays, roi), true, memory, plan);
    const double down = plan.rows.tap_count, across = plan.columns.tap_count;
    features.points += down * across;
    features.vectors += down * ((plan.window.columns + costs.lanes - 1) / costs.lanes);
    features.pixels += down * plan.touched_count + across * static_cast<double>(call.attributes.output_height);
    if (way != Way::kTile && plan.way != way) return false;
    if (way == Way::kColumns && (name == "gathered") != (plan.window.list != nullptr)) return false;
  }
  if (way != Way::kTile) return true;
  std::sort(plans.begin(), plans.end(), [](const auto& a, const auto& b) { return a.first_row < b.first_row; });
  const Tiling tiling = lay_tile(sizes, plans.data(), plans.size());
  features.units = static_cast<double>(tiling.units.size());
  features.tile_lanes = tiling.lanes;
  return tiling.rows > 0;
}

void run_in_order(void*, void (*task)(void* user, size_t i), size_t count, void* user) {
  for (size_t i = 0; i < count; ++i) task(user, i);
}

// Returns the least of the nanoseconds that a call took: what else a machine does only adds to them.
template <class S>
double time_of(const Call<S>& call, const Isa& isa, double milliseconds) {
  using Clock = std::chrono::steady_clock;
  const Workers workers{run_in_order, nullptr, 1};
  std::vector<double> times;
  double spent = 0;
  while (times.size() < 5 || spent < milliseconds * 1e6) {
    const auto begin = Clock::now();
    roi_align(call.attributes, call.arrays, isa, workers);
    times.push_back(std::chrono::duration<double, std::nano>(Clock::now() - begin).count());
    spent += times.back();
  }
  return *std::min_element(times.begin(), times.end());
}

template <class S>
void measure(const Isa& real, const char* type, const CallShape& shape, double milliseconds) {
  const Call<S> few(shape, kFewChannels), many(shape, kManyChannels);
  for (const char* name : {"points", "columns", "gathered", "tile"}) {
    const std::string way(name);
    Isa isa = real;
    VectorCosts& costs = sizeof(S) == 8 ? isa.costs64 : isa.costs32;
    costs = forced(costs, way);
    Features features;
    if (!features_of(many, costs, way, features)) continue;
    const double few_ns = time_of(few, isa, milliseconds), many_ns = time_of(many, isa, milliseconds);
    const double rois = static_cast<double>(shape.rois), channels = static_cast<double>(kManyChannels - kFewChannels);
    std::printf(
        "{\"isa\": \"%s\", \"type\": \"%s\", \"way\": \"%s\", \"plane_ns\": %.3f, \"bins\": %d, "
        "\"lanes\": %d, \"tile_lanes\": %d, \"points\": %.3f, \"vectors\": %.3f, \"pixels\": %.3f, \"units\": %.3f}\n",
        isa.name, type, name, (many_ns - few_ns) / channels / rois, static_cast<int>(shape.output * shape.output),
        costs.lanes, features.tile_lanes, features.points / rois, features.vectors / rois, features.pixels / rois,
        features.units / rois);
    std::fflush(stdout);
  }
}

// Prints the costs that the library has now.
void print_costs(const char* isa, const char* type, const VectorCosts& costs) {
  std::printf(
      "{\"isa\": \"%s\", \"type\": \"%s\", \"way\": \"now\", \"gathered_vector\": %g, \"columns_plane\": %g, "
      "\"swept_vector\": %g, \"tile_pixel\": %g, \"point\": %g}\n",
      isa, type, costs.gathered_vector, costs.columns_plane, costs.swept_vector, costs.tile_pixel, costs.point);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: measure_costs MILLISECONDS SHAPES\n");
    return 2;
  }
  const double milliseconds = std::atof(arguments[1]);
  const size_t shapes = std::min(std::size(kShapes), static_cast<size_t>(std::max(std::atoi(arguments[2]), 1)));
  for (const char* const* name = isa_names(); *name != nullptr; ++name) {
    const Isa& isa = choose_isa(*name, "isa");
    print_costs(isa.name, "float32", isa.costs32);
    print_costs(isa.name, "float64", isa.costs64);
    for (size_t i = 0; i < shapes; ++i) {
      measure<float>(isa, "float32", kShapes[i], milliseconds);
      measure<double>(isa, "float64", kShapes[i], milliseconds);
    }
  }
}
