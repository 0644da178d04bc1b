#include "test/proof/csp_generator.hpp"

namespace vole::proof {
namespace {

class maker {
  public:
    explicit maker(std::uint64_t seed) : random_(seed) {}

    program make() {
        program p;
        const std::uint32_t channels = 1 + random_.below(program::most_channels);
        for (std::uint32_t i = 0; i < channels; ++i) p.capacities.push_back(capacity());
        channels_ = channels;
        // More processes, shorter ones: else too few programs are small enough for
        // the model.
        const std::uint32_t processes = 2 + random_.below(program::most_processes - 1);
        const std::uint32_t longest = processes == 4 ? 4 : 5;
        const std::uint32_t pauses = random_.percent(50) ? 30 : 0;
        for (std::uint32_t i = 0; i < processes; ++i) {
            std::vector<operation> list;
            for (std::uint32_t n = 1 + random_.below(longest); n > 0; --n)
                list.push_back(i == 0 && random_.percent(pauses) ? pause() : make_operation());
            p.processes.push_back(std::move(list));
        }
        return p;
    }

  private:
    std::uint8_t capacity() {
        const std::uint32_t roll = random_.below(10);
        return static_cast<std::uint8_t>(roll < 5 ? 0 : roll < 8 ? 1 : 2);
    }
    std::uint8_t channel() { return static_cast<std::uint8_t>(random_.below(channels_)); }
    std::uint8_t channel_or_nil() { return random_.percent(5) ? nil_channel : channel(); }
    std::uint8_t value() { return ++last_value_; }

    static operation pause() {
        operation op;
        op.kind = op_kind::pause;
        return op;
    }

    operation make_operation() {
        operation op;
        const std::uint32_t roll = random_.below(100);
        if (roll < 26) {
            op.kind = op_kind::send;
            op.channel = channel();
            op.value = value();
        } else if (roll < 50) {
            op.kind = op_kind::recv;
            op.channel = channel();
        } else if (roll < 57) {
            op.kind = op_kind::close;
            op.channel = channel_or_nil();
        } else if (roll < 63) {
            op.kind = op_kind::try_send;
            op.channel = channel_or_nil();
            op.value = value();
        } else if (roll < 69) {
            op.kind = op_kind::try_recv;
            op.channel = channel_or_nil();
        } else if (roll < 74) {
            op.kind = op_kind::range;
            op.channel = channel();
        } else {
            make_select(op);
        }
        return op;
    }

    void make_select(operation& op) {
        op.kind = op_kind::select;
        op.arms = static_cast<std::uint8_t>(1 + (random_.percent(90) ? 1 : 0) +
                                            (random_.percent(40) ? 1 : 0));
        op.has_default = random_.percent(25);
        for (std::size_t i = 0; i < op.arms; ++i) {
            select_arm& arm = op.arm[i];
            arm.send = random_.percent(50);
            arm.channel = channel_or_nil();
            if (arm.send) arm.value = value();
        }
        select_arm& first = op.arm[0];
        if (first.channel == nil_channel && !op.has_default) first.channel = channel();
    }

    random_source random_;
    std::uint32_t channels_ = 0;
    std::uint8_t last_value_ = 0;
};

}  // namespace

program make_program(std::uint64_t seed) { return maker(seed).make(); }

}  // namespace vole::proof
