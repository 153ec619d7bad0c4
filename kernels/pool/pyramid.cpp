// Pools each RoI from the level of a feature pyramid that fits its size.
#include "pool/pyramid.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "parallel.h"
#include "plan/corners.h"
#include "shown.h"

namespace roialign {
namespace {

// The levels that a rule may name. Those of the areas that float64 holds lie between -537 and 512.
constexpr int64_t kFarthestLevel = 1024;

// Returns the number that was written to a float attribute: the nearest one of seven digits, 1e-6 and not the float32
// beside it.
double decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.7g", value);
  return std::strtod(text, nullptr);
}

// The integer type whose values order the bits of floats from 0 up as the floats are ordered.
template <class C>
struct Bits;
template <>
struct Bits<float> {
  using type = int32_t;
};
template <>
struct Bits<double> {
  using type = int64_t;
};

// Returns the level of an area, counted from min_level. Every operation is rounded to the type of areas, as in the
// frameworks; the logarithm is that of float64, rounded.
template <class C>
int64_t level_of(const LevelRule& rule, C area) {
  const C ratio = std::sqrt(area) / static_cast<C>(rule.canonical_scale) + static_cast<C>(decimal(rule.log_epsilon));
  if (!(ratio > 0)) return 0;
  const C exponent = static_cast<C>(rule.canonical_level) + static_cast<C>(std::log2(static_cast<double>(ratio))) +
                     static_cast<C>(decimal(rule.floor_epsilon));
  const C bounded =
      std::min(std::max(std::floor(exponent), static_cast<C>(rule.min_level)), static_cast<C>(rule.max_level));
  return static_cast<int64_t>(bounded) - rule.min_level;
}

// Returns the smallest area of a level, or infinity where no area is large enough, by bisection of the bits.
template <class C>
double smallest_area(const LevelRule& rule, int64_t level) {
  using Pattern = typename Bits<C>::type;
  const auto area = [](Pattern pattern) {
    C value;
    std::memcpy(&value, &pattern, sizeof value);
    return value;
  };
  const C largest = std::numeric_limits<C>::max();
  if (level_of(rule, largest) < level) return std::numeric_limits<double>::infinity();
  Pattern low = 0, high;
  std::memcpy(&high, &largest, sizeof high);
  while (low < high) {
    const Pattern middle = low + (high - low) / 2;
    if (level_of(rule, area(middle)) >= level) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return static_cast<double>(area(low));
}

template <class C>
std::vector<double> areas_by_formula(const LevelRule& rule) {
  std::vector<double> areas;
  for (int64_t level = 0; level <= rule.max_level - rule.min_level; ++level) {
    areas.push_back(level == 0 ? 0 : smallest_area<C>(rule, level));
  }
  return areas;
}

// Returns the level of a RoI, or -1 where its area is NaN or smaller than every level's. C is the type of areas.
template <class C>
int64_t level_of(const Arrays& arrays, int64_t roi, const std::vector<double>& areas) {
  const Corners<C> at = read_corners<C>(arrays.rois_type, arrays.rois, roi);
  const auto area = static_cast<double>((at[2] - at[0]) * (at[3] - at[1]));
  if (std::isnan(area)) return -1;
  return std::upper_bound(areas.begin(), areas.end(), area) - areas.begin() - 1;
}

// Returns the rows of each level's RoIs, and last those of the RoIs without a level.
std::vector<std::vector<int64_t>> rows_by_level(const Arrays& arrays, size_t levels, const int64_t* given,
                                                const std::vector<double>& areas) {
  std::vector<std::vector<int64_t>> rows(levels + 1);
  const bool wide = arrays.rois_type == ElementType::kFloat64;
  for (int64_t roi = 0; roi < arrays.num_rois; ++roi) {
    const int64_t level = given != nullptr ? given[roi]
                          : wide           ? level_of<double>(arrays, roi, areas)
                                           : level_of<float>(arrays, roi, areas);
    const bool exists = level >= 0 && level < static_cast<int64_t>(levels);
    rows[exists ? static_cast<size_t>(level) : levels].push_back(roi);
  }
  return rows;
}

}  // namespace

std::string check_pyramid(const Pyramid& pyramid) {
  const LevelRule& rule = pyramid.rule;
  const auto levels = static_cast<int64_t>(pyramid.spatial_scales.size());
  if (levels < 1 || levels > kMaxLevels) {
    return "spatial_scales must be 1 to " + std::to_string(kMaxLevels) + " numbers, got " + std::to_string(levels);
  }
  for (const auto& [name, level] : {std::pair{"min_level", rule.min_level},
                                    {"max_level", rule.max_level},
                                    {"canonical_level", rule.canonical_level}}) {
    if (level >= -kFarthestLevel && level <= kFarthestLevel) continue;
    const std::string most = std::to_string(kFarthestLevel);
    return std::string(name) + " must be in [-" + most + ", " + most + "], got " + std::to_string(level);
  }
  if (rule.max_level - rule.min_level >= kMaxLevels) {
    return "max_level must be at most " + std::to_string(kMaxLevels - 1) + " above min_level, got " +
           std::to_string(rule.max_level) + " where min_level is " + std::to_string(rule.min_level);
  }
  if (!(std::isfinite(rule.canonical_scale) && rule.canonical_scale > 0)) {
    return "canonical_scale must be finite and > 0, got " + shown(rule.canonical_scale);
  }
  for (const auto& [name, value] :
       {std::pair{"log_epsilon", rule.log_epsilon}, {"floor_epsilon", rule.floor_epsilon}}) {
    if (!(value >= 0 && value < 1)) return std::string(name) + " must be in [0, 1), got " + shown(value);
  }
  for (size_t i = 0; i < rule.level_areas.size(); ++i) {
    const float before = i == 0 ? -std::numeric_limits<float>::infinity() : rule.level_areas[i - 1];
    if (before <= rule.level_areas[i]) continue;
    return "level_areas must be ascending, got " + shown(static_cast<double>(rule.level_areas[i])) + " at " +
           std::to_string(i);
  }
  return check_level_attributes(pyramid);
}

std::string check_level_attributes(const Pyramid& pyramid) {
  std::string error;
  for (size_t level = 0; level < pyramid.spatial_scales.size() && error.empty(); ++level) {
    error = check_attributes(pyramid.at(level));
  }
  return error;
}

std::string of_level(size_t level, const std::string& problem) {
  return problem.compare(0, 2, "X ") == 0 ? "features[" + std::to_string(level) + "]" + problem.substr(1) : problem;
}

std::string check_level_types(const Pyramid& pyramid, ElementType type, ElementType rois_type) {
  std::string error;
  for (size_t level = 0; level < pyramid.spatial_scales.size() && error.empty(); ++level) {
    error = of_level(level, check_types(pyramid.at(level), type, rois_type));
  }
  return error;
}

std::string check_level_sizes(const Pyramid& pyramid, const Arrays& arrays, const std::vector<Map>& maps) {
  std::string error;
  for (size_t level = 0; level < maps.size() && error.empty(); ++level) {
    error = of_level(level, check_sizes(pyramid.at(level), maps[level].among(arrays)));
  }
  return error;
}

std::string check_level_values(const Pyramid& pyramid, const Arrays& arrays) {
  std::string error;
  for (size_t level = 0; level < pyramid.spatial_scales.size() && error.empty(); ++level) {
    error = of_level(level, check_values(pyramid.at(level), arrays));
  }
  return error;
}

std::vector<double> smallest_areas(const LevelRule& rule, ElementType rois_type) {
  if (!rule.level_areas.empty()) return {rule.level_areas.begin(), rule.level_areas.end()};
  return rois_type == ElementType::kFloat64 ? areas_by_formula<double>(rule) : areas_by_formula<float>(rule);
}

void pool_pyramid(const Pyramid& pyramid, const Arrays& arrays, const std::vector<Map>& maps, const int64_t* levels,
                  const std::vector<double>& areas, const Isa& isa, const Workers& workers) {
  const std::vector<std::vector<int64_t>> rows = rows_by_level(arrays, maps.size(), levels, areas);
  const int64_t values = arrays.C * pyramid.attributes.output_height * pyramid.attributes.output_width;
  const size_t bytes = static_cast<size_t>(values) * size_of(arrays.type);
  for (const int64_t row : rows.back()) {
    std::memset(static_cast<char*>(arrays.Y) + static_cast<size_t>(row) * bytes, 0, bytes);
  }
  for (size_t level = 0; level < maps.size(); ++level) {
    Arrays own = maps[level].among(arrays);
    own.rows = rows[level].data();
    own.num_rois = static_cast<int64_t>(rows[level].size());
    roi_align(pyramid.at(level), own, isa, workers);
  }
}

}  // namespace roialign
