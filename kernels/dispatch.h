// The table of instruction sets, widest first, and the choice among them.
#ifndef ONNX_ROIALIGN_DISPATCH_H_
#define ONNX_ROIALIGN_DISPATCH_H_

#include <string>

namespace roialign {

struct Isa;

// The instruction set called name, or where name is null the one that $ONNX_ROIALIGN_ISA asks for, or else the widest
// that this CPU has. Null, with a text in error, where that one is unknown or the CPU lacks it.
const Isa* choose_isa(const char* name, std::string& error);

const char* isa_name(const Isa& isa);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_DISPATCH_H_
