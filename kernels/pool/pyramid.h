// RoiAlign from the levels of a feature pyramid: every RoI is pooled from the map that fits its size.
#ifndef ONNX_ROIALIGN_POOL_PYRAMID_H_
#define ONNX_ROIALIGN_POOL_PYRAMID_H_

#include <cstdint>
#include <string>
#include <vector>

#include "problem.h"

namespace roialign {

constexpr int64_t kMaxLevels = 16;

// Which level a RoI belongs to; onnx_roialign/definition/pyramid.py defines it.
struct LevelRule {
  int64_t min_level, max_level;
  double canonical_scale;
  int64_t canonical_level;
  double log_epsilon, floor_epsilon;
  std::vector<float> level_areas;  // empty: the formula decides
};

// What all levels have in common, and the scale of each.
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

// One level's map, of the type and with the N and C of all.
struct Map {
  const void* X;
  int64_t H, W;

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

// Each runs a check of one RoiAlign for every level; a message about X names the map of that level.
//
// arrays: of every map but X, H and W.
std::string check_level_attributes(const Pyramid& pyramid);
std::string check_level_types(const Pyramid& pyramid, ElementType type, ElementType rois_type);
std::string check_level_sizes(const Pyramid& pyramid, const Arrays& arrays, const std::vector<Map>& maps);
std::string check_level_values(const Pyramid& pyramid, const Arrays& arrays);

// Returns a check's message with the name of a level's map in place of X.
std::string of_level(size_t level, const std::string& problem);

// The smallest area of each level, in the type that areas are computed in: of rois, where they are float64, else float.
std::vector<double> smallest_areas(const LevelRule& rule, ElementType rois_type);

// Computes arrays.Y, (num_rois, C, output_height, output_width), 0 for a RoI without a level. The checks of each
// level must have passed.
//
// arrays: of every map but X, H and W.
// levels: of each RoI; null: areas decide, the smallest of each level ascending.
void pool_pyramid(const Pyramid& pyramid, const Arrays& arrays, const std::vector<Map>& maps, const int64_t* levels,
                  const std::vector<double>& areas, const Isa& isa, const Workers& workers);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_POOL_PYRAMID_H_
