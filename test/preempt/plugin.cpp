// A plugin that code.cpp loads: a loop in code that nobody has registered.
#include <atomic>

extern "C" __attribute__((visibility("default"))) void plugin_spin(const std::atomic<bool>* stop) {
    while (!stop->load(std::memory_order_relaxed)) {
    }
}
