// A plugin for GCC: stack checks for arm64, where the compiler has no -fsplit-stack.
//
// Last of all, when frame sizes are known and before branches get their lengths, it puts in front of each
// function what arch/arm64/morestack.S describes: compare the stack pointer, less the frame, with the guard
// in the thread's control block, and call __morestack below it. Functions without a frame that call nobody
// get no check.
//
// Needs -fno-ipa-ra, since callers do not expect x15-x17 to change in a function they know. Dynamic stack
// (alloca, variable-length arrays) is not known in advance: such functions ask for dynamic_bytes more,
// and must not use more than that and the red zone.
//
// Built for the compiler it is loaded into, with that one's headers (gcc-12-plugin-dev-aarch64-linux-gnu).
#include "gcc-plugin.h"
#include "plugin-version.h"

#include "config.h"
#include "system.h"
#include "coretypes.h"
#include "backend.h"
#include "tree.h"
#include "rtl.h"
#include "memmodel.h"
#include "tm_p.h"
#include "emit-rtl.h"
#include "tree-pass.h"
#include "context.h"
#include "stringpool.h"
#include "attribs.h"
#include "function.h"

int plugin_is_GPL_compatible;

namespace {

constexpr HOST_WIDE_INT red_zone_share = 256;  // frames below this compare sp itself
constexpr HOST_WIDE_INT dynamic_bytes = 64 * 1024;
constexpr HOST_WIDE_INT variable_arguments = 65520;
constexpr HOST_WIDE_INT most_arguments = 65504;

const pass_data description = {RTL_PASS, "vole_split_stack", OPTGROUP_NONE, TV_NONE, 0, 0, 0, 0, 0};

HOST_WIDE_INT frame_bytes(function* f) {
    HOST_WIDE_INT bytes = 0;
    if (!f->machine->frame.frame_size.is_constant(&bytes)) return dynamic_bytes;  // SVE
    return bytes + (f->calls_alloca ? dynamic_bytes : 0);
}

// Bytes of the caller's frame that hold our arguments, whole 16s.
HOST_WIDE_INT argument_bytes(function* f) {
    if (f->stdarg) return variable_arguments;
    HOST_WIDE_INT bytes = 0;
    if (!crtl->args.size.is_constant(&bytes)) return most_arguments;
    bytes = (bytes + 15) & ~HOST_WIDE_INT{15};
    return MIN(bytes, most_arguments);
}

void put_check(function* f, HOST_WIDE_INT frame, HOST_WIDE_INT arguments) {
    char below[160] = "";
    const char* compared = "sp";
    const long low = frame & 0xffff;
    const long high = (frame >> 16) & 0xffff;
    if (frame >= red_zone_share) {
        snprintf(below, sizeof(below),
                 "\tmov x17, #%ld\n\tmovk x17, #%ld, lsl 16\n\tsub x17, sp, x17\n", low, high);
        compared = "x17";
    }
    char text[640];
    snprintf(text, sizeof(text),
             "mrs x16, tpidr_el0\n\tldr x16, [x16, #8]\n%s\tcmp %s, x16\n\tb.hs 1f\n"
             "\tmov x16, #%ld\n\tmovk x16, #%ld, lsl 16\n\tmov x17, #%ld\n\tmov x15, x30\n"
             "\tbl __morestack\n1:",
             below, compared, low, high, static_cast<long>(arguments));
    rtx check = gen_rtx_ASM_INPUT_loc(VOIDmode, ggc_strdup(text), prologue_location);
    MEM_VOLATILE_P(check) = 1;
    rtx_insn* first = get_insns();
    while (first != nullptr && NOTE_P(first)) first = NEXT_INSN(first);
    emit_insn_before_setloc(check, first, prologue_location);
    static_cast<void>(f);
}

struct split_stack_pass : rtl_opt_pass {
    explicit split_stack_pass(gcc::context* c) : rtl_opt_pass(description, c) {}

    unsigned execute(function* f) override {
        const tree attributes = DECL_ATTRIBUTES(f->decl);
        if (lookup_attribute("no_split_stack", attributes) != nullptr ||
            lookup_attribute("naked", attributes) != nullptr) {
            return 0;
        }
        const HOST_WIDE_INT frame = frame_bytes(f);
        if (frame == 0 && crtl->is_leaf) return 0;
        put_check(f, frame, argument_bytes(f));
        return 0;
    }
};

}  // namespace

int plugin_init(plugin_name_args* info, plugin_gcc_version* version) {
    if (!plugin_default_version_check(version, &gcc_version)) {
        fprintf(stderr, "vole split-stack plugin: built for GCC %s, loaded into GCC %s\n",
                gcc_version.basever, version->basever);
        return 1;
    }
    register_pass_info where{new split_stack_pass(g), "shorten", 1, PASS_POS_INSERT_BEFORE};
    register_callback(info->base_name, PLUGIN_PASS_MANAGER_SETUP, nullptr, &where);
    return 0;
}
