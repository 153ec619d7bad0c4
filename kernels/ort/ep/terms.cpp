// Numbers and images as formulas, each formula once.
#include "ort/ep/terms.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace roialign {

Term Terms::of(const std::string& what, const std::vector<Term>& parts) {
  std::string formula = what;
  for (const Term part : parts) formula += " " + std::to_string(part);
  return known_.emplace(formula, known_.size()).first->second;
}

Term Terms::integer(int64_t number) {
  const Term term = of("integer " + std::to_string(number), {});
  integers_[term] = number;
  return term;
}

Term Terms::real(float number) {
  uint32_t bits = 0;
  std::memcpy(&bits, &number, sizeof bits);
  const Term term = of("real " + std::to_string(bits), {});
  reals_[term] = number;
  return term;
}

std::optional<int64_t> Terms::integer_of(Term term) const {
  const int64_t* const found = integer_at(term);
  return found == nullptr ? std::nullopt : std::optional<int64_t>(*found);
}

Term Terms::size(const std::string& name, size_t axis) {
  const Term term = of("size " + name, {axis});
  sizes_[term] = true;
  return term;
}

const int64_t* Terms::integer_at(Term term) const {
  const auto found = integers_.find(term);
  return found == integers_.end() ? nullptr : &found->second;
}

const float* Terms::real_at(Term term) const {
  const auto found = reals_.find(term);
  return found == reals_.end() ? nullptr : &found->second;
}

Term Terms::add(Term a, Term b) {
  const int64_t *const x = integer_at(a), *const y = integer_at(b);
  int64_t sum = 0;
  if (x != nullptr && y != nullptr && !__builtin_add_overflow(*x, *y, &sum)) return integer(sum);
  const Term term = in_any_order("add", a, b);
  const auto is_size = [this](Term one, const int64_t* number) {
    return number != nullptr ? *number >= 0 && *number < 1 << 20 : sizes_.count(one) == 1;
  };
  if (is_size(a, x) && is_size(b, y)) sizes_[term] = true;
  return term;
}

Term Terms::subtract(Term a, Term b) {
  const int64_t *const x = integer_at(a), *const y = integer_at(b);
  int64_t difference = 0;
  if (x != nullptr && y != nullptr && !__builtin_sub_overflow(*x, *y, &difference)) return integer(difference);
  return of("subtract", {a, b});
}

Term Terms::multiply(Term a, Term b) { return in_any_order("multiply", a, b); }

Term Terms::divide(Term a, Term b) {
  const float *const x = real_at(a), *const y = real_at(b);
  return x != nullptr && y != nullptr ? real(*x / *y) : of("divide", {a, b});
}

Term Terms::largest(Term a, Term b) {
  const int64_t *const x = integer_at(a), *const y = integer_at(b);
  return x != nullptr && y != nullptr ? integer(std::max(*x, *y)) : in_any_order("largest", a, b);
}

Term Terms::smallest(Term a, Term b) {
  const int64_t *const x = integer_at(a), *const y = integer_at(b);
  return x != nullptr && y != nullptr ? integer(std::min(*x, *y)) : in_any_order("smallest", a, b);
}

Term Terms::to_real(Term one) {
  const int64_t* const number = integer_at(one);
  return number != nullptr ? real(static_cast<float>(*number)) : of("to_real", {one});
}

std::optional<bool> Terms::are_equal(Term a, Term b) const {
  const int64_t *const x = integer_at(a), *const y = integer_at(b);
  if (x != nullptr && y != nullptr) return *x == *y;
  if (x != nullptr && *x < 0 && sizes_.count(b) == 1) return false;
  if (y != nullptr && *y < 0 && sizes_.count(a) == 1) return false;
  return a == b ? std::optional<bool>(true) : std::nullopt;
}

Image Terms::at(const Image& image, Term index) {
  const std::vector<Term> rest(image.sizes.begin() + 1, image.sizes.end());
  const bool is_all = integer_of(index) == 0 && integer_of(image.sizes[0]) == 1;
  return {is_all ? image.pixels : of("at", {image.pixels, index}), rest};
}

Image Terms::slice(const Image& image, size_t axis, Term begin, Term end) {
  if (integer_of(begin) == 0 && integer_of(end) == std::numeric_limits<int64_t>::max()) return image;
  Image part{of("slice", {image.pixels, integer(static_cast<int64_t>(axis)), begin, end}), image.sizes};
  part.sizes[axis] = of("length", {image.sizes[axis], begin, end});
  sizes_[part.sizes[axis]] = true;
  return part;
}

Image Terms::join(const std::vector<Image>& images, size_t axis) {
  Image whole = images[0];
  std::vector<Term> parts{integer(static_cast<int64_t>(axis))}, lengths;
  for (const Image& image : images) {
    parts.push_back(image.pixels);
    lengths.push_back(image.sizes[axis]);
  }
  whole.pixels = of("join", parts);
  whole.sizes[axis] = of("total", lengths);
  sizes_[whole.sizes[axis]] = true;
  return whole;
}

Image Terms::resize(const Image& image, Term height, Term width) {
  return {of("resize", {image.pixels, image.sizes[0], image.sizes[1], height, width}), {height, width}};
}

Image Terms::with_border(const std::string& name, const std::vector<Term>& sizes) {
  Image padded{of("with_border " + name, {}), sizes};
  for (size_t axis = sizes.size() - 2; axis < sizes.size(); ++axis) padded.sizes[axis] = add(sizes[axis], integer(2));
  return padded;
}

}  // namespace roialign
