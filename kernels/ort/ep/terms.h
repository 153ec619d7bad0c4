// Numbers and images as formulas, each formula once: two are the same number or image if they are the same term.
#ifndef ONNX_ROIALIGN_ORT_EP_TERMS_H_
#define ONNX_ROIALIGN_ORT_EP_TERMS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace roialign {

using Term = size_t;

// An image of any rank: a formula, and its sizes.
struct Image {
  Term pixels;
  std::vector<Term> sizes;

  bool operator==(const Image& other) const { return pixels == other.pixels && sizes == other.sizes; }
};

class Terms {
 public:
  // ---- numbers: int64, and float32, which are constants where both operands are ----
  Term integer(int64_t number);
  Term real(float number);
  std::optional<int64_t> integer_of(Term term) const;
  // A number that has a name; one of a named table's columns, in any row; the number of the row.
  Term given(const std::string& name) { return of("given " + name, {}); }
  Term column(const std::string& name, size_t index) { return of("column " + name, {index}); }
  Term turn() { return of("turn", {}); }
  // A size of a named tensor, which is never negative.
  Term size(const std::string& name, size_t axis);
  Term add(Term a, Term b);
  Term subtract(Term a, Term b);
  Term multiply(Term a, Term b);
  Term divide(Term a, Term b);  // float32
  Term largest(Term a, Term b);
  Term smallest(Term a, Term b);
  Term to_real(Term integer);
  Term to_integer(Term real) { return of("to_integer", {real}); }
  // Whether two numbers are equal, where that is certain.
  std::optional<bool> are_equal(Term a, Term b) const;

  // ---- images ----
  Image zeros(const std::vector<Term>& sizes) { return {of("zeros", sizes), sizes}; }
  // The image of an axis at an index.
  Image at(const Image& image, Term index);
  // Pixels from begin to end - 1 along an axis, as ONNX's Slice takes them.
  Image slice(const Image& image, size_t axis, Term begin, Term end);
  // All must have the sizes of the first along the other axes.
  Image join(const std::vector<Image>& images, size_t axis);
  // Resizes an image of two axes bilinearly, as ONNX's Resize with half_pixel does.
  Image resize(const Image& image, Term height, Term width);
  // Adds a border of zeros, one pixel wide, around the last two axes.
  Image with_border(const std::string& name, const std::vector<Term>& sizes);

 private:
  Term of(const std::string& what, const std::vector<Term>& parts);
  Term in_any_order(const std::string& what, Term a, Term b) {
    return of(what, a < b ? std::vector{a, b} : std::vector{b, a});
  }
  const int64_t* integer_at(Term term) const;
  const float* real_at(Term term) const;

  std::map<std::string, Term> known_;
  std::map<Term, int64_t> integers_;
  std::map<Term, float> reals_;
  std::map<Term, bool> sizes_;  // of the terms that are never negative
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_EP_TERMS_H_
