// Pools each RoI from the level of a feature pyramid that fits its size.
#ifndef ONNX_ROIALIGN_POOL_PYRAMID_H_
#define ONNX_ROIALIGN_POOL_PYRAMID_H_

#include <cstdint>
#include <string>
#include <vector>

#include "problem.h"

namespace roialign {

constexpr int64_t kMaxLevels = 16;

// The rule that gives a RoI its level; onnx_roialign/definition/pyramid.py defines it.
struct LevelRule {
  int64_t min_level, max_level;
  double canonical_scale;
  int64_t canonical_level;
  double log_epsilon, floor_epsilon;
  std::vector<float> level_areas;  // the smallest area of each level; empty: the formula computes them
};

// The attributes that all levels have in common, and the spatial scale of each.
struct Pyramid {
  Attributes attributes;
  std::vector<double> spatial_scales;
  LevelRule rule;

  Attributes at(size_t level) const {
    Attributes own = attributes;
    own.spatial_scale = spatial_scales[level];
    return own;
  }
};

// One level's map. All maps have one type, N and C.
struct Map {
  const void* X;
  int64_t H, W;

  // Returns the arrays of a call on this map.
  Arrays among(Arrays all) const {
    all.X = X;
    all.H = H;
    all.W = W;
    return all;
  }
};

// Each returns an empty text, or "<input> <rule>, got <value>"; pyramid.py makes the same checks in the same order and
// words.
std::string check_pyramid(const Pyramid& pyramid);

// Each runs a check of problem.h for every level; a message about X names the map of that level. X, H and W of arrays
// are not read.
std::string check_level_attributes(const Pyramid& pyramid);
std::string check_level_types(const Pyramid& pyramid, ElementType type, ElementType rois_type);
std::string check_level_sizes(const Pyramid& pyramid, const Arrays& arrays, const std::vector<Map>& maps);
std::string check_level_values(const Pyramid& pyramid, const Arrays& arrays);

// Returns a check's message with the name of a level's map in place of X.
std::string of_level(size_t level, const std::string& problem);

// Returns the smallest area of each level, computed in float64 where rois are float64, else in float32.
std::vector<double> smallest_areas(const LevelRule& rule, ElementType rois_type);

// Computes arrays.Y, (num_rois, C, output_height, output_width). A RoI without a level gets 0. levels has the level of
// each RoI, or is null: then areas, the smallest area of each level, ascending, give the levels. X, H and W of arrays
// are not read. The checks above must have passed. Throws std::bad_alloc, and whatever workers.parallel_for throws.
void pool_pyramid(const Pyramid& pyramid, const Arrays& arrays, const std::vector<Map>& maps, const int64_t* levels,
                  const std::vector<double>& areas, const Isa& isa, const Workers& workers);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_POOL_PYRAMID_H_
