// The door: every rule that attributes and arrays must keep, checked once, with the message that names what broke it.
#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <limits>

#include "corners.h"
#include "element.h"
#include "geometry.h"
#include "problem.h"

namespace roialign {
namespace {

// Bounds on what one node may ask for: taps are counted in 32 bits and a grid's cost must stay bounded.
constexpr int64_t kMaxSamplingRatio = 16384;
constexpr int64_t kMaxOutputSize = 32768;
constexpr int64_t kMaxMapSize = std::numeric_limits<int32_t>::max() - 64;

__attribute__((cold, format(printf, 1, 2))) std::string text(const char* format, ...) {
  char buffer[320];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer, sizeof buffer, format, arguments);
  va_end(arguments);
  return buffer;
}

long long wide(int64_t value) { return static_cast<long long>(value); }

std::string check_output_size(const char* name, int64_t value) {
  if (value < 1) return text("%s must be at least 1, got %lld", name, wide(value));
  if (value > kMaxOutputSize) return text("%s must be at most %lld, got %lld", name, wide(kMaxOutputSize), wide(value));
  return {};
}

// Whether a * b overflows int64; both are >= 0.
bool product(int64_t a, int64_t b, int64_t& result) { return !__builtin_mul_overflow(a, b, &result); }

const char* const kSizes[] = {"N", "C", "H", "W", "num_rois"};

std::string check_sizes(const Attributes& attributes, const Arrays& arrays) {
  const int64_t sizes[] = {arrays.N, arrays.C, arrays.H, arrays.W, arrays.num_rois};
  for (size_t i = 0; i < std::size(sizes); ++i) {
    if (sizes[i] < 0) return text("%s must be at least 0, got %lld", kSizes[i], wide(sizes[i]));
  }
  int64_t elements;
  const bool x_fits = product(arrays.N, arrays.C, elements) && product(elements, arrays.H, elements) &&
                      product(elements, arrays.W, elements) && elements <= std::numeric_limits<int64_t>::max() / 8;
  if (!x_fits || arrays.H > kMaxMapSize || arrays.W > kMaxMapSize) {
    return text("X must have sizes whose product can be addressed, got shape (%lld, %lld, %lld, %lld)", wide(arrays.N),
                wide(arrays.C), wide(arrays.H), wide(arrays.W));
  }
  if (!(product(arrays.num_rois, arrays.C, elements) && product(elements, attributes.output_height, elements) &&
        product(elements, attributes.output_width, elements) && elements <= std::numeric_limits<int64_t>::max() / 8)) {
    return text("rois must leave an output that can be addressed, got %lld rois of %lld channels",
                wide(arrays.num_rois), wide(arrays.C));
  }
  if ((arrays.H == 0 || arrays.W == 0) && arrays.N > 0 && arrays.C > 0 && arrays.num_rois > 0) {
    return text("X must have H and W of at least 1, got shape (%lld, %lld, %lld, %lld)", wide(arrays.N), wide(arrays.C),
                wide(arrays.H), wide(arrays.W));
  }
  return {};
}

const char* const kColumns[4] = {"x1", "y1", "x2", "y2"};

// Coordinates up to this magnitude stay finite when scaled, whatever their signs. Nearly all do, and to look at the
// four numbers of a RoI alone takes 3 ns instead of 5.
template <class C>
C surely_finite(const Attributes& attributes) {
  const C eighth = std::numeric_limits<C>::max() / 8;
  const C limit = eighth / std::max(C{1}, static_cast<C>(attributes.spatial_scale));
  const bool small = std::fabs(attributes.semantics.start_shift) <= static_cast<double>(limit) &&
                     std::fabs(attributes.semantics.end_shift) <= static_cast<double>(limit) &&
                     std::fabs(attributes.semantics.offset) <= static_cast<double>(eighth);
  return small ? limit : C{-1};
}

// read: the corners of a RoI, by its row.
template <class C, class Read>
std::string check_corners(const Attributes& attributes, int64_t num_rois, const Read& read) {
  const Scaling<C> scale(attributes);
  const C limit = surely_finite<C>(attributes);
  for (int64_t row = 0; row < num_rois; ++row) {
    const Corners<C> at = read(row);
    bool sure = true;
    for (const C coordinate : at) sure &= std::fabs(coordinate) <= limit;
    if (sure) continue;
    for (int column = 0; column < 4; ++column) {
      if (std::isfinite(at[column])) continue;
      return text("rois must be finite, got %s at row %lld, column %d (%s)",
                  std::isnan(at[column]) ? "nan"
                  : at[column] > 0       ? "inf"
                                         : "-inf",
                  wide(row), column, kColumns[column]);
    }
    for (int column = 0; column < 4; ++column) {
      const int axis = column % 2;
      const Axis<C> scaled = scale(at[axis], at[axis + 2]);
      // A start that overflows names itself; an end, or a size though both ends are finite, names the end.
      if (column < 2 ? std::isfinite(scaled.start) : std::isfinite(scaled.size)) continue;
      return text("rois must stay finite when scaled by %.9g, got %.9g at row %lld, column %d (%s)",
                  attributes.spatial_scale, static_cast<double>(at[column]), wide(row), column, kColumns[column]);
    }
  }
  return {};
}

__attribute__((cold)) std::string wrong_type(const char* name, ElementType type) {
  return text("%s must be float32, float64, float16 or bfloat16, got type %d", name, static_cast<int>(type));
}

template <class C>
__attribute__((noinline)) std::string check_other_rois(const Attributes& attributes, const Arrays& arrays) {
  const auto* const known = std::find(std::begin(kElementTypes), std::end(kElementTypes), arrays.rois_type);
  if (known == std::end(kElementTypes)) return wrong_type("rois", arrays.rois_type);
  return check_corners<C>(attributes, arrays.num_rois, [&](int64_t row) { return read_other_corners<C>(arrays, row); });
}

template <class C, class T>
std::string check_rois_for(const Attributes& attributes, const Arrays& arrays) {
  if (arrays.rois_type != arrays.type) return check_other_rois<C>(attributes, arrays);
  return check_corners<C>(attributes, arrays.num_rois,
                          [rois = arrays.rois](int64_t row) { return read_corners<C, T>(rois, row); });
}

std::string check_rois(const Attributes& attributes, const Arrays& arrays) {
  switch (arrays.type) {
    case ElementType::kFloat32:
      return check_rois_for<float, float>(attributes, arrays);
    case ElementType::kFloat16:
      return check_rois_for<float, Half>(attributes, arrays);
    case ElementType::kBFloat16:
      return check_rois_for<float, BFloat16>(attributes, arrays);
    case ElementType::kFloat64:
      return check_rois_for<double, double>(attributes, arrays);
  }
  return wrong_type("X", arrays.type);
}

}  // namespace

std::string check_attributes(const Attributes& attributes) {
  std::string error = check_output_size("output_height", attributes.output_height);
  if (error.empty()) error = check_output_size("output_width", attributes.output_width);
  if (!error.empty()) return error;
  if (attributes.sampling_ratio < 0 || attributes.sampling_ratio > kMaxSamplingRatio) {
    return text("sampling_ratio must be in [0, %lld], got %lld", wide(kMaxSamplingRatio),
                wide(attributes.sampling_ratio));
  }
  if (!std::isfinite(attributes.spatial_scale) || attributes.spatial_scale <= 0) {
    return text("spatial_scale must be finite and > 0, got %.9g", attributes.spatial_scale);
  }
  return {};
}

std::string check_arrays(const Attributes& attributes, const Arrays& arrays) {
  std::string error = check_sizes(attributes, arrays);
  if (!error.empty()) return error;
  for (int64_t row = 0; row < arrays.num_rois; ++row) {
    const int64_t image = arrays.batch_indices[row];
    if (image >= 0 && image < arrays.N) continue;
    return text("batch_indices must be in [0, %lld), got %lld at row %lld", wide(arrays.N), wide(image), wide(row));
  }
  return check_rois(attributes, arrays);
}

}  // namespace roialign
