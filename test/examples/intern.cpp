// A cache that forgets: equal words are one object for as long as somebody uses it, and no longer.
//
//     words.intern("vole")  ->  std::shared_ptr<const std::string>, the same for everybody who asks
//
// The table must not keep its words alive, so it holds weak handles. That leaves the question of who takes
// the entry out when a word has died. Not whoever looks it up next: perhaps nobody ever does. Each word gets a
// cleanup, a call that the library makes in a goroutine of its own once the word is gone.
//
// Between the death of a word and its cleanup, somebody may ask for it again, and gets a new object. Then the
// entry is not the cleanup's to erase. A weak handle knows: it is equal to those of its own object only, even
// after death.
//
// The program counts the words of a text, and shows that a table of words that nobody uses is empty.
#include <iostream>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <vole/vole.hpp>

using word = std::shared_ptr<const std::string>;

class word_table {
  public:
    word intern(const std::string& text) {
        const std::lock_guard lock(state_->mutex);
        auto& entry = state_->entries[text];
        if (word w = entry.value()) return w;
        word w = vole::make_managed<const std::string>(text);
        entry = vole::make_weak(w);
        // The table may be gone by then, so the cleanup refers to its state. Never to w: that would keep it.
        vole::add_cleanup(
            w, [state = state_, text](const handle& dead) { state->forget(text, dead); }, entry);
        return w;
    }

    std::size_t size() const {
        const std::lock_guard lock(state_->mutex);
        return state_->entries.size();
    }

  private:
    using handle = vole::weak<const std::string>;

    struct state {
        vole::mutex mutex;
        std::unordered_map<std::string, handle> entries;

        void forget(const std::string& text, const handle& dead) {
            const std::lock_guard lock(mutex);
            const auto entry = entries.find(text);
            if (entry != entries.end() && entry->second == dead) entries.erase(entry);
        }
    };

    std::shared_ptr<state> state_ = std::make_shared<state>();
};

constexpr std::string_view text =
    "the vole digs and the vole runs and when the owl comes the vole is gone";

// Several goroutines read the same text, and intern each word.
std::vector<std::vector<word>> read_by(int readers, word_table& table) {
    std::vector<std::vector<word>> all(static_cast<std::size_t>(readers));
    vole::wait_group done;
    for (auto& words : all) {
        done.go([&words, &table] {
            std::istringstream in{std::string(text)};
            for (std::string w; in >> w;) words.push_back(table.intern(w));
        });
    }
    done.wait();
    return all;
}

int run_intern() {
    word_table table;
    {
        auto all = read_by(4, table);
        std::size_t differ = 0;
        for (const auto& words : all) {
            for (std::size_t i = 0; i < words.size(); ++i)
                if (words[i] != all[0][i]) ++differ;  // pointers, not texts
        }
        std::cout << all.size() << " readers, " << all[0].size() << " words each, " << table.size()
                  << " different ones\n"
                  << "words that are not the same object for all: " << differ << '\n';

        // One word stays in use; the others die here, and their cleanups run.
        const word kept = all[0][1];
        all.clear();
        vole::drain_cleanups();
        std::cout << "in use: " << *kept << "; in the table: " << table.size() << '\n';

        // Die and come back, again and again: an entry that was taken anew is not erased.
        for (int i = 0; i < 1000; ++i) {
            const word again = table.intern("owl");
            if (*again != "owl" || table.intern("owl") != again) return 1;
        }
        const word owl = table.intern("owl");
        vole::drain_cleanups();
        std::cout << "after a thousand owls: " << table.size() << '\n';
    }
    vole::drain_cleanups();
    std::cout << "nothing in use: " << table.size() << '\n';
    return 0;
}

int main() { return vole::run(run_intern); }
