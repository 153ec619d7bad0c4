// The table of instruction sets, widest first, and the choice among them.
#include "dispatch.h"

#include <cstdlib>
#include <cstring>

#include "isas.h"

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

std::string supported_names() {
  std::string names;
  for (const Isa* isa : kIsas) {
    if (isa->supported()) names += (names.empty() ? "" : ", ") + std::string(isa->name);
  }
  return names;
}

}  // namespace

const Isa* choose_isa(const char* name, std::string& error) {
  const bool from_environment = name == nullptr;
  if (from_environment) name = std::getenv("ONNX_ROIALIGN_ISA");
  if (name == nullptr || *name == '\0') {
    for (const Isa* isa : kIsas) {
      if (isa->supported()) return isa;
    }
  }
  const std::string subject = from_environment ? "ONNX_ROIALIGN_ISA" : "isa";
  for (const Isa* isa : kIsas) {
    if (std::strcmp(isa->name, name) != 0) continue;
    if (isa->supported()) return isa;
    error = subject + " must name an instruction set that this CPU has, got " + name + "; it has " + supported_names();
    return nullptr;
  }
  error = subject + " must be one of " + supported_names() + ", got " + name;
  return nullptr;
}

const char* isa_name(const Isa& isa) { return isa.name; }

}  // namespace roialign
