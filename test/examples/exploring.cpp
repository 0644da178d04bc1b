// A bug that needs an unlucky moment, found by trying schedules: two withdrawals from one account, each of which first looks whether
// there is enough. explore() tells the schedule on standard error, and how to run it again, under a debugger perhaps.
#include <iostream>
#include <mutex>
#include <stdexcept>

#include <vole/explore.hpp>
#include <vole/sync.hpp>

namespace {

class account {
  public:
    explicit account(int balance) : balance_(balance) {}

    int balance() {
        const std::lock_guard held(mu_);
        return balance_;
    }
    void withdraw_carelessly(int amount) {
        if (balance() < amount) return;
        const std::lock_guard held(mu_);  // somebody may have come in between
        balance_ -= amount;
    }
    void withdraw(int amount) {
        const std::lock_guard held(mu_);
        if (balance_ >= amount) balance_ -= amount;
    }

  private:
    vole::mutex mu_;
    int balance_;
};

void two_at_once(void (account::*withdraw)(int)) {
    account a(100);
    vole::wait_group done;
    for (int i = 0; i < 2; ++i) done.go([&] { (a.*withdraw)(60); });
    done.wait();
    if (a.balance() < 0) throw std::runtime_error("the account is overdrawn");
}

vole::synctest::explore_options all_schedules() {
    vole::synctest::explore_options o;
    o.how = vole::synctest::strategy::exhaustive;
    o.preemptions = -1;
    return o;
}

}  // namespace

int main() {
    try {
        vole::synctest::explore(all_schedules(),
                                [] { two_at_once(&account::withdraw_carelessly); });
    } catch (const std::runtime_error& e) {
        std::cout << "carelessly: " << e.what() << "\n";
    }
    const auto result =
        vole::synctest::explore(all_schedules(), [] { two_at_once(&account::withdraw); });
    std::cout << "with care: " << (result.complete ? "all schedules are right" : "?") << "\n";
}
