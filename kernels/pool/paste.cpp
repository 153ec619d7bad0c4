// Pastes a detector's masks: resizes each mask to its box and writes it into an image of zeros.
#include "pool/paste.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "element.h"
#include "parallel.h"
#include "plan/corners.h"
#include "shown.h"

namespace roialign {
namespace {

// The bounds of onnx_roialign/definition/masks.py.
constexpr int64_t kMaxMaskSize = 4096;
constexpr int64_t kMaxImageSize = int64_t{1} << 22;
constexpr double kMaxCoordinate = 1 << 30;

// Bytes of an image that one task fills: what it writes stays in the second-level cache until it is done, and 100
// images of 800 x 1216 make 1,500 tasks. Unmeasured.
constexpr int64_t kTaskBytes = 256 << 10;

// The corners of an enlarged box, truncated to integers; both ends lie inside.
struct Box {
  int64_t x1, y1, x2, y2;
};

// Enlarges a box of the image as the mask was enlarged by its border of one pixel on each side.
template <class C>
Box enlarged(const Corners<C>& box, int64_t side) {
  // torchvision computes the growth in float32, whatever the boxes are.
  const C growth = static_cast<C>(static_cast<float>(side + 2) / static_cast<float>(side));
  const C half_width = (box[2] - box[0]) * C{0.5} * growth, half_height = (box[3] - box[1]) * C{0.5} * growth;
  const C x = (box[2] + box[0]) * C{0.5}, y = (box[3] + box[1]) * C{0.5};
  return {static_cast<int64_t>(x - half_width), static_cast<int64_t>(y - half_height),
          static_cast<int64_t>(x + half_width), static_cast<int64_t>(y + half_height)};
}

// One axis of a resized mask: the pixels of the image that it covers, and where each lies in the padded mask.
template <class C>
class Axis {
 public:
  Axis(int64_t first, int64_t last, int64_t length, int64_t side)
      : first_(first),
        begin_(std::max<int64_t>(first, 0)),
        end_(std::max(std::min(last + 1, length), begin_)),
        scale_(static_cast<C>(std::max<int64_t>(last - first + 1, 1)) / static_cast<C>(side + 2)),
        edge_(static_cast<C>(side + 1)) {}

  // The pixels of the image: begin to end - 1.
  int64_t begin() const { return begin_; }
  int64_t end() const { return end_; }

  struct Place {
    int64_t low;  // pixel of the padded mask; the next one has the weight fraction
    C fraction;
  };

  Place at(int64_t pixel) const {
    const C position = (static_cast<C>(pixel - first_) + C{0.5}) / scale_ - C{0.5};
    const C inside = std::min(std::max(position, C{0}), edge_);
    const auto low = static_cast<int64_t>(inside);
    return {low, inside - static_cast<C>(low)};
  }

 private:
  int64_t first_, begin_, end_;
  C scale_, edge_;
};

// Rows of the padded mask, resized along x to the width of the pasted box. Two of them make a row of the image. A mask
// has a few dozen rows for hundreds of rows of the image, so each row is resized only once per task.
template <class T, class C>
class WideRows {
 public:
  WideRows(const T* mask, int64_t side, const Axis<C>& x)
      : mask_(mask), side_(side), width_(x.end() - x.begin()), places_(static_cast<size_t>(width_)) {
    for (int64_t i = 0; i < width_; ++i) places_[static_cast<size_t>(i)] = x.at(x.begin() + i);
    for (auto& row : rows_) row.values.resize(static_cast<size_t>(width_));
  }

  // Returns a row of the padded mask; it stays valid until two others are returned.
  const C* row(int64_t index) {
    Row& row = rows_[static_cast<size_t>(index % 2)];
    if (row.index != index) fill(row, index);
    return row.values.data();
  }

 private:
  struct Row {
    int64_t index = -1;
    std::vector<C> values;
  };

  // Pixels 0 and side + 1 of the padded mask are its border.
  C pixel(const T* row, int64_t column) const {
    return column < 1 || column > side_ ? C{0} : static_cast<C>(to_compute(row[column - 1]));
  }

  void fill(Row& row, int64_t index) {
    row.index = index;
    if (index < 1 || index > side_) {
      std::fill(row.values.begin(), row.values.end(), C{0});
      return;
    }
    const T* const from = mask_ + (index - 1) * side_;
    for (int64_t i = 0; i < width_; ++i) {
      const auto [low, fraction] = places_[static_cast<size_t>(i)];
      row.values[static_cast<size_t>(i)] = pixel(from, low) * (C{1} - fraction) + pixel(from, low + 1) * fraction;
    }
  }

