// The table of instruction sets, widest first, and the choice among them.
#ifndef ONNX_ROIALIGN_DISPATCH_H_
#define ONNX_ROIALIGN_DISPATCH_H_

namespace roialign {

struct Isa;

// Those that both the library and this CPU have, widest first; then null.
const char* const* isa_names();

// The instruction set called name, which the caller calls subject, or where name is null the one that
// $ONNX_ROIALIGN_ISA asks for, or else the widest that this CPU has. Throws NotSupported where that one is unknown or
// the CPU lacks it.
const Isa& choose_isa(const char* name, const char* subject);

const char* isa_name(const Isa& isa);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_DISPATCH_H_
