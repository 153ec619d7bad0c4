// Reads what the values of a graph are, as formulas of what the graph is given, as far as pasting masks needs it.
#ifndef ONNX_ROIALIGN_ORT_EP_MEANING_H_
#define ONNX_ROIALIGN_ORT_EP_MEANING_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "ort/ep/graph.h"
#include "ort/ep/terms.h"

namespace roialign {

// A tensor of one axis, or of none, of int64, float32 or bool.
struct Numbers {
  std::vector<Term> elements;
  size_t rank;
  bool is_real;
  bool in_rows;  // it has one more axis, of rows, before that: these are the elements of any one row
};

using Meaning = std::variant<Numbers, Image>;

// What a graph is not understood to compute has no meaning. Where it cannot be read, OrtFailure or
// std::invalid_argument is thrown.
class Meanings {
 public:
  Meanings(const Graph& graph, Terms& terms) : graph_(graph), terms_(terms) {}
  // Of a body in the graph of other meanings. Its first input is the row that it takes.
  Meanings(const Graph& body, Meanings& around, const std::vector<Value>& captured);

  std::optional<Meaning> of(Value value);
  std::optional<Numbers> numbers(Value value);
  std::optional<Image> image(Value value);
  // The element of a tensor of one element.
  std::optional<Term> number(Value value);
  // The same where it is a constant of int64 or bool.
  std::optional<int64_t> integer(Value value);
  // The values of which columns are taken.
  const std::set<Value>& tables() const { return tables_; }
  // Column of such a value.
  Term column(Value table, size_t index) { return terms_.column(graph_.name(table), index); }
  // Size of a value along an axis, of which it has so many.
  Term size(Value value, size_t axis);

 private:
  std::optional<Meaning> computed(Value value, Node node);
  std::optional<Meaning> constant(Value value) const;
  std::optional<Meaning> arithmetic(Node node, Term (Terms::*both)(Term, Term));
  std::optional<Meaning> extreme(Node node, Term (Terms::*both)(Term, Term));
  std::optional<Meaning> cast(Node node);
  std::optional<Meaning> gather(Node node);
  std::optional<Meaning> split(Node node, Value output);
  std::optional<Meaning> slice(Node node);
  std::optional<Meaning> concat(Node node);
  std::optional<Meaning> squeeze(Node node);
  std::optional<Meaning> unsqueeze(Node node);
  std::optional<Meaning> reshape(Node node);
  std::optional<Meaning> expand(Node node);
  std::optional<Meaning> shape(Node node);
  std::optional<Meaning> equal(Node node);
  std::optional<Meaning> where(Node node);
  std::optional<Meaning> pad(Node node);
  std::optional<Meaning> resize(Node node);
  bool is_text(Node node, const char* attribute, const char* expected) const;
  std::optional<Meaning> column_of(Value table, int64_t index, size_t rank);

  const Graph& graph_;
  Terms& terms_;
  Meanings* around_ = nullptr;
  std::map<std::string, Value> captured_;
  std::map<std::string, std::optional<Meaning>> known_;
  std::set<Value> tables_;
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_EP_MEANING_H_
