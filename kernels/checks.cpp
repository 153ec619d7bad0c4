// Checks every rule that attributes and arrays must keep, once for each call, and writes the message where one is
// broken.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <limits>

#include "element.h"
#include "plan/corners.h"
#include "plan/geometry.h"
#include "problem.h"
#include "shown.h"

namespace roialign {
namespace {

constexpr int64_t kMaxSamplingRatio = 16384;
constexpr int64_t kMaxOutputSize = 32768;
// The most samples along an axis of one RoI where sampling_ratio fixes them: it bounds a RoI's time and memory. An
// adaptive grid is bounded by the map.
constexpr int64_t kMaxSamples = int64_t{1} << 20;
// The longest axis of a map. A RoI as long as the map has a tap for each pixel of an axis, which took 150 to 230 bytes
// a pixel with everything else that is planned: 2.5 GB for 2^24 pixels in one bin of float32, so up to 1 GB here. Taps
// are counted in 32 bits; a RoI has at most about 12 times this bound and a few for each bin, which is far below 2^31.
constexpr int64_t kMaxMapSize = int64_t{1} << 22;

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

std::string check_sampling_ratio(const Attributes& attributes) {
  const int64_t ratio = attributes.sampling_ratio;
  if (ratio < 0 || ratio > kMaxSamplingRatio) {
    return text("sampling_ratio must be in [0, %lld], got %lld", wide(kMaxSamplingRatio), wide(ratio));
  }
  const int64_t bins = std::max(attributes.output_height, attributes.output_width);
  if (bins * ratio > kMaxSamples) {
    return text("sampling_ratio must leave at most %lld samples along an axis, got %lld in each of %lld bins",
                wide(kMaxSamples), wide(ratio), wide(bins));
  }
  return {};
}

// A number of Semantics. One that may be absent is -infinity where it is.
struct Number {
  const char* name;
  double value;
  bool may_be_absent;

  bool absent() const { return may_be_absent && value == -std::numeric_limits<double>::infinity(); }
};

// Returns the numbers of Semantics in the order of its fields.
std::array<Number, 5> numbers_of(const Semantics& semantics) {
  return {{{"offset", semantics.offset, false},
           {"min_size", semantics.min_size, true},
           {"start_shift", semantics.start_shift, false},
           {"end_shift", semantics.end_shift, false},
           {"max_start", semantics.max_start, true}}};
}

// Returns whether a number is finite in C, the type that the kernels compute with.
template <class C>
bool is_finite_as(double value) {
  return std::isfinite(static_cast<C>(value));
}

template <class C>
std::string check_numbers(const Attributes& attributes, const char* type) {
  for (const Number& number : numbers_of(attributes.semantics)) {
    if (number.absent() || is_finite_as<C>(number.value)) continue;
    return text("%s must be finite in %s, got %s", number.name, type, shown(number.value).c_str());
  }
  const double scale = attributes.spatial_scale;
  if (!is_finite_as<C>(scale) || static_cast<C>(scale) <= 0) {
    return text("spatial_scale must be finite and > 0 in %s, got %s", type, shown(scale).c_str());
  }
  return {};
}

// Computes a * b, both at least 0. Returns false where the product overflows.
bool product(int64_t a, int64_t b, int64_t& result) { return !__builtin_mul_overflow(a, b, &result); }

const char* const kSizes[] = {"N", "C", "H", "W", "num_rois"};

std::string shape_of_x(const Arrays& arrays) {
  return text("(%lld, %lld, %lld, %lld)", wide(arrays.N), wide(arrays.C), wide(arrays.H), wide(arrays.W));
}

// Returns a magnitude up to which coordinates surely stay finite when scaled, or -1 where there is none. Nearly all
// coordinates are below it, and comparing the four numbers of a RoI with it takes 3 ns instead of 5.
template <class C>
C surely_finite(const Attributes& attributes) {
  const C eighth = std::numeric_limits<C>::max() / 8;
  const C limit = eighth / std::max(C{1}, static_cast<C>(attributes.spatial_scale));
  const bool small = std::fabs(attributes.semantics.start_shift) <= static_cast<double>(limit) &&
                     std::fabs(attributes.semantics.end_shift) <= static_cast<double>(limit) &&
                     std::fabs(attributes.semantics.offset) <= static_cast<double>(eighth);
  return small ? limit : C{-1};
}

// Checks the corners of all RoIs; read(row) returns those of one.
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
                  shown(static_cast<double>(at[column])).c_str(), wide(row), column, kCornerNames[column]);
    }
    for (int column = 0; column < 4; ++column) {
      const int axis = column % 2;
      const Axis<C> scaled = scale.unbounded(at[axis], at[axis + 2]);
      // Where a start overflows, the start is named. Where an end overflows, or a size though both ends are finite, the
      // end is named.
      if (column < 2 ? std::isfinite(scaled.start) : std::isfinite(scaled.size)) continue;
      return text("rois must stay finite when scaled by %.9g, got %.9g at row %lld, column %d (%s)",
                  attributes.spatial_scale, static_cast<double>(at[column]), wide(row), column, kCornerNames[column]);
    }
  }
  return {};
}

