// Lists the instruction sets, widest first, and chooses among them.
#include "isa/dispatch.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "guard.h"
#include "isa/isas.h"
#include "problem.h"
#include "shown.h"

namespace roialign {
namespace {

const Isa* const kIsas[] = {
#if defined(__x86_64__)
    &kAvx512,
    &kAvx2,
#endif
#if defined(__aarch64__)
    &kNeon,
#endif
    &kBaseline,
};

using Names = std::array<const char*, std::size(kIsas) + 1>;

Names find_supported() {
  Names names{};
  size_t count = 0;
  for (const Isa* isa : kIsas) {
    if (isa->supported()) names[count++] = isa->name;
  }
  return names;
}

std::string supported_names() {
  std::string names;
  for (const char* const* name = isa_names(); *name != nullptr; ++name)
    names += (names.empty() ? "" : ", ") + std::string(*name);
  return names;
}

// Reads the environment once, as getenv must not run while another thread changes the environment. The text is never
// destroyed: where the linker wrote no DT_FINI_ARRAY (zig), its destructor would run after the library is unloaded.
const std::string& name_from_environment() {
  static const std::string& name = *[] {
    const char* const value = std::getenv("ONNX_ROIALIGN_ISA");
    return new std::string(value == nullptr ? "" : value);
  }();
  return name;
}

}  // namespace

const char* const* isa_names() {
  static const Names names = find_supported();
  return names.data();
}

const Isa& choose_isa(const char* name, const char* subject) {
  if (name == nullptr) {
    name = name_from_environment().c_str();
    subject = "ONNX_ROIALIGN_ISA";
    if (*name == '\0') name = isa_names()[0];
  }
  for (const Isa* isa : kIsas) {
    if (std::strcmp(isa->name, name) != 0) continue;
    if (isa->supported()) return *isa;
    throw NotSupported(std::string(subject) + " must name an instruction set that this CPU has, got " + shown(name) +
                       "; it has " + supported_names());
  }
  throw NotSupported(std::string(subject) + " must be one of " + supported_names() + ", got " + shown(name));
}

const char* isa_name(const Isa& isa) { return isa.name; }

}  // namespace roialign
