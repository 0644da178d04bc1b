#include "test/proof/csp_program.hpp"

namespace vole::proof {
namespace {

std::string name_of(std::uint8_t channel) {
    return channel == nil_channel ? "nil" : std::string(1, static_cast<char>('a' + channel));
}

std::string send_text(std::uint8_t channel, std::uint8_t value) {
    return name_of(channel) + " <- " + std::to_string(value);
}

std::string select_text(const operation& op) {
    std::string text = "select {";
    for (std::size_t i = 0; i < op.arms; ++i) {
        const select_arm& arm = op.arm[i];
        text += i == 0 ? " " : " | ";
        text += arm.send ? send_text(arm.channel, arm.value) : "<-" + name_of(arm.channel);
    }
    if (op.has_default) text += " | default";
    return text + " }";
}

}  // namespace

std::string to_text(const operation& op) {
    switch (op.kind) {
        case op_kind::send: return send_text(op.channel, op.value);
        case op_kind::recv: return "<-" + name_of(op.channel);
        case op_kind::close: return "close " + name_of(op.channel);
        case op_kind::try_send: return "try " + send_text(op.channel, op.value);
        case op_kind::try_recv: return "try <-" + name_of(op.channel);
        case op_kind::select: return select_text(op);
        case op_kind::range: return "range " + name_of(op.channel);
        case op_kind::pause: return "pause";
    }
    return "?";
}

std::string to_text(const program& p) {
    std::string text = "channels:";
    for (std::size_t c = 0; c < p.capacities.size(); ++c)
        text += " " + name_of(static_cast<std::uint8_t>(c)) + "(" +
                std::to_string(p.capacities[c]) + ")";
    text += "\n";
    for (std::size_t i = 0; i < p.processes.size(); ++i) {
        text += "p" + std::to_string(i) + ": ";
        bool first = true;
        for (const operation& op : p.processes[i]) {
            if (!first) text += "; ";
            first = false;
            text += to_text(op);
        }
        text += "\n";
    }
    return text;
}

}  // namespace vole::proof