  const T* mask_;
  int64_t side_, width_;
  std::vector<typename Axis<C>::Place> places_;
  std::array<Row, 2> rows_;
};

// Writes a row of the image as the weighted sum of two rows.
template <class T, class C>
void blend(const C* low, const C* high, C fraction, int64_t width, T* out) {
  const C rest = C{1} - fraction;
  for (int64_t i = 0; i < width; ++i) from_compute(low[i] * rest + high[i] * fraction, out[i]);
}

// Writes rows first to last - 1 of one image.
template <class T, class C>
void paste_rows(const MaskArrays& arrays, const Corners<C>& corners, int64_t index, int64_t first, int64_t last) {
  const Box box = enlarged<C>(corners, arrays.side);
  const Axis<C> x(box.x1, box.x2, arrays.width, arrays.side), y(box.y1, box.y2, arrays.height, arrays.side);
  T* const image = static_cast<T*>(arrays.images) + index * arrays.height * arrays.width;
  const auto clear = [&](T* from, T* to) {
    if (to > from) std::memset(static_cast<void*>(from), 0, static_cast<size_t>(to - from) * sizeof(T));
  };
  const int64_t begin = std::min(std::max(first, y.begin()), last), end = std::max(std::min(last, y.end()), begin);
  if (begin == end || x.begin() >= x.end()) {
    clear(image + first * arrays.width, image + last * arrays.width);
    return;
  }
  WideRows<T, C> wide(static_cast<const T*>(arrays.masks) + index * arrays.side * arrays.side, arrays.side, x);
  clear(image + first * arrays.width, image + begin * arrays.width);
  for (int64_t row = begin; row < end; ++row) {
    T* const out = image + row * arrays.width;
    const auto [low, fraction] = y.at(row);
    const C* const above = wide.row(low);
    const C* const below = wide.row(low + 1);
    clear(out, out + x.begin());
    blend(above, below, fraction, x.end() - x.begin(), out + x.begin());
    clear(out + x.end(), out + arrays.width);
  }
  clear(image + end * arrays.width, image + last * arrays.width);
}

template <class T, class C>
void paste_all(const MaskArrays& arrays, const Workers& workers) {
  const int64_t row_bytes = arrays.width * static_cast<int64_t>(sizeof(T));
  const int64_t rows = std::max<int64_t>(kTaskBytes / row_bytes, 1);
  const int64_t parts = (arrays.height + rows - 1) / rows;
  parallel(workers, static_cast<size_t>(arrays.num_masks * parts), [&](size_t task) {
    const int64_t index = static_cast<int64_t>(task) / parts, first = static_cast<int64_t>(task) % parts * rows;
    paste_rows<T, C>(arrays, read_corners<C>(arrays.boxes_type, arrays.boxes, index), index, first,
                     std::min(first + rows, arrays.height));
  });
}

template <class C>
std::string check_boxes_of(const MaskArrays& arrays) {
  for (int64_t row = 0; row < arrays.num_masks; ++row) {
    const Corners<C> box = read_corners<C>(arrays.boxes_type, arrays.boxes, row);
    for (int column = 0; column < 4; ++column) {
      if (std::fabs(static_cast<double>(box[column])) <= kMaxCoordinate) continue;  // false for NaN
      return "boxes must be finite and at most 1073741824 from zero, got " + shown(static_cast<double>(box[column])) +
             " at row " + std::to_string(row) + ", column " + std::to_string(column) + " (" + kCornerNames[column] +
             ")";
    }
  }
  return {};
}

std::string check_image_size(const char* name, int64_t size) {
  if (size >= 0 && size <= kMaxImageSize) return {};
  return std::string(name) + " must be in [0, " + std::to_string(kMaxImageSize) + "], got " + std::to_string(size);
}

}  // namespace

std::string check_mask_sizes(const MaskArrays& arrays) {
  if (arrays.side < 1 || arrays.side > kMaxMaskSize) {
    return "masks must have M in [1, " + std::to_string(kMaxMaskSize) + "], got " + std::to_string(arrays.side);
  }
  std::string error = check_image_size("height", arrays.height);
  if (error.empty()) error = check_image_size("width", arrays.width);
  int64_t elements;
  if (error.empty() &&
      (__builtin_mul_overflow(arrays.num_masks, arrays.height * arrays.width, &elements) || elements > kMostElements)) {
    return "masks must leave an output that can be addressed, got " + std::to_string(arrays.num_masks) + " images of " +
           std::to_string(arrays.height) + " x " + std::to_string(arrays.width) + " pixels";
  }
  return error;
}

std::string check_boxes(const MaskArrays& arrays) {
  return arrays.type == ElementType::kFloat64 ? check_boxes_of<double>(arrays) : check_boxes_of<float>(arrays);
}

void paste_masks(const MaskArrays& arrays, const Workers& workers) {
  if (arrays.num_masks == 0 || arrays.height == 0 || arrays.width == 0) return;
  switch (arrays.type) {
    case ElementType::kFloat32:
      return paste_all<float, float>(arrays, workers);
    case ElementType::kFloat64:
      return paste_all<double, double>(arrays, workers);
    case ElementType::kFloat16:
      return paste_all<Half, float>(arrays, workers);
    case ElementType::kBFloat16:
      return paste_all<BFloat16, float>(arrays, workers);
  }
}

}  // namespace roialign