__attribute__((cold)) std::string wrong_type(const char* name, ElementType type) {
  return text("%s must be float32, float64, float16 or bfloat16, got type %d", name, static_cast<int>(type));
}

template <class C>
__attribute__((noinline)) std::string check_other_rois(const Attributes& attributes, const Arrays& arrays) {
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
  for (const Number& number : numbers_of(attributes.semantics)) {
    if (number.absent() || std::isfinite(number.value)) continue;
    return text("%s must be a finite number, got %s", number.name, shown(number.value).c_str());
  }
  std::string error = check_output_size("output_height", attributes.output_height);
  if (error.empty()) error = check_output_size("output_width", attributes.output_width);
  if (error.empty()) error = check_sampling_ratio(attributes);
  if (!error.empty()) return error;
  if (!std::isfinite(attributes.spatial_scale) || attributes.spatial_scale <= 0) {
    return text("spatial_scale must be finite and > 0, got %s", shown(attributes.spatial_scale).c_str());
  }
  return {};
}

std::string check_threads(int64_t threads) {
  if (threads >= 0 && threads <= kMaxThreads) return {};
  return text("threads must be in [0, %lld], got %lld", wide(kMaxThreads), wide(threads));
}

std::string check_types(const Attributes& attributes, ElementType type, ElementType rois_type) {
  const auto known = [](ElementType one) {
    return std::find(std::begin(kElementTypes), std::end(kElementTypes), one) != std::end(kElementTypes);
  };
  if (!known(type)) return wrong_type("X", type);
  if (!known(rois_type)) return wrong_type("rois", rois_type);
  return type == ElementType::kFloat64 ? check_numbers<double>(attributes, "float64")
                                       : check_numbers<float>(attributes, "float32");
}

std::string check_sizes(const Attributes& attributes, const Arrays& arrays) {
  const int64_t sizes[] = {arrays.N, arrays.C, arrays.H, arrays.W, arrays.num_rois};
  for (size_t i = 0; i < std::size(sizes); ++i) {
    if (sizes[i] < 0) return text("%s must be at least 0, got %lld", kSizes[i], wide(sizes[i]));
  }
  int64_t elements;
  if (!(product(arrays.N, arrays.C, elements) && product(elements, arrays.H, elements) &&
        product(elements, arrays.W, elements) && elements <= kMostElements)) {
    return "X must have sizes whose product can be addressed, got shape " + shape_of_x(arrays);
  }
  if (arrays.H > kMaxMapSize || arrays.W > kMaxMapSize) {
    return text("X must have H and W of at most %lld, got shape ", wide(kMaxMapSize)) + shape_of_x(arrays);
  }
  if (!(product(arrays.num_rois, arrays.C, elements) && product(elements, attributes.output_height, elements) &&
        product(elements, attributes.output_width, elements) && elements <= kMostElements)) {
    return text("rois must leave an output that can be addressed, got %lld rois of %lld channels",
                wide(arrays.num_rois), wide(arrays.C));
  }
  if ((arrays.H == 0 || arrays.W == 0) && arrays.N > 0 && arrays.C > 0 && arrays.num_rois > 0) {
    return "X must have H and W of at least 1, got shape " + shape_of_x(arrays);
  }
  return {};
}

std::string check_values(const Attributes& attributes, const Arrays& arrays) {
  for (int64_t row = 0; row < arrays.num_rois; ++row) {
    const int64_t image = arrays.batch_indices[row];
    if (image >= 0 && image < arrays.N) continue;
    return text("batch_indices must be in [0, %lld), got %lld at row %lld", wide(arrays.N), wide(image), wide(row));
  }
  return check_rois(attributes, arrays);
}

}  // namespace roialign
