// Lists the instruction sets, widest first, and chooses among them.
#ifndef ONNX_ROIALIGN_ISA_DISPATCH_H_
#define ONNX_ROIALIGN_ISA_DISPATCH_H_

namespace roialign {

struct Isa;

// Returns the names of the instruction sets that both the library and this CPU have, widest first; null ends the list.
const char* const* isa_names();

// Returns the instruction set called name. Where name is null, $ONNX_ROIALIGN_ISA names it, or else it is the widest
// that this CPU has. Throws NotSupported where the name is unknown or the CPU lacks the instruction set; the message
// begins with subject, the caller's word for the name.
const Isa& choose_isa(const char* name, const char* subject);

const char* isa_name(const Isa& isa);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ISA_DISPATCH_H_
